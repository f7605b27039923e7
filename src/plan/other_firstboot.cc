// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/other_firstboot.h"

#include <algorithm>

#include "hive/key_path.h"

namespace kvmnet {
namespace {

constexpr std::string_view virt_service = "Services\\firstboot";
constexpr std::string_view cloudbase_service = "Services\\cloudbase-init";

// The wrapper that the service of virt-v2v and virt-customize starts: other programs, too, may call
// a service "firstboot" (libguestfs-common, mlcustomize/firstboot.ml).
bool starts_virt_wrapper(const ControlSet& set) {
  const auto image_path = value_of(set, virt_service, "ImagePath");
  const std::string path = image_path ? hive::as_string(*image_path).value_or("") : "";
  const auto names = [&path](std::string_view program) {
    return std::search(path.begin(), path.end(), program.begin(), program.end(),
                       [](char a, char b) {
                         return hive::same_name({&a, 1}, {&b, 1});
                       }) != path.end();
  };
  return names("rhsrvany.exe") || names("pvvxsvc.exe");
}

}  // namespace

std::vector<std::string> other_firstboot_keys() {
  return {std::string(virt_service), std::string(cloudbase_service)};
}

std::vector<OtherFirstBoot> other_firstboots(const std::vector<ControlSet>& sets) {
  const auto any = [&sets](auto has) { return std::any_of(sets.begin(), sets.end(), has); };
  std::vector<OtherFirstBoot> all;
  if (any(starts_virt_wrapper)) all.push_back({"firstboot", "virt-v2v or virt-customize"});
  if (any([](const ControlSet& set) { return has_key(set, cloudbase_service); }))
    all.push_back({"cloudbase-init", "cloudbase-init"});
  return all;
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "guestfs/appliance_parts.h"

#include <unistd.h>

#include <filesystem>
#include <string_view>

namespace kvmnet::guestfs {
namespace {

namespace fs = std::filesystem;

// Whether a file of the directory begins so and can be used so (R_OK, X_OK).
bool has_file(const fs::path& directory, std::string_view prefix, int use) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error))
    if (entry.path().filename().string().starts_with(prefix) &&
        ::access(entry.path().c_str(), use) == 0)
      return true;
  return false;
}

}  // namespace

std::string missing_parts(const std::string& root) {
  const fs::path host(root);
  std::string missing;
  const auto need = [&](bool is_there, std::string_view what) {
    if (!is_there) missing.append(missing.empty() ? "" : ", ").append(what);
  };
  need(has_file(host / "usr/bin", "supermin", X_OK), "supermin (package supermin)");
  need(has_file(host / "boot", "vmlinu", R_OK),
       "a kernel in /boot that this user can read (package linux-image-amd64)");
  need(has_file(host / "usr/bin", "qemu-system-", X_OK), "QEMU (package qemu-system-x86)");
  return missing;
}

}  // namespace kvmnet::guestfs

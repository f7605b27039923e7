// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/firstboot/patched_guest.h"

#include <fmt/format.h>

#include <sstream>

#include "src/apply/hive_client.h"
#include "src/apply/patch_guest.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"

namespace kvmnet::test {
namespace {

constexpr std::string_view root = "/Windows/";
const std::string system_hive_path = "/Windows/System32/config/SYSTEM";

Outcome work_on(FakeGuest& guest, const Decision& decide, Status done) {
  GuestRequest request = {Mode::patch, decide};
  request.done = done;
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  patch_guest(guest, request, clock, outcome);
  return outcome;
}

// As `sc delete` leaves it.
std::string without_service(const std::string& system_hive) {
  const Fd hive = make_memory_file("SYSTEM");
  write_whole(hive, system_hive);
  std::vector<Edit> edits;
  for (const ControlSet& set : SystemHive({hive}).probe(DirtyHive::replay).control_sets)
    if (has_key(set, firstboot_service_key))
      edits.emplace_back(DeleteKey{hive::KeyPath::parse(set.name) / firstboot_service_key, ""});
  return edits.empty() ? system_hive : text_of(read_whole(SystemHive({hive}).edit(edits).file));
}

// Files of a guest, with the permissions that they have from our directory.
void put(const std::map<std::string, std::string>& files, FakeGuest::Volume& volume) {
  for (const auto& [path, content] : files) {
    volume.files[std::string(root) + path] = content;
    if (!path.starts_with("kvmnet/")) continue;
    volume.private_paths.insert(std::string(root) + path);
    volume.private_paths.insert(std::string(root) + "kvmnet");
  }
}

}  // namespace

PatchedGuest patch(const Release& release, const SettingOptions& options,
                   const std::map<std::string, std::string>& there) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), release);
  put(there, guest.volume("/dev/sda1"));
  const auto before = guest.volume("/dev/sda1").files;
  const Outcome outcome = work_on(guest, to_patch(make_settings(options)), Status::patched);
  if (outcome.status != Status::patched) throw Error("not patched: " + outcome.error);

  PatchedGuest result;
  for (const auto& [path, content] : guest.volume("/dev/sda1").files) {
    const auto old = before.find(path);
    if (path == system_hive_path)
      result.system_hive = content;
    else if (old == before.end() || old->second != content)
      result.files[path.substr(root.size())] = content;
  }
  return result;
}

RevertedGuest revert(const Release& release, const PatchedGuest& patched,
                     const std::map<std::string, std::string>& there,
                     const RevertOptions& options) {
  FakeGuest guest;
  FakeGuest::Volume& volume = guest.add("/dev/sda1");
  install(volume, release);
  volume.files[system_hive_path] = without_service(patched.system_hive);
  put(there, volume);
  const Outcome outcome = work_on(guest, to_revert(options), Status::reverted);
  if (outcome.status != Status::reverted) throw Error("not reverted: " + outcome.error);

  RevertedGuest result;
  result.warnings = outcome.warnings;
  result.restored = outcome.restored;
  result.system_hive = volume.files.at(system_hive_path);
  const std::string ours = std::string(root) + "kvmnet/";
  for (const auto& [path, content] : volume.files)
    if (path.starts_with(ours)) result.files[path.substr(root.size())] = content;
  return result;
}

std::string exported(const std::string& hive) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  write_file(file, bytes_of(hive));
  return run_checked({"hivexregedit", "--export", file, "\\"});
}

std::string exported_service(const std::string& system_hive, const std::string& service) {
  const TempDir directory;
  const std::string file = directory.path() + "/SYSTEM";
  write_file(file, bytes_of(system_hive));
  const int set = std::stoi(run_checked({"hivexget", file, "Select", "Default"}));
  const std::string key = fmt::format("ControlSet{:03}\\Services\\{}", set, service);
  std::istringstream in(run_checked({"hivexregedit", "--export", file, key}));
  std::string values;
  int keys = 0;
  for (std::string line; std::getline(in, line) && keys < 2;) {
    if (line.starts_with('[')) ++keys;
    if (line.starts_with('"') && keys == 1) values += line + "\n";
  }
  return values;
}

std::string image_path(const std::string& exported) {
  constexpr std::string_view name = "\"ImagePath\"=hex(2):";
  const std::size_t at = exported.find(name);
  if (at == std::string::npos) throw Error("no ImagePath of type REG_EXPAND_SZ");
  std::istringstream lines(exported.substr(at + name.size()));
  std::string value;
  std::getline(lines, value);
  std::istringstream bytes(value);
  std::string text;
  for (std::string low, high; std::getline(bytes, low, ',') && std::getline(bytes, high, ',');) {
    const char c = static_cast<char>(std::stoi(low, nullptr, 16));
    if (c != '\0') text += c;
  }
  return text;
}

}  // namespace kvmnet::test

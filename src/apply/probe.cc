// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/probe.h"

#include <fmt/format.h>

#include <charconv>

#include "hive/error.h"
#include "hive/hive.h"
#include "hive/reader.h"
#include "src/plan/firstboot.h"
#include "src/plan/plan.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using guestfs::GuestFiles;
using hive::KeyPath;

// Anything larger is none of ours; its size alone makes it differ from what we would write.
constexpr std::uint64_t largest_own_file = 1 << 20;

// Ten times what Windows makes of it; more would fill the host's memory.
constexpr std::uint64_t largest_system_hive = 256 << 20;

std::uint32_t number(const hive::Hive& system, const KeyPath& key, std::string_view name) {
  const auto value = system.value(key, name);
  return value ? hive::as_dword(*value).value_or(0) : 0;
}

std::string text(const std::optional<hive::Value>& value) {
  return value ? hive::as_string(*value).value_or("") : "";
}

ControlSet read_control_set(const hive::Hive& system, const std::string& name) {
  ControlSet set{name, {}, {}};
  const KeyPath root = KeyPath::parse(name);
  for (const std::string& key : asked_keys()) set.keys[key] = system.values(root / key);
  const KeyPath interfaces = root / "Services\\Tcpip\\Parameters\\Interfaces";
  for (const std::string& interface : system.subkeys(interfaces))
    if (interface.find('\\') == std::string::npos &&
        system.value(interfaces / interface, "TcpWindowSize"))
      set.interfaces_with_window.push_back(interface);
  return set;
}

void read_identity(const hive::Hive& system, const KeyPath& set, Facts& facts) {
  facts.architecture = parse_architecture(
      text(system.value(set / "Control\\Session Manager\\Environment", "PROCESSOR_ARCHITECTURE")));
  facts.product_type =
      parse_product_type(text(system.value(set / "Control\\ProductOptions", "ProductType")));
}

void read_system(const hive::Hive& system, Facts& facts) {
  const KeyPath select = KeyPath::parse("Select");
  facts.select = {number(system, select, "Current"), number(system, select, "Default"),
                  number(system, select, "Failed"), number(system, select, "LastKnownGood")};
  std::vector<std::uint32_t> wanted = {facts.select.default_set};
  if (facts.select.current != facts.select.default_set) wanted.push_back(facts.select.current);
  for (const std::uint32_t index : wanted) {
    const std::string name = fmt::format("ControlSet{:03}", index);
    if (!system.has_key(KeyPath::parse(name))) {
      // What boots next must be there; what booted last may be gone.
      if (index == facts.select.default_set) return;
      continue;
    }
    facts.control_sets.push_back(read_control_set(system, name));
  }
  const KeyPath setup = KeyPath::parse("Setup");
  facts.setup_unfinished = number(system, setup, "SystemSetupInProgress") != 0 ||
                           number(system, setup, "OOBEInProgress") != 0;
  read_identity(system, KeyPath::parse(facts.control_sets.front().name), facts);
}

HiveFacts condition_of(const hive::BaseBlock& block) {
  return {block.condition, block.reason};
}

std::optional<int> parse_int(const std::string& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

// From Windows 10 on CurrentVersion stays "6.3", and two numbers of their own say 10 and 0.
std::optional<WindowsVersion> read_version(hive::Reader& software, const KeyPath& key) {
  const auto build = parse_int(text(software.value(key, "CurrentBuildNumber")));
  if (!build || *build == 0) return std::nullopt;
  const auto major = software.value(key, "CurrentMajorVersionNumber");
  const auto minor = software.value(key, "CurrentMinorVersionNumber");
  if (major && minor) {
    const auto a = hive::as_dword(*major);
    const auto b = hive::as_dword(*minor);
    if (!a || !b || *a > 1000 || *b > 1000) return std::nullopt;
    return WindowsVersion{static_cast<int>(*a), static_cast<int>(*b), *build};
  }
  const std::string dotted = text(software.value(key, "CurrentVersion"));
  try {
    WindowsVersion version = parse_windows_version(dotted);
    version.build = *build;
    return version;
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

void read_software(GuestFiles& guest, const std::string& path, Facts& facts) {
  const std::uint64_t size = guest.size(path);
  const auto read_at = [&](std::uint64_t offset, std::size_t length) {
    return guest.read_at(path, offset, length);
  };
  hive::Reader software(read_at, size);
  facts.software = condition_of(software.base_block());
  if (facts.software.condition != hive::Condition::clean) return;
  try {
    const KeyPath key = KeyPath::parse("Microsoft\\Windows NT\\CurrentVersion");
    facts.version = read_version(software, key);
    facts.product_name = text(software.value(key, "ProductName"));
  } catch (const hive::Error& e) {
    facts.software = {hive::Condition::damaged, e.what()};
  }
}

void read_files(GuestFiles& guest, const std::string& root, Facts& facts) {
  const auto directory = guest.resolve(root + "/" + std::string(firstboot::directory));
  if (!directory) return;
  const std::vector<guestfs::DirectoryEntry> entries = guest.list(*directory);
  for (const std::string& path : asked_files()) {
    const std::string name = path.substr(path.rfind('/') + 1);
    for (const guestfs::DirectoryEntry& entry : entries) {
      if (!hive::same_name(entry.name, name)) continue;
      const std::string found = *directory + "/" + entry.name;
      const auto bytes = guest.read_at(found, 0, std::min(guest.size(found), largest_own_file));
      facts.files[path].assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  }
}

std::string find_hive(GuestFiles& guest, const std::string& root, const std::string& name) {
  const std::string wanted = root + "/System32/config/" + name;
  const auto path = guest.resolve(wanted);
  if (!path) throw Error(wanted + ": is not there any more");
  return *path;
}

}  // namespace

Facts probe_system_hive(const Fd& file) {
  Facts facts;
  facts.system = condition_of(hive::read_base_block(file.get()));
  if (facts.system.condition != hive::Condition::clean) return facts;
  try {
    read_system(hive::Hive(proc_path(file), hive::Hive::Mode::read), facts);
  } catch (const hive::Error& e) {
    facts.system = {hive::Condition::damaged, e.what()};
  }
  return facts;
}

Probe probe_guest(GuestFiles& guest, const std::string& root) {
  Probe probe;
  probe.system_path = find_hive(guest, root, "SYSTEM");
  probe.system_hive = make_memory_file("SYSTEM");
  if (guest.size(probe.system_path) > largest_system_hive) {
    probe.facts.system.reason = "larger than any SYSTEM hive";
  } else {
    guest.download(probe.system_path, probe.system_hive.get());
    probe.facts = probe_system_hive(probe.system_hive);
  }
  probe.facts.system_root = root;
  read_software(guest, find_hive(guest, root, "SOFTWARE"), probe.facts);
  read_files(guest, root, probe.facts);
  return probe;
}

}  // namespace kvmnet

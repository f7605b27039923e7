// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "src/plan/plan.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using hive::KeyPath;

std::uint32_t number(const hive::Contents& system, const KeyPath& key, std::string_view name) {
  const auto value = system.value(key, name);
  return value ? hive::as_dword(*value).value_or(0) : 0;
}

std::string text(const std::optional<hive::Value>& value) {
  return value ? hive::as_string(*value).value_or("") : "";
}

ControlSet read_control_set(const hive::Contents& system, const std::string& name) {
  ControlSet set;
  set.name = name;
  const KeyPath root = KeyPath::parse(name);
  for (const std::string& key : asked_keys()) {
    set.keys[key] = system.values(root / key);
    if (!system.subkeys(root / key).empty()) set.with_subkeys.insert(key);
  }
  set.interfaces_with_window =
      system.subkeys_with_value(root / "Services\\Tcpip\\Parameters\\Interfaces", "TcpWindowSize");
  return set;
}

void read_identity(const hive::Contents& system, const KeyPath& set, Facts& facts) {
  facts.architecture = parse_architecture(
      text(system.value(set / "Control\\Session Manager\\Environment", "PROCESSOR_ARCHITECTURE")));
  facts.product_type =
      parse_product_type(text(system.value(set / "Control\\ProductOptions", "ProductType")));
}

// Sysprep leaves GeneralizationState at another number than 7, which is what Windows has once it is
// installed (seen in hives of 7, 8 and 10; cloudbase-init waits for it).
bool is_setup_unfinished(const hive::Contents& system) {
  constexpr std::uint32_t installed = 7;
  const KeyPath setup = KeyPath::parse("Setup");
  const auto state = system.value(setup / "Status\\SysprepStatus", "GeneralizationState");
  return number(system, setup, "SystemSetupInProgress") != 0 ||
         number(system, setup, "OOBEInProgress") != 0 ||
         (state && hive::as_dword(*state) != installed);
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

// Windows itself keeps four at most.
void read_other_sets(const hive::Contents& system, Facts& facts) {
  constexpr std::size_t most = 16;
  for (const std::string& name : system.subkeys(KeyPath())) {
    const bool read =
        std::any_of(facts.control_sets.begin(), facts.control_sets.end(),
                    [&name](const ControlSet& set) { return hive::same_name(set.name, name); });
    if (read || !is_control_set_name(name) || facts.other_sets.size() == most) continue;
    facts.other_sets.push_back(read_control_set(system, name));
  }
}

}  // namespace

void read_system(const hive::Contents& system, Facts& facts) {
  const KeyPath select = KeyPath::parse("Select");
  facts.select = {number(system, select, "Current"), number(system, select, "Default"),
                  number(system, select, "Failed"), number(system, select, "LastKnownGood")};
  std::vector<std::uint32_t> wanted = {facts.select.default_set};
  if (facts.select.current != facts.select.default_set) wanted.push_back(facts.select.current);
  for (const std::uint32_t index : wanted) {
    const std::string name = fmt::format("ControlSet{:03}", index);
    if (!system.has_key(KeyPath::parse(name))) {
      // What boots next must be there; what booted last may be gone.
      if (index == facts.select.default_set) return read_other_sets(system, facts);
      continue;
    }
    facts.control_sets.push_back(read_control_set(system, name));
  }
  read_other_sets(system, facts);
  facts.setup_unfinished = is_setup_unfinished(system);
  read_identity(system, KeyPath::parse(facts.control_sets.front().name), facts);
}

void read_software(hive::Reader& software, SoftwareFacts& facts) {
  const KeyPath key = KeyPath::parse("Microsoft\\Windows NT\\CurrentVersion");
  facts.version = read_version(software, key);
  facts.product_name = text(software.value(key, "ProductName"));
  // As "dism /get-currentedition" has it. Control\\MiniNT in the SYSTEM hive does not tell: people
  // make that key in installed Windows, to get ReFS (it is in the hive of a real Windows 10).
  facts.is_windows_pe = hive::same_name(text(software.value(key, "EditionID")), "WindowsPE");
  // learn.microsoft.com, "Windows Setup States".
  const std::string state = text(software.value(
      KeyPath::parse("Microsoft\\Windows\\CurrentVersion\\Setup\\State"), "ImageState"));
  facts.is_generalised = state == "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE";
  facts.is_complete = state == "IMAGE_STATE_COMPLETE";
  facts.is_undeployable = state == "IMAGE_STATE_UNDEPLOYABLE";
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reg_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "hive/error.h"
#include "hive/key_path.h"
#include "hive/value.h"

namespace kvmnet::hive {
namespace {

struct RootName {
  std::string_view name;
  std::string_view abbreviation;
};
constexpr std::array roots = {RootName{"HKEY_LOCAL_MACHINE", "HKLM"}, RootName{"HKEY_USERS", "HKU"},
                              RootName{"HKEY_CURRENT_USER", "HKCU"},
                              RootName{"HKEY_CLASSES_ROOT", "HKCR"},
                              RootName{"HKEY_CURRENT_CONFIG", "HKCC"}};

void spell_out_root(std::vector<std::string>& path) {
  for (const RootName& root : roots)
    if (same_name(path.front(), root.abbreviation)) path.front() = root.name;
}

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& name : path) text += (text.empty() ? "" : "\\") + name;
  return text;
}

bool is_below(const std::vector<std::string>& path, const std::vector<std::string>& key) {
  return key.size() >= path.size() &&
         std::equal(path.begin(), path.end(), key.begin(),
                    [](const std::string& a, const std::string& b) { return same_name(a, b); });
}

}  // namespace

bool is_root(std::string_view name) {
  return std::any_of(roots.begin(), roots.end(), [&](const RootName& root) {
    return same_name(name, root.name) || same_name(name, root.abbreviation);
  });
}

std::vector<std::string> parse_reg_path(std::string_view path) {
  if (path.ends_with('\\')) path.remove_suffix(1);
  const KeyPath parsed = KeyPath::parse(path);
  std::vector<std::string> elements = parsed.elements();
  if (elements.empty()) throw Error("an empty path");
  spell_out_root(elements);
  if (!is_root(elements.front()))
    throw Error(
        fmt::format("{}: does not begin with HKEY_LOCAL_MACHINE or another root", escaped(path)));
  return elements;
}

std::vector<RegSection> below(const std::vector<std::string>& path,
                              std::vector<RegSection> sections) {
  for (RegSection& section : sections) {
    spell_out_root(section.key);
    if (!is_below(path, section.key))
      throw Error(fmt::format(
          "{}{} is not in {}",
          section.line == 0 ? ""
                            : fmt::format("line {}, column {}: ", section.line, section.column),
          escaped(joined(section.key)), joined(path)));
    section.key.erase(section.key.begin(),
                      section.key.begin() + static_cast<std::ptrdiff_t>(path.size()));
  }
  return sections;
}

bool is_system_hive(const std::vector<std::string>& path) {
  return path.size() == 2 && same_name(path[0], "HKEY_LOCAL_MACHINE") &&
         same_name(path[1], "SYSTEM");
}

void resolve_control_set(const Contents& hive, std::vector<std::string>& key) {
  if (!is_in_current_control_set(key)) return;
  if (hive.has_key(KeyPath::parse(current_control_set)))
    throw Unsupported(stored_current_control_set);
  const auto value = hive.value(KeyPath::parse("Select"), "Default");
  const auto number = value ? as_dword(*value) : std::nullopt;
  const std::string name = number ? fmt::format("ControlSet{:03}", *number) : std::string();
  if (!number || !hive.has_key(KeyPath::parse(name)))
    throw Unsupported(
        "the hive has no control set that boots next: Select\\Default does not name one");
  key.front() = name;
}

void refuse_link_of_windows(const std::vector<std::string>& key) {
  constexpr std::string_view control_set = "ControlSet";
  const bool is_link = key.size() >= 3 &&
                       same_name(key[0].substr(0, control_set.size()), control_set) &&
                       same_name(key[1], "Hardware Profiles") && same_name(key[2], "Current");
  if (is_link)
    throw Unsupported(fmt::format(
        "{}\\Hardware Profiles\\Current is a link that Windows makes when it starts: name the "
        "profile that is meant, as 0001",
        escaped(key[0])));
}

bool is_in_current_control_set(const std::vector<std::string>& key) {
  return !key.empty() && same_name(key.front(), current_control_set);
}

}  // namespace kvmnet::hive

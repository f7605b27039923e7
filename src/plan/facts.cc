// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/facts.h"

#include "hive/key_path.h"

namespace kvmnet {

bool is_control_set_name(std::string_view name) {
  constexpr std::string_view start = "ControlSet";
  return name.starts_with(start) && name.size() >= start.size() + 3 && name.size() <= 20 &&
         name.find_first_not_of("0123456789", start.size()) == std::string_view::npos;
}

bool has_key(const ControlSet& set, std::string_view key) {
  const auto found = set.keys.find(std::string(key));
  return found != set.keys.end() && found->second.has_value();
}

std::optional<hive::Value> value_of(const ControlSet& set, std::string_view key,
                                    std::string_view name) {
  if (!has_key(set, key)) return std::nullopt;
  for (const hive::NamedValue& v : *set.keys.at(std::string(key)))
    if (hive::same_name(v.name, name)) return v.value;
  return std::nullopt;
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/facts.h"

#include <algorithm>

#include "hive/key_path.h"

namespace kvmnet {

bool is_control_set_name(std::string_view name) {
  constexpr std::string_view start = control_set_prefix;
  return hive::same_name(name.substr(0, start.size()), start) && name.size() >= start.size() + 3 &&
         name.size() <= 20 &&
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

namespace {

const ControlSet* set_named(const Facts& facts, std::string_view name) {
  for (const auto* sets : {&facts.control_sets, &facts.other_sets})
    for (const ControlSet& set : *sets)
      if (hive::same_name(set.name, name)) return &set;
  return nullptr;
}

// The rest of a path, behind the control set.
std::string below_set(const hive::KeyPath& key) {
  const std::string path = key.to_string();
  return path.substr(std::min(path.size(), key.elements().front().size() + 1));
}

}  // namespace

KeyState state_of(const Facts& facts, const hive::KeyPath& key) {
  if (const KeyState* state = facts.reg.keys.find(key)) return *state;
  KeyState state = {key, false, 0, 0, {}};
  const ControlSet* set = set_named(facts, key.elements().front());
  const std::string rest = below_set(key);
  if (set == nullptr || !has_key(*set, rest)) return state;
  state.is_there = true;
  state.named = *set->keys.at(rest);
  state.values = state.named.size();
  state.subkeys = set->with_subkeys.contains(rest) ? 1 : 0;
  return state;
}

std::optional<hive::Value> present_value(const Facts& facts, const hive::KeyPath& key,
                                         std::string_view name) {
  // The table's values are read with their key; of others only those that were asked for.
  const ControlSet* set = set_named(facts, key.elements().front());
  const std::string rest = below_set(key);
  if (set != nullptr && has_key(*set, rest)) return value_of(*set, rest, name);
  const KeyState* state = facts.reg.keys.find(key);
  if (state == nullptr) return std::nullopt;
  for (const hive::NamedValue& v : state->named)
    if (hive::same_name(v.name, name)) return v.value;
  return std::nullopt;
}

bool is_in_lost_set(const Facts& facts, const hive::KeyPath& key) {
  const std::string& first = key.elements().front();
  return is_control_set_name(first) && set_named(facts, first) == nullptr;
}

}  // namespace kvmnet

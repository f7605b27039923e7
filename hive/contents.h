// SPDX-License-Identifier: GPL-2.0-or-later
// What a sound hive in memory holds, by names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hive/key_path.h"
#include "hive/tree.h"
#include "hive/value.h"

namespace kvmnet::hive {

// The subkey of that name; letter case counts for nothing.
std::optional<CellOffset> find_subkey(const Tree& tree, CellOffset key, std::string_view name);

class Contents {
 public:
  // As Tree: of a hive that check() has not found sound each call may throw hive::Error.
  explicit Contents(std::span<const std::byte> hive) : tree_(hive) {}

  bool has_key(const KeyPath& key) const { return find(key).has_value(); }
  std::optional<Value> value(const KeyPath& key, std::string_view name) const;
  // All values of a key in the hive's order; nothing if there is no such key.
  std::optional<std::vector<NamedValue>> values(const KeyPath& key) const;
  // The names of a key's subkeys; empty if there is no such key.
  std::vector<std::string> subkeys(const KeyPath& key) const;
  // Those of them that have a value of that name. Each is looked at once: a key can have thousands.
  std::vector<std::string> subkeys_with_value(const KeyPath& key, std::string_view name) const;

 private:
  std::optional<CellOffset> find(const KeyPath& key) const;
  std::optional<CellOffset> find_value(CellOffset key, std::string_view name) const;

  Tree tree_;
};

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/contents.h"

namespace kvmnet::hive {
namespace {

std::string name_of_key(const Tree& tree, CellOffset key) {
  const KeyRecord record = tree.key(key);
  return StoredName{record.name, record.latin1_name}.text();
}

}  // namespace

std::optional<CellOffset> find_subkey(const Tree& tree, CellOffset key, std::string_view name) {
  for (const CellOffset child : tree.subkeys(key))
    if (same_name(name_of_key(tree, child), name)) return child;
  return std::nullopt;
}

std::optional<CellOffset> Contents::find(const KeyPath& key) const {
  std::optional<CellOffset> at = tree_.root();
  for (const std::string& name : key.elements()) {
    at = find_subkey(tree_, *at, name);
    if (!at) break;
  }
  return at;
}

std::optional<Value> Contents::value(const KeyPath& key, std::string_view name) const {
  const auto all = values(key);
  if (!all) return std::nullopt;
  for (const NamedValue& v : *all)
    if (same_name(v.name, name)) return v.value;
  return std::nullopt;
}

std::optional<std::vector<NamedValue>> Contents::values(const KeyPath& key) const {
  const auto at = find(key);
  if (!at) return std::nullopt;
  std::vector<NamedValue> values;
  for (const CellOffset offset : tree_.values(*at)) {
    const ValueRecord record = tree_.value(offset);
    values.push_back({StoredName{record.name, record.latin1_name}.text(),
                      {static_cast<Type>(record.type), tree_.value_data(offset)}});
  }
  return values;
}

std::vector<std::string> Contents::subkeys(const KeyPath& key) const {
  std::vector<std::string> names;
  if (const auto at = find(key))
    for (const CellOffset child : tree_.subkeys(*at)) names.push_back(name_of_key(tree_, child));
  return names;
}

}  // namespace kvmnet::hive

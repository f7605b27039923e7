// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/contents.h"

#include <algorithm>

namespace kvmnet::hive {
namespace {

std::string name_of_key(const Tree& tree, CellOffset key) {
  const KeyRecord record = tree.key(key);
  return StoredName{record.name, record.latin1_name}.text();
}

// As same_name() of the name's text, but that text is made only where it is needed: a key may have
// thousands of subkeys.
bool is_named(const StoredName& stored, std::string_view name) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (!std::all_of(name.begin(), name.end(), is_ascii)) return same_name(stored.text(), name);
  if (stored.length() != name.size() || (!stored.latin1 && stored.bytes.size() % 2 != 0))
    return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char16_t unit = stored.unit(i);
    const auto c = static_cast<char>(unit);
    if (unit >= 0x80 || !same_name({&c, 1}, name.substr(i, 1))) return false;
  }
  return true;
}

}  // namespace

std::optional<CellOffset> find_subkey(const Tree& tree, CellOffset key, std::string_view name) {
  for (const CellOffset child : tree.subkeys(key)) {
    const KeyRecord record = tree.key(child);
    if (is_named({record.name, record.latin1_name}, name)) return child;
  }
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

std::optional<CellOffset> Contents::find_value(CellOffset key, std::string_view name) const {
  for (const CellOffset offset : tree_.values(key)) {
    const ValueRecord record = tree_.value(offset);
    if (same_name(StoredName{record.name, record.latin1_name}.text(), name)) return offset;
  }
  return std::nullopt;
}

std::optional<Value> Contents::value(const KeyPath& key, std::string_view name) const {
  const auto at = find(key);
  const auto found = at ? find_value(*at, name) : std::nullopt;
  if (!found) return std::nullopt;
  return Value{static_cast<Type>(tree_.value(*found).type), tree_.value_data(*found)};
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

std::vector<std::string> Contents::subkeys_with_value(const KeyPath& key,
                                                      std::string_view name) const {
  std::vector<std::string> names;
  if (const auto at = find(key))
    for (const CellOffset child : tree_.subkeys(*at))
      if (find_value(child, name)) names.push_back(name_of_key(tree_, child));
  return names;
}

}  // namespace kvmnet::hive

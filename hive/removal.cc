// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/removal.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "hive/base_block.h"
#include "hive/contents.h"
#include "hive/error.h"
#include "hive/tree.h"

namespace kvmnet::hive {
namespace {

// Where the fields that change are in their records (msuhanov/regf, "Key node" and what follows).
constexpr std::size_t key_subkeys = 20;
constexpr std::size_t key_subkey_list = 28;
constexpr std::size_t key_values = 36;
constexpr std::size_t key_value_list = 40;
constexpr std::size_t list_count = 2;
constexpr std::size_t list_entries = 4;
constexpr std::size_t security_next = 4;
constexpr std::size_t security_previous = 8;
constexpr std::size_t security_users = 12;

template <typename Record>
Record required(const std::optional<Record>& record) {
  if (!record) throw Error("the hive has another structure than was checked");
  return *record;
}

// Writes to the bytes that `tree_` reads.
class Remover {
 public:
  explicit Remover(Bytes& hive) : hive_(hive), tree_(hive), minor_version_(minor_of(hive)) {}

  void remove_values(const KeyEdit& edit);
  void remove_key(const KeyPath& path);

 private:
  static std::uint32_t minor_of(const Bytes& hive) {
    return read_base_block(std::span(hive).first(base_block_size), hive.size()).minor_version;
  }

  // All offsets are of cells.
  Cell cell(CellOffset offset) const {
    return required(used_cell(std::span(hive_).subspan(base_block_size), offset));
  }
  void set_u32(CellOffset record, std::size_t field, std::uint32_t number) {
    write_u32(hive_, base_block_size + record + 4 + field, number);
  }
  void set_u16(CellOffset record, std::size_t field, std::uint16_t number) {
    const std::size_t at = base_block_size + record + 4 + field;
    hive_.at(at) = std::byte(number & 0xFF);
    hive_.at(at + 1) = std::byte(number >> 8);
  }
  // Moves the entries behind the one that goes.
  void close_gap(CellOffset record, std::size_t first, std::size_t entry_size, std::size_t index,
                 std::size_t count) {
    const auto start = hive_.begin() + static_cast<std::ptrdiff_t>(base_block_size + record + 4 +
                                                                   first + index * entry_size);
    const auto from = start + static_cast<std::ptrdiff_t>(entry_size);
    std::copy(from, from + static_cast<std::ptrdiff_t>((count - index - 1) * entry_size), start);
  }

  CellOffset find(const KeyPath& path) const;
  void give_back(CellOffset offset);
  void give_back_value(CellOffset value);
  void give_back_big_data(CellOffset record);
  void give_back_subkey_lists(const KeyNode& key);
  void give_back_key(CellOffset key);
  void forget_user(CellOffset security);
  void remove_value(CellOffset key, std::size_t index);
  void unlink(CellOffset parent, CellOffset key);
  bool unlink_from(CellOffset list, CellOffset key);
  void remove_entry(CellOffset list, const SubkeyList& entries, std::size_t index);

  Bytes& hive_;
  Tree tree_;
  std::uint32_t minor_version_;
};

CellOffset Remover::find(const KeyPath& path) const {
  CellOffset key = tree_.root();
  for (const std::string& name : path.elements()) {
    const auto next = find_subkey(tree_, key, name);
    if (!next) throw Unsupported(fmt::format("there is no key '{}'", path.to_string()));
    key = *next;
  }
  return key;
}

// A used cell's size is stored as a negative number.
void Remover::give_back(CellOffset offset) {
  const std::size_t size = cell(offset).size() + 4;
  write_u32(hive_, base_block_size + offset, static_cast<std::uint32_t>(size));
}

void Remover::give_back_big_data(CellOffset record) {
  const BigData data = required(read_big_data(cell(record)));
  const Cell list = cell(data.list);
  if (data.segments > list.size() / 4) required<BigData>(std::nullopt);
  for (std::size_t i = 0; i < data.segments; ++i) give_back(offset_at(list, i));
  give_back(data.list);
  give_back(record);
}

void Remover::give_back_value(CellOffset value) {
  const ValueNode node = required(read_value_node(cell(value)));
  if (node.is_big(minor_version_)) {
    give_back_big_data(node.data);
  } else if (!node.is_inline && node.size != 0) {
    give_back(node.data);
  }
  give_back(value);
}

void Remover::remove_value(CellOffset key, std::size_t index) {
  const KeyNode node = required(read_key_node(cell(key)));
  give_back_value(offset_at(cell(node.value_list), index));
  close_gap(node.value_list, 0, 4, index, node.values);
  set_u32(key, key_values, node.values - 1);
  if (node.values > 1) return;
  give_back(node.value_list);
  set_u32(key, key_value_list, no_cell);
}

// From the last one on: the others keep their numbers.
void Remover::remove_values(const KeyEdit& edit) {
  const CellOffset key = find(edit.key);
  std::map<std::string, std::size_t> indices;
  std::size_t count = 0;
  for (const CellOffset offset : tree_.values(key)) {
    const ValueRecord value = tree_.value(offset);
    indices.try_emplace(folded(StoredName{value.name, value.latin1_name}.text()), count++);
  }
  std::set<std::size_t, std::greater<>> to_go;
  for (const std::string& name : edit.remove) {
    const auto index = indices.find(folded(name));
    if (index == indices.end() || !to_go.insert(index->second).second)
      throw Unsupported(
          fmt::format("key '{}' has no value '{}'", edit.key.to_string(), escaped(name)));
  }
  for (const std::size_t index : to_go) remove_value(key, index);
}

// Windows does not keep a descriptor that no key has.
void Remover::forget_user(CellOffset security) {
  const SecurityNode node = required(read_security_node(cell(security)));
  if (node.references > 1) return set_u32(security, security_users, node.references - 1);
  required(read_security_node(cell(node.next)));
  required(read_security_node(cell(node.previous)));
  set_u32(node.previous, security_next, node.next);
  set_u32(node.next, security_previous, node.previous);
  give_back(security);
}

void Remover::give_back_subkey_lists(const KeyNode& key) {
  if (key.subkeys == 0) return;
  const SubkeyList list = required(read_subkey_list(cell(key.subkey_list)));
  if (list.kind == SubkeyList::Kind::index)
    for (std::size_t i = 0; i < list.count; ++i) give_back(list.offset(i));
  give_back(key.subkey_list);
}

// What is the key's own; its subkeys are given back on their own.
void Remover::give_back_key(CellOffset key) {
  const KeyNode node = required(read_key_node(cell(key)));
  for (const CellOffset value : tree_.values(key)) give_back_value(value);
  if (node.values != 0) give_back(node.value_list);
  // The offset of a class name of no length has no meaning.
  if (node.class_size != 0) give_back(node.class_name);
  give_back_subkey_lists(node);
  forget_user(node.security);
  give_back(key);
}

// Windows compares with the last entry of a list to choose among several, so none stays empty.
void Remover::remove_entry(CellOffset list, const SubkeyList& entries, std::size_t index) {
  close_gap(list, list_entries, entries.entry_size(), index, entries.count);
  set_u16(list, list_count, static_cast<std::uint16_t>(entries.count - 1));
  if (entries.count == 1) give_back(list);
}

// Whether the key was in that list, or in one of those that it lists.
bool Remover::unlink_from(CellOffset list, CellOffset key) {
  const SubkeyList entries = required(read_subkey_list(cell(list)));
  for (std::size_t i = 0; i < entries.count; ++i) {
    const CellOffset entry = entries.offset(i);
    if (entries.kind != SubkeyList::Kind::index) {
      if (entry != key) continue;
      remove_entry(list, entries, i);
      return true;
    }
    const SubkeyList leaf = required(read_subkey_list(cell(entry)));
    if (leaf.kind == SubkeyList::Kind::index) required<SubkeyList>(std::nullopt);
    const bool would_be_empty = leaf.count == 1;
    if (!unlink_from(entry, key)) continue;
    if (would_be_empty) remove_entry(list, entries, i);
    return true;
  }
  return false;
}

void Remover::unlink(CellOffset parent, CellOffset key) {
  const KeyNode node = required(read_key_node(cell(parent)));
  if (!unlink_from(node.subkey_list, key)) required<KeyNode>(std::nullopt);
  set_u32(parent, key_subkeys, node.subkeys - 1);
  if (node.subkeys == 1) set_u32(parent, key_subkey_list, no_cell);
}

void Remover::remove_key(const KeyPath& path) {
  const CellOffset top = find(path);
  if (top == tree_.root()) throw Unsupported("the root key cannot be removed");
  unlink(tree_.key(top).parent, top);
  std::vector<CellOffset> keys = {top};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::vector<CellOffset> below = tree_.subkeys(keys[i]);
    // Every key has a cell of its own; keys that are reached twice end here.
    if (keys.size() + below.size() > hive_.size() / 8) required<KeyNode>(std::nullopt);
    keys.insert(keys.end(), below.begin(), below.end());
  }
  for (const CellOffset key : keys) give_back_key(key);
}

}  // namespace

void remove(Bytes& hive, const std::vector<KeyEdit>& edits) {
  Remover remover(hive);
  for (const KeyEdit& edit : edits) {
    if (!edit.remove.empty()) remover.remove_values(edit);
    if (edit.remove_key) remover.remove_key(edit.key);
  }
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/tree.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/base_block.h"
#include "hive/error.h"

namespace kvmnet::hive {
namespace {

template <typename Record>
Record required(const std::optional<Record>& record, CellOffset offset, const char* what) {
  if (!record) throw Error(fmt::format("hive has no sound {} at {:#x}", what, offset));
  return *record;
}

}  // namespace

Tree::Tree(std::span<const std::byte> hive) {
  const std::string reason = damage(hive, hive.size());
  if (!reason.empty()) throw Error("hive is damaged: " + reason);
  const BaseBlock block = read_base_block(hive, hive.size());
  bins_ = hive.subspan(base_block_size, block.bins_size);
  root_ = block.root_cell;
  minor_version_ = block.minor_version;
}

Cell Tree::cell(CellOffset offset) const {
  return required(used_cell(bins_, offset), offset, "cell");
}

KeyNode Tree::key_node(CellOffset offset) const {
  return required(read_key_node(cell(offset)), offset, "key");
}

ValueNode Tree::value_node(CellOffset offset) const {
  return required(read_value_node(cell(offset)), offset, "value");
}

SubkeyList Tree::subkey_list(CellOffset offset) const {
  return required(read_subkey_list(cell(offset)), offset, "list of subkeys");
}

SecurityNode Tree::security_node(CellOffset offset) const {
  return required(read_security_node(cell(offset)), offset, "security descriptor");
}

CellOffset Tree::root() const {
  return root_;
}

KeyRecord Tree::key(CellOffset offset) const {
  const KeyNode node = key_node(offset);
  KeyRecord key;
  key.flags = node.flags;
  key.control_flags = node.control_flags;
  key.access_bits = node.access_bits;
  key.last_written = node.last_written;
  key.parent = node.parent;
  key.security = node.security;
  key.name = node.name.bytes;
  key.latin1_name = node.name.latin1;
  if (node.class_size == 0) return key;  // whatever the offset is
  const Cell class_cell = cell(node.class_name);
  if (class_cell.size() < node.class_size) throw Error("hive has a class name that is cut short");
  key.class_name = class_cell.first(node.class_size);
  return key;
}

std::vector<CellOffset> Tree::subkeys(CellOffset key) const {
  const KeyNode node = key_node(key);
  if (node.subkeys == 0) return {};
  // Every key has a cell of its own; this bounds what lists that repeat each other can cost.
  if (node.subkeys > bins_.size() / 8) throw Error("hive has an impossible number of subkeys");
  std::vector<CellOffset> keys;
  const auto append = [&](const SubkeyList& list) {
    if (list.kind == SubkeyList::Kind::index) throw Error("hive has nested lists of subkeys");
    if (list.count > node.subkeys - keys.size()) throw Error("hive has too many subkeys in a list");
    for (std::size_t i = 0; i < list.count; ++i) keys.push_back(list.offset(i));
  };
  const SubkeyList top = subkey_list(node.subkey_list);
  if (top.kind != SubkeyList::Kind::index) {
    append(top);
  } else {
    for (std::size_t i = 0; i < top.count; ++i) append(subkey_list(top.offset(i)));
  }
  if (keys.size() != node.subkeys) throw Error("hive has too few subkeys in a list");
  return keys;
}

std::size_t Tree::longest_list(CellOffset key) const {
  const KeyNode node = key_node(key);
  if (node.subkeys == 0) return 0;
  const SubkeyList top = subkey_list(node.subkey_list);
  if (top.kind != SubkeyList::Kind::index) return top.count;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < top.count; ++i)
    longest = std::max<std::size_t>(longest, subkey_list(top.offset(i)).count);
  return longest;
}

std::vector<CellOffset> Tree::values(CellOffset key) const {
  const KeyNode node = key_node(key);
  if (node.values == 0) return {};
  const Cell list = cell(node.value_list);
  if (node.values > list.size() / 4) throw Error("hive has a list of values that is cut short");
  std::vector<CellOffset> values(node.values);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = offset_at(list, i);
  return values;
}

ValueRecord Tree::value(CellOffset offset) const {
  const ValueNode node = value_node(offset);
  return {node.name.bytes, node.name.latin1, node.flags,
          node.type,       node.size,        node.is_big(minor_version_)};
}

Bytes Tree::value_data(CellOffset value) const {
  const ValueNode node = value_node(value);
  if (node.size == 0) return {};
  if (node.is_big(minor_version_)) return big_data(node);
  const Cell from = node.is_inline ? node.data_field : cell(node.data);
  if (from.size() < node.size) throw Error("hive has a value whose data are cut short");
  const Cell data = from.first(node.size);
  return {data.begin(), data.end()};
}

Bytes Tree::big_data(const ValueNode& value) const {
  if (value.size > bins_.size()) throw Error("hive has a value that is larger than itself");
  const BigData record = required(read_big_data(cell(value.data)), value.data, "big data");
  const Cell list = cell(record.list);
  if (record.segments > list.size() / 4) throw Error("hive has a list of segments cut short");
  Bytes data;
  data.reserve(value.size);
  for (std::size_t i = 0; i < record.segments && data.size() < value.size; ++i) {
    const Cell segment = cell(offset_at(list, i));
    const std::size_t wanted = std::min<std::size_t>(largest_plain_value, value.size - data.size());
    if (segment.size() < wanted) throw Error("hive has a data segment that is cut short");
    data.insert(data.end(), segment.begin(), segment.begin() + static_cast<std::ptrdiff_t>(wanted));
  }
  if (data.size() != value.size) throw Error("hive has a value with too few data segments");
  return data;
}

std::span<const std::byte> Tree::security_descriptor(CellOffset security) const {
  return security_node(security).descriptor;
}

std::uint32_t Tree::security_users(CellOffset security) const {
  return security_node(security).references;
}

}  // namespace kvmnet::hive

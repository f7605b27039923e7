// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/record.h"

#include "hive/base_block.h"

namespace kvmnet::hive {
namespace {

constexpr std::uint16_t tag(char a, char b) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(a) | (static_cast<unsigned>(b) << 8));
}

bool is_record(Cell cell, std::uint16_t expected, std::size_t size) {
  return cell.size() >= size && read_u16(cell, 0) == expected;
}

std::optional<SubkeyList::Kind> list_kind(std::uint16_t tag_found) {
  switch (tag_found) {
    case tag('l', 'i'):
      return SubkeyList::Kind::plain;
    case tag('l', 'f'):
      return SubkeyList::Kind::hinted;
    case tag('l', 'h'):
      return SubkeyList::Kind::hashed;
    case tag('r', 'i'):
      return SubkeyList::Kind::index;
    default:
      return std::nullopt;
  }
}

std::size_t entry_size(SubkeyList::Kind kind) {
  return kind == SubkeyList::Kind::hinted || kind == SubkeyList::Kind::hashed ? 8 : 4;
}

}  // namespace

std::optional<Cell> used_cell(std::span<const std::byte> bins, CellOffset offset) {
  if (offset % 8 != 0 || bins.size() < 8 || offset > bins.size() - 8) return std::nullopt;
  // The size of a used cell is stored as a negative number.
  const std::uint32_t size = 0U - read_u32(bins, offset);
  if (size < 8 || size % 8 != 0 || size > bins.size() - offset) return std::nullopt;
  return bins.subspan(offset + 4, size - 4);
}

CellOffset offset_at(Cell list, std::size_t index) {
  return read_u32(list, index * 4);
}

std::optional<KeyNode> read_key_node(Cell cell) {
  constexpr std::size_t fixed_size = 76;
  if (!is_record(cell, tag('n', 'k'), fixed_size)) return std::nullopt;
  const std::size_t name_size = read_u16(cell, 72);
  if (name_size > cell.size() - fixed_size) return std::nullopt;
  KeyNode key;
  key.flags = read_u16(cell, 2);
  key.last_written = read_u32(cell, 4) | (std::uint64_t{read_u32(cell, 8)} << 32);
  key.access_bits = read_u32(cell, 12);
  key.parent = read_u32(cell, 16);
  key.subkeys = read_u32(cell, 20);
  key.subkey_list = read_u32(cell, 28);
  key.values = (key.flags & KeyNode::predefined_handle) != 0 ? 0 : read_u32(cell, 36);
  key.value_list = read_u32(cell, 40);
  key.security = read_u32(cell, 44);
  key.class_name = read_u32(cell, 48);
  key.control_flags = read_u16(cell, 54);
  key.class_size = read_u16(cell, 74);
  key.name = {cell.subspan(fixed_size, name_size), (key.flags & KeyNode::latin1_name) != 0};
  return key;
}

CellOffset SubkeyList::offset(std::size_t index) const {
  return read_u32(entries, index * entry_size(kind));
}

std::uint32_t SubkeyList::hint(std::size_t index) const {
  return read_u32(entries, index * entry_size(kind) + 4);
}

std::optional<SubkeyList> read_subkey_list(Cell cell) {
  if (cell.size() < 4) return std::nullopt;
  const auto kind = list_kind(read_u16(cell, 0));
  if (!kind) return std::nullopt;
  const std::uint16_t count = read_u16(cell, 2);
  const std::size_t size = count * entry_size(*kind);
  if (size > cell.size() - 4) return std::nullopt;
  return SubkeyList{*kind, count, cell.subspan(4, size)};
}

std::optional<ValueNode> read_value_node(Cell cell) {
  constexpr std::size_t fixed_size = 20;
  constexpr std::uint32_t stored_inline = 0x80000000;
  constexpr std::uint16_t latin1_name = 1;
  if (!is_record(cell, tag('v', 'k'), fixed_size)) return std::nullopt;
  const std::size_t name_size = read_u16(cell, 2);
  if (name_size > cell.size() - fixed_size) return std::nullopt;
  const std::uint32_t raw_size = read_u32(cell, 4);
  ValueNode value;
  value.flags = read_u16(cell, 16);
  value.name = {cell.subspan(fixed_size, name_size), (value.flags & latin1_name) != 0};
  value.size = raw_size & ~stored_inline;
  value.is_inline = (raw_size & stored_inline) != 0;
  value.data = read_u32(cell, 8);
  value.data_field = cell.subspan(8, 4);
  value.type = read_u32(cell, 12);
  return value;
}

std::optional<SecurityNode> read_security_node(Cell cell) {
  constexpr std::size_t fixed_size = 20;
  if (!is_record(cell, tag('s', 'k'), fixed_size)) return std::nullopt;
  const std::uint32_t size = read_u32(cell, 16);
  if (size > cell.size() - fixed_size) return std::nullopt;
  return SecurityNode{read_u32(cell, 4), read_u32(cell, 8), read_u32(cell, 12),
                      cell.subspan(fixed_size, size)};
}

std::optional<BigData> read_big_data(Cell cell) {
  if (!is_record(cell, tag('d', 'b'), 8)) return std::nullopt;
  return BigData{read_u16(cell, 2), read_u32(cell, 4)};
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// The records in the cells of a hive, for all code that has the hive in memory. Each function looks
// at one cell only and returns nothing unless the whole record lies inside it; where offsets in a
// record lead to is the caller's question.
// Format: msuhanov/regf specification, "Cell" and what follows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "hive/stored_name.h"

namespace kvmnet::hive {

using CellOffset = std::uint32_t;  // relative to the end of the base block
inline constexpr CellOffset no_cell = 0xFFFFFFFF;

using Cell = std::span<const std::byte>;  // its data, without the size in front

inline constexpr std::size_t bin_header_size = 32;

// Value data above this size are a `db` record from hive version 1.4 on; also the size of each of
// its segments but the last.
inline constexpr std::uint32_t largest_plain_value = 16344;

// The two letters that a record begins with.
constexpr std::uint16_t tag(char a, char b) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(a) | (static_cast<unsigned>(b) << 8));
}
inline bool is_record(Cell cell, std::uint16_t expected, std::size_t size) {
  return cell.size() >= size && read_u16(cell, 0) == expected;
}

// The used cell at `offset` of the hive bins data `bins`.
inline std::optional<Cell> used_cell(std::span<const std::byte> bins, CellOffset offset) {
  if (offset % 8 != 0 || bins.size() < 8 || offset > bins.size() - 8) return std::nullopt;
  // The size of a used cell is stored as a negative number.
  const std::uint32_t size = 0U - read_u32(bins, offset);
  if (size < 8 || size % 8 != 0 || size > bins.size() - offset) return std::nullopt;
  return bins.subspan(offset + 4, size - 4);
}

// The `index`th offset of a list of offsets, which the caller has checked to hold it.
inline CellOffset offset_at(Cell list, std::size_t index) {
  return read_u32(list, index * 4);
}

struct KeyNode {
  enum : std::uint16_t { symbolic_link = 0x10, latin1_name = 0x20, predefined_handle = 0x40 };
  std::uint16_t flags = 0;
  std::uint64_t last_written = 0;  // FILETIME
  // From Windows 8 on: who has opened the key; from Windows 10 on also how it is layered.
  std::uint32_t access_bits = 0;
  CellOffset parent = no_cell;  // without meaning in the root
  std::uint32_t subkeys = 0;
  CellOffset subkey_list = no_cell;
  std::uint32_t values = 0;  // 0 where the field holds a predefined handle instead
  CellOffset value_list = no_cell;
  CellOffset security = no_cell;
  CellOffset class_name = no_cell;
  std::uint16_t class_size = 0;
  // From Vista on: virtualization and Wow64 flags, above the length of the longest subkey's name.
  std::uint16_t control_flags = 0;
  StoredName name;
};
// The part of the record before the name, and the size of that as this part tells it; nothing if it
// is no key.
inline constexpr std::size_t key_fixed_size = 76;
inline std::optional<std::size_t> key_name_size(Cell fixed) {
  if (!is_record(fixed, tag('n', 'k'), key_fixed_size)) return std::nullopt;
  return read_u16(fixed, 72);
}
// Made where it is returned, as values are: a copy of fields just written waits for each of them.
inline std::optional<KeyNode> read_key_node(Cell cell) {
  std::optional<KeyNode> found;
  const auto name_size = key_name_size(cell);
  if (!name_size || *name_size > cell.size() - key_fixed_size) return found;
  KeyNode& key = found.emplace();
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
  key.name = {cell.subspan(key_fixed_size, *name_size), (key.flags & KeyNode::latin1_name) != 0};
  return found;
}

// One of `li`, `lf`, `lh` (lists of keys) and `ri` (list of such lists).
struct SubkeyList {
  enum class Kind { plain, hinted, hashed, index };
  Kind kind = Kind::plain;
  std::uint16_t count = 0;
  Cell entries;

  std::size_t entry_size() const { return kind == Kind::hinted || kind == Kind::hashed ? 8 : 4; }
  CellOffset offset(std::size_t index) const { return read_u32(entries, index * entry_size()); }
  // Of the kinds hinted and hashed only.
  std::uint32_t hint(std::size_t index) const {
    return read_u32(entries, index * entry_size() + 4);
  }
};
std::optional<SubkeyList> read_subkey_list(Cell cell);

struct ValueNode {
  StoredName name;
  std::uint32_t size = 0;  // of the data
  std::uint32_t type = 0;
  std::uint16_t flags = 0;
  bool is_inline = false;     // the data are in the record: `data_field`
  CellOffset data = no_cell;  // where they are otherwise
  Cell data_field;

  // Whether the data are in a `db` record, in a hive of that minor version.
  bool is_big(std::uint32_t minor) const {
    return !is_inline && size > largest_plain_value && minor > 3;
  }
};
// As of keys.
inline constexpr std::size_t value_fixed_size = 20;
inline std::optional<std::size_t> value_name_size(Cell fixed) {
  if (!is_record(fixed, tag('v', 'k'), value_fixed_size)) return std::nullopt;
  return read_u16(fixed, 2);
}
inline std::optional<ValueNode> read_value_node(Cell cell) {
  constexpr std::uint32_t stored_inline = 0x80000000;
  constexpr std::uint16_t latin1_name = 1;
  std::optional<ValueNode> found;
  const auto name_size = value_name_size(cell);
  if (!name_size || *name_size > cell.size() - value_fixed_size) return found;
  const std::uint32_t raw_size = read_u32(cell, 4);
  ValueNode& value = found.emplace();
  value.flags = read_u16(cell, 16);
  value.name = {cell.subspan(value_fixed_size, *name_size), (value.flags & latin1_name) != 0};
  value.size = raw_size & ~stored_inline;
  value.is_inline = (raw_size & stored_inline) != 0;
  value.data = read_u32(cell, 8);
  value.data_field = cell.subspan(8, 4);
  value.type = read_u32(cell, 12);
  return found;
}

struct SecurityNode {
  CellOffset next = no_cell;
  CellOffset previous = no_cell;
  std::uint32_t references = 0;
  Cell descriptor;
};
std::optional<SecurityNode> read_security_node(Cell cell);

struct BigData {
  std::uint16_t segments = 0;
  CellOffset list = no_cell;
};
std::optional<BigData> read_big_data(Cell cell);

}  // namespace kvmnet::hive

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

// The used cell at `offset` of the hive bins data `bins`.
std::optional<Cell> used_cell(std::span<const std::byte> bins, CellOffset offset);

// The `index`th offset of a list of offsets, which the caller has checked to hold it.
CellOffset offset_at(Cell list, std::size_t index);

struct KeyNode {
  enum : std::uint16_t { latin1_name = 0x20, predefined_handle = 0x40 };
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
std::optional<KeyNode> read_key_node(Cell cell);

// One of `li`, `lf`, `lh` (lists of keys) and `ri` (list of such lists).
struct SubkeyList {
  enum class Kind { plain, hinted, hashed, index };
  Kind kind = Kind::plain;
  std::uint16_t count = 0;
  Cell entries;

  CellOffset offset(std::size_t index) const;
  std::uint32_t hint(std::size_t index) const;  // of the kinds hinted and hashed only
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
std::optional<ValueNode> read_value_node(Cell cell);

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

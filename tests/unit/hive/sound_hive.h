// SPDX-License-Identifier: GPL-2.0-or-later
// A small sound hive with one of every kind of record, and where each of them is, so that tests can
// damage it field by field.
#pragma once

#include <functional>

#include "hive/tree.h"
#include "tests/unit/hive/crafted_hive.h"

namespace kvmnet::test {

// Offsets of cells, relative to the end of the base block:
//   root   its own security descriptor, subkeys through an index of two hash leaves
//     \Alpha  class name; values "Inline", "Plain" and "Big", a `db` record of three segments
//     \Beta   a fast leaf of one: \Beta\Delta, with an index leaf of one: \Beta\Delta\Echo
//     \Gamma
struct SoundHive {
  Bytes bytes;
  std::uint32_t root, alpha, beta, gamma, delta, echo;
  std::uint32_t index, first_leaf, second_leaf, fast_leaf, plain_leaf;
  std::uint32_t class_name, value_list, inline_value, plain_value, big_value, plain_data;
  std::uint32_t big_data, segment_list, last_segment;
  std::uint32_t root_security, security;

  // Of a field of the record in a cell, in the file.
  static std::size_t at(std::uint32_t cell, std::size_t field) { return 4096 + cell + 4 + field; }
  std::uint32_t u32(std::uint32_t cell, std::size_t field) const {
    return load_u32(bytes, at(cell, field));
  }
  void set_u32(std::uint32_t cell, std::size_t field, std::uint32_t number) {
    store_u32(bytes, at(cell, field), number);
  }
  void set_u16(std::uint32_t cell, std::size_t field, std::uint16_t number) {
    set_u8(cell, field, static_cast<std::uint8_t>(number & 0xFF));
    set_u8(cell, field + 1, static_cast<std::uint8_t>(number >> 8));
  }
  void set_u8(std::uint32_t cell, std::size_t field, std::uint8_t number) {
    bytes.at(at(cell, field)) = std::byte{number};
  }
};

SoundHive sound_hive();

// The hive with a chain of `depth` keys below the root.
Bytes chain_of_keys(unsigned depth);

// Calls `visit` for every key with its path, "" for the root, without recursion; throws where
// hive::Tree does.
void visit_keys(const hive::Tree& tree,
                const std::function<void(const std::string& path, hive::CellOffset key)>& visit);

// Real hives below $KVMNET_TEST_HIVES; all sound, but win8 and win10-1709 are dirty.
std::vector<std::string> names_of_real_hives();

}  // namespace kvmnet::test

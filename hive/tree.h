// SPDX-License-Identifier: GPL-2.0-or-later
// The records of a hive in memory, read with every bound checked. What check() finds sound can be
// read whole; of any other hive each call may throw hive::Error, and does nothing worse.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hive/record.h"
#include "hive/utf16.h"

namespace kvmnet::hive {

struct KeyRecord {
  std::uint16_t flags = 0;
  std::uint16_t control_flags = 0;  // virtualization, Wow64: see record.h
  std::uint32_t access_bits = 0;
  std::uint64_t last_written = 0;  // FILETIME
  CellOffset parent = no_cell;
  CellOffset security = no_cell;
  std::span<const std::byte> name;  // as stored
  bool latin1_name = false;         // else UTF-16LE
  std::span<const std::byte> class_name;
};

struct ValueRecord {
  std::span<const std::byte> name;  // as stored
  bool latin1_name = false;
  std::uint16_t flags = 0;
  std::uint32_t type = 0;
  std::uint32_t size = 0;    // of the data, in bytes
  bool is_big_data = false;  // stored in a `db` record

  // Hides a value of the layer below, in hives of containers: msuhanov/regf, "Key value".
  bool is_tombstone() const { return (flags & 2) != 0; }
};

class Tree {
 public:
  // `hive`: a whole primary file, which must outlive the tree. Throws hive::Error if its base block
  // is damaged; whether the hive is clean is the caller's question.
  explicit Tree(std::span<const std::byte> hive);

  CellOffset root() const;
  KeyRecord key(CellOffset offset) const;
  std::vector<CellOffset> subkeys(CellOffset key) const;  // in the order of the lists
  // How many of them are in the longest of its lists.
  std::size_t longest_list(CellOffset key) const;
  std::vector<CellOffset> values(CellOffset key) const;
  ValueRecord value(CellOffset offset) const;
  Bytes value_data(CellOffset value) const;
  std::span<const std::byte> security_descriptor(CellOffset security) const;
  // How many keys have that descriptor according to its record.
  std::uint32_t security_users(CellOffset security) const;

 private:
  Cell cell(CellOffset offset) const;
  KeyNode key_node(CellOffset offset) const;
  ValueNode value_node(CellOffset offset) const;
  SubkeyList subkey_list(CellOffset offset) const;
  SecurityNode security_node(CellOffset offset) const;
  Bytes big_data(const ValueNode& value) const;

  std::span<const std::byte> bins_;
  CellOffset root_ = no_cell;
  std::uint32_t minor_version_ = 0;
};

}  // namespace kvmnet::hive

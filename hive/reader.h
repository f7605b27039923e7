// SPDX-License-Identifier: GPL-2.0-or-later
// Reads single values out of a hive without loading it: a SOFTWARE hive has 80 to 120 MB, and the
// Windows version is a few hundred bytes of it.
//
// Every byte comes from a guest and is taken for hostile: sizes and offsets are checked against
// the hive before they are used, the work per lookup is bounded, and there is no recursion.
// Format: msuhanov/regf specification.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "hive/base_block.h"
#include "hive/key_path.h"
#include "hive/record.h"
#include "hive/source.h"
#include "hive/value.h"

namespace kvmnet::hive {

class Reader {
 public:
  // Reads the base block only.
  Reader(ReadAt read_at, std::uint64_t file_size);

  const BaseBlock& base_block() const { return base_; }

  // The names asked for are ASCII. Nothing if the key or the value is not there. Throws hive::Error
  // unless the hive is clean, on damage, and on a value above 16344 bytes.
  std::optional<Value> value(const KeyPath& key, std::string_view name);

 private:
  struct Cell {
    std::uint64_t offset;  // of the cell's data, in the file
    std::size_t size;      // of the cell's data
  };

  Bytes read(std::uint64_t offset, std::size_t size);
  const Bytes& page(std::uint64_t number);
  Cell cell(std::uint32_t relative);
  static void check_part(const Cell& cell, std::size_t offset, std::size_t size);
  Bytes part(const Cell& cell, std::size_t offset, std::size_t size);
  std::size_t size_of_key_name(const Cell& key);
  Bytes key_record(const Cell& key);
  Bytes list_record(const Cell& list);
  std::optional<Cell> subkey(const Cell& key, std::string_view name);
  std::optional<Cell> search_list(const SubkeyList& list, std::string_view name);
  bool key_is_named(const Cell& key, std::string_view name);
  std::optional<Value> value_of(const Cell& key, std::string_view name);
  Value value_of(const ValueNode& node);
  void count_step();

  ReadAt read_at_;
  BaseBlock base_;
  std::map<std::uint64_t, Bytes> pages_;
  std::size_t steps_ = 0;
};

}  // namespace kvmnet::hive

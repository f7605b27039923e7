// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/seal.h"

#include <algorithm>

#include "tests/fuzz/records.h"
#include "tests/support/minimal_hive.h"

namespace kvmnet::fuzz {
namespace {

using test::load_u32;
using test::store_u32;

constexpr std::uint32_t tag_lh = 0x686C;
constexpr std::uint32_t tag_nk = 0x6B6E;

std::uint32_t low_word(const Bytes& bytes, std::size_t offset) {
  return load_u32(bytes, offset) & 0xFFFF;
}

// Of a key's name of one byte for each character; that of others hardly ever gets so far.
std::uint32_t name_hash(const Bytes& hive, std::size_t name, std::size_t size) {
  std::uint32_t hash = 0;
  for (std::size_t at = name; at < std::min(name + size, hive.size()); ++at) {
    const auto c = std::to_integer<std::uint32_t>(hive[at]);
    hash = hash * 37 + (c >= 'a' && c <= 'z' ? c - 32 : c);
  }
  return hash;
}

void seal_list(Bytes& hive, const CellPlace& list) {
  constexpr std::size_t key_size = 76;
  const std::size_t count =
      std::min<std::size_t>(load_u32(hive, list.offset) >> 16, (list.size - 4) / 8);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t entry = list.offset + 4 + i * 8;
    const std::size_t key = std::size_t{4096} + load_u32(hive, entry) + 4;
    if (key + key_size > hive.size() || low_word(hive, key) != tag_nk) continue;
    store_u32(hive, entry + 4, name_hash(hive, key + key_size, low_word(hive, key + 72)));
  }
}

}  // namespace

void seal_header(Bytes& file) {
  if (file.size() >= 512) test::update_checksum(file);
}

void seal_entries(Bytes& log) {
  using Field = test::EntryField;
  for (const std::size_t entry : log_entries(log)) {
    const std::size_t size = load_u32(log, entry + Field::size);
    if (size < Field::references || size > log.size() - entry) continue;
    // To replace a number by itself redoes the hashes.
    test::forge(log, {0, entry, size, 0, 0}, Field::size, static_cast<std::uint32_t>(size));
  }
}

void seal_lists(Bytes& hive) {
  for (const CellPlace& cell : used_cells(hive))
    if (cell.size >= 4 && low_word(hive, cell.offset) == tag_lh) seal_list(hive, cell);
}

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/error.h"
#include "hive/record.h"

namespace kvmnet::hive {
namespace {

constexpr std::size_t page_size = 4096;
// More list entries than any lookup in a real hive visits; bounds the time a forged hive can cost.
constexpr std::size_t most_steps = 200'000;
constexpr std::size_t most_pages = 4096;
constexpr std::size_t most_values = 110'000;  // hivex reads no more either

constexpr std::uint16_t tag(char a, char b) {
  return static_cast<std::uint16_t>(static_cast<unsigned>(a) | (static_cast<unsigned>(b) << 8));
}

// The hash in an `lh` list, which Windows itself searches by. For ASCII names only.
std::uint32_t name_hash(std::string_view name) {
  std::uint32_t hash = 0;
  for (const char c : name) {
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    hash = hash * 37 + static_cast<unsigned char>(upper);
  }
  return hash;
}

// Whether `stored_size` bytes can be the ASCII name `name`: asked before reading them, because
// names of 64 KiB are possible and each costs time.
bool may_be_named(std::size_t stored_size, bool latin1, std::string_view name) {
  return stored_size == name.size() * (latin1 ? 1 : 2);
}

bool is_named(std::span<const std::byte> stored, bool latin1, std::string_view name) {
  return same_name(latin1 ? from_latin1(stored) : from_utf16le(stored), name);
}

}  // namespace

Reader::Reader(ReadAt read_at, std::uint64_t file_size) : read_at_(std::move(read_at)) {
  const Bytes start = read_at_(0, page_size);
  base_ = read_base_block(start, file_size);
  pages_[0] = start;
}

std::optional<Value> Reader::value(const KeyPath& key, std::string_view name) {
  if (base_.condition != Condition::clean) throw Error("hive is not clean: " + base_.reason);
  steps_ = 0;
  Cell node = cell(base_.root_cell);
  for (const std::string& element : key.elements()) {
    const auto next = subkey(node, element);
    if (!next) return std::nullopt;
    node = *next;
  }
  return value_of(node, name);
}

const Bytes& Reader::page(std::uint64_t number) {
  const auto [entry, added] = pages_.try_emplace(number);
  if (added) {
    if (pages_.size() > most_pages) throw Error("hive makes a lookup read too much of it");
    entry->second = read_at_(number * page_size, page_size);
  }
  if (entry->second.size() != page_size) throw Error("hive ends inside a page");
  return entry->second;
}

Bytes Reader::read(std::uint64_t offset, std::size_t size) {
  Bytes out;
  out.reserve(size);
  while (size > 0) {
    const Bytes& source = page(offset / page_size);
    const std::size_t start = offset % page_size;
    const std::size_t n = std::min(size, page_size - start);
    const auto from = source.begin() + static_cast<std::ptrdiff_t>(start);
    out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(n));
    offset += n;
    size -= n;
  }
  return out;
}

void Reader::count_step() {
  if (++steps_ > most_steps) throw Error("hive has more subkeys or values than are searched");
}

Reader::Cell Reader::cell(std::uint32_t relative) {
  if (relative % 8 != 0 || relative > base_.bins_size - 8)
    throw Error(fmt::format("hive refers to a cell at {:#x}, outside of it", relative));
  const std::uint64_t offset = base_block_size + relative;
  // A used cell has a negative size.
  const std::uint32_t size = 0U - read_u32(read(offset, 4), 0);
  if (size < 8 || size % 8 != 0 || size > base_.bins_size - relative)
    throw Error(fmt::format("hive cell at {:#x} has an impossible size", relative));
  return {offset + 4, size - 4};
}

void Reader::check_part(const Cell& cell, std::size_t offset, std::size_t size) {
  if (offset > cell.size || size > cell.size - offset) throw Error("hive record is cut short");
}

Bytes Reader::part(const Cell& cell, std::size_t offset, std::size_t size) {
  check_part(cell, offset, size);
  return read(cell.offset + offset, size);
}

std::optional<Reader::Cell> Reader::subkey(const Cell& key, std::string_view name) {
  const Bytes node = part(key, 0, 76);
  if (read_u16(node, 0) != tag('n', 'k')) throw Error("hive cell is not a key");
  const std::uint32_t count = read_u32(node, 20);
  const std::uint32_t list_offset = read_u32(node, 28);
  if (count == 0 || list_offset == no_cell) return std::nullopt;
  const Cell list = cell(list_offset);
  const Bytes header = part(list, 0, 4);
  if (read_u16(header, 0) != tag('r', 'i')) return search_list(list, name);
  // An index of lists; Windows has one level of it only.
  const std::size_t lists = read_u16(header, 2);
  const Bytes offsets = part(list, 4, lists * 4);
  for (std::size_t i = 0; i < lists; ++i)
    if (const auto found = search_list(cell(read_u32(offsets, i * 4)), name)) return found;
  return std::nullopt;
}

std::optional<Reader::Cell> Reader::search_list(const Cell& list, std::string_view name) {
  const Bytes header = part(list, 0, 4);
  const std::uint16_t kind = read_u16(header, 0);
  const bool hashed = kind == tag('l', 'h');
  if (!hashed && kind != tag('l', 'f') && kind != tag('l', 'i'))
    throw Error("hive cell is not a list of subkeys");
  const std::size_t entry_size = kind == tag('l', 'i') ? 4 : 8;
  const std::size_t count = read_u16(header, 2);
  const Bytes entries = part(list, 4, count * entry_size);
  for (std::size_t at = 0; at < entries.size(); at += entry_size) {
    count_step();
    if (hashed && read_u32(entries, at + 4) != name_hash(name)) continue;
    const Cell key = cell(read_u32(entries, at));
    if (key_is_named(key, name)) return key;
  }
  return std::nullopt;
}

bool Reader::key_is_named(const Cell& key, std::string_view name) {
  const Bytes node = part(key, 0, 76);
  if (read_u16(node, 0) != tag('n', 'k')) throw Error("hive cell is not a key");
  constexpr std::uint16_t latin1_name = 0x20;
  const bool latin1 = (read_u16(node, 2) & latin1_name) != 0;
  const std::size_t size = read_u16(node, 72);
  check_part(key, 76, size);
  return may_be_named(size, latin1, name) && is_named(part(key, 76, size), latin1, name);
}

std::optional<Value> Reader::value_of(const Cell& key, std::string_view name) {
  const Bytes node = part(key, 0, 76);
  const std::size_t count = read_u32(node, 36);
  if (count == 0) return std::nullopt;
  if (count > most_values) throw Error("hive key has an impossible number of values");
  const Bytes offsets = part(cell(read_u32(node, 40)), 0, count * 4);
  for (std::size_t i = 0; i < count; ++i) {
    count_step();
    const Cell record = cell(read_u32(offsets, i * 4));
    const Bytes fixed = part(record, 0, 20);
    if (read_u16(fixed, 0) != tag('v', 'k')) throw Error("hive cell is not a value");
    constexpr std::uint16_t latin1_name = 1;
    const bool latin1 = (read_u16(fixed, 16) & latin1_name) != 0;
    const std::size_t size = read_u16(fixed, 2);
    check_part(record, 20, size);
    if (may_be_named(size, latin1, name) && is_named(part(record, 20, size), latin1, name))
      return value_data(fixed);
  }
  return std::nullopt;
}

Value Reader::value_data(const Bytes& record) {
  constexpr std::uint32_t stored_inline = 0x80000000;
  const std::uint32_t raw_size = read_u32(record, 4);
  const std::size_t size = raw_size & ~stored_inline;
  Value value{static_cast<Type>(read_u32(record, 12)), {}};
  if ((raw_size & stored_inline) != 0) {
    if (size > 4) throw Error("hive value has an impossible size");
    value.data.assign(record.begin() + 8, record.begin() + 8 + static_cast<std::ptrdiff_t>(size));
  } else if (size > largest_plain_value) {
    throw Error("hive value is too large to be read singly");
  } else if (size > 0) {
    value.data = part(cell(read_u32(record, 8)), 0, size);
  }
  return value;
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

constexpr std::size_t page_size = 4096;
// More list entries than any lookup in a real hive visits; bounds the time a forged hive can cost.
constexpr std::size_t most_steps = 200'000;
constexpr std::size_t most_pages = 4096;
constexpr std::size_t most_values = 110'000;  // hivex reads no more either

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
bool may_be_named(std::size_t stored_size, std::string_view name) {
  return stored_size == name.size() || stored_size == name.size() * 2;
}

template <typename Record>
Record required(const std::optional<Record>& record, const char* what) {
  if (!record) throw Error(fmt::format("hive cell is not {}, or it is cut short", what));
  return *record;
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

std::size_t Reader::size_of_key_name(const Cell& key) {
  const std::size_t size = required(key_name_size(part(key, 0, key_fixed_size)), "a key");
  check_part(key, key_fixed_size, size);
  return size;
}

Bytes Reader::key_record(const Cell& key) {
  return part(key, 0, key_fixed_size + size_of_key_name(key));
}

// Not all of its cell: that may be as large as the hive.
Bytes Reader::list_record(const Cell& list) {
  count_step();
  constexpr std::size_t head = 4, largest_entry = 8;
  const std::size_t count = read_u16(part(list, 0, head), 2);
  return part(list, 0, std::min(list.size, head + largest_entry * count));
}

std::optional<Reader::Cell> Reader::subkey(const Cell& key, std::string_view name) {
  const Bytes record = key_record(key);
  const KeyNode node = required(read_key_node(record), "a key");
  if (node.subkeys == 0 || node.subkey_list == no_cell) return std::nullopt;
  const Bytes bytes = list_record(cell(node.subkey_list));
  const SubkeyList list = required(read_subkey_list(bytes), "a list of subkeys");
  if (list.kind != SubkeyList::Kind::index) return search_list(list, name);
  // An index of lists; Windows has one level of it only.
  for (std::size_t i = 0; i < list.count; ++i) {
    const Bytes part_bytes = list_record(cell(list.offset(i)));
    const SubkeyList part = required(read_subkey_list(part_bytes), "a list of subkeys");
    if (part.kind == SubkeyList::Kind::index) throw Error("hive has nested lists of subkeys");
    if (const auto found = search_list(part, name)) return found;
  }
  return std::nullopt;
}

std::optional<Reader::Cell> Reader::search_list(const SubkeyList& list, std::string_view name) {
  const bool hashed = list.kind == SubkeyList::Kind::hashed;
  for (std::size_t i = 0; i < list.count; ++i) {
    count_step();
    if (hashed && list.hint(i) != name_hash(name)) continue;
    const Cell key = cell(list.offset(i));
    if (key_is_named(key, name)) return key;
  }
  return std::nullopt;
}

bool Reader::key_is_named(const Cell& key, std::string_view name) {
  if (!may_be_named(size_of_key_name(key), name)) return false;
  const Bytes record = key_record(key);
  return same_name(required(read_key_node(record), "a key").name.text(), name);
}

std::optional<Value> Reader::value_of(const Cell& key, std::string_view name) {
  const Bytes record = key_record(key);
  const KeyNode node = required(read_key_node(record), "a key");
  if (node.values == 0) return std::nullopt;
  if (node.values > most_values) throw Error("hive key has an impossible number of values");
  const Bytes offsets = part(cell(node.value_list), 0, node.values * std::size_t{4});
  for (std::size_t i = 0; i < node.values; ++i) {
    count_step();
    const Cell value = cell(offset_at(offsets, i));
    const std::size_t name_size =
        required(value_name_size(part(value, 0, value_fixed_size)), "a value");
    check_part(value, value_fixed_size, name_size);
    if (!may_be_named(name_size, name)) continue;
    const Bytes bytes = part(value, 0, value_fixed_size + name_size);
    const ValueNode found = required(read_value_node(bytes), "a value");
    if (same_name(found.name.text(), name)) return value_of(found);
  }
  return std::nullopt;
}

Value Reader::value_of(const ValueNode& node) {
  Value value{static_cast<Type>(node.type), {}};
  if (node.is_inline) {
    if (node.size > node.data_field.size()) throw Error("hive value has an impossible size");
    value.data.assign(node.data_field.begin(), node.data_field.begin() + node.size);
  } else if (node.size > largest_plain_value) {
    throw Error("hive value is too large to be read singly");
  } else if (node.size > 0) {
    value.data = part(cell(node.data), 0, node.size);
  }
  return value;
}

}  // namespace kvmnet::hive

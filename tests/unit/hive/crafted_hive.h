// SPDX-License-Identifier: GPL-2.0-or-later
// A hive written cell by cell, sound or not, for what no tool would write.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "hive/reader.h"
#include "tests/support/minimal_hive.h"

namespace kvmnet::test {

using hive::Bytes;

class CraftedHive {
 public:
  static constexpr std::uint32_t none = 0xFFFFFFFF;
  enum : std::uint16_t { latin1_key = 0x20, latin1_value = 1 };

  CraftedHive() : hive_(minimal_hive()) { hive_.resize(4096 + 32); }

  // A used cell; returns its offset relative to the bins.
  std::uint32_t cell(const Bytes& contents) {
    const std::size_t size = (4 + contents.size() + 7) / 8 * 8;
    const std::size_t at = hive_.size();
    hive_.resize(at + size);
    store_u32(hive_, at, 0U - static_cast<std::uint32_t>(size));
    std::copy(contents.begin(), contents.end(),
              hive_.begin() + static_cast<std::ptrdiff_t>(at) + 4);
    return static_cast<std::uint32_t>(at - 4096);
  }

  std::uint32_t key(std::string_view name, std::uint32_t subkeys, std::uint32_t subkey_list,
                    std::uint32_t values = 0, std::uint32_t value_list = none,
                    std::uint16_t flags = latin1_key) {
    Bytes nk(76 + name.size());
    text(nk, 0, "nk");
    u16(nk, 2, flags);
    store_u32(nk, 20, subkeys);
    store_u32(nk, 28, subkey_list);
    store_u32(nk, 36, values);
    store_u32(nk, 40, value_list);
    u16(nk, 72, static_cast<std::uint16_t>(name.size()));
    text(nk, 76, name);
    return cell(nk);
  }

  // A value whose data are the four bytes of `number`, in the record itself.
  std::uint32_t value(std::string_view name, std::uint32_t number,
                      std::uint16_t flags = latin1_value) {
    return value(name, 4, 0x80000004, number, flags);
  }
  std::uint32_t value(std::string_view name, std::uint32_t type, std::uint32_t size,
                      std::uint32_t data, std::uint16_t flags = latin1_value) {
    Bytes vk(20 + name.size());
    text(vk, 0, "vk");
    u16(vk, 2, static_cast<std::uint16_t>(name.size()));
    store_u32(vk, 4, size);
    store_u32(vk, 8, data);
    store_u32(vk, 12, type);
    u16(vk, 16, flags);
    text(vk, 20, name);
    return cell(vk);
  }

  // A list of subkeys ("li", "ri": no hash; "lf", "lh": `hash` for each).
  std::uint32_t list(std::string_view kind, const std::vector<std::uint32_t>& offsets,
                     std::uint32_t hash = 0) {
    const bool hashed = kind == "lf" || kind == "lh";
    Bytes bytes(4 + offsets.size() * (hashed ? 8 : 4));
    text(bytes, 0, kind);
    u16(bytes, 2, static_cast<std::uint16_t>(offsets.size()));
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      store_u32(bytes, 4 + i * (hashed ? 8 : 4), offsets[i]);
      if (hashed) store_u32(bytes, 8 + i * 8, hash);
    }
    return cell(bytes);
  }

  std::uint32_t value_list(const std::vector<std::uint32_t>& offsets) {
    Bytes bytes(offsets.size() * 4);
    for (std::size_t i = 0; i < offsets.size(); ++i) store_u32(bytes, i * 4, offsets[i]);
    return cell(bytes);
  }

  // The hive with `root` as its root key and one bin around everything.
  Bytes finish(std::uint32_t root) {
    Bytes hive = hive_;
    hive.resize((hive.size() + 4095) / 4096 * 4096);
    const auto bins_size = static_cast<std::uint32_t>(hive.size() - 4096);
    if (hive.size() > hive_.size())  // the rest is one free cell
      store_u32(hive, hive_.size(), static_cast<std::uint32_t>(hive.size() - hive_.size()));
    store_u32(hive, 4096 + 8, bins_size);
    store_u32(hive, 36, root);
    store_u32(hive, 40, bins_size);
    update_checksum(hive);
    return hive;
  }

 private:
  static void u16(Bytes& bytes, std::size_t at, std::uint16_t number) {
    bytes.at(at) = static_cast<std::byte>(number & 0xFF);
    bytes.at(at + 1) = static_cast<std::byte>(number >> 8);
  }
  static void text(Bytes& bytes, std::size_t at, std::string_view text) {
    for (const char c : text) bytes.at(at++) = static_cast<std::byte>(c);
  }

  Bytes hive_;
};

// Reads out of memory, and keeps account of it.
struct MemorySource {
  const Bytes& bytes;
  std::size_t reads = 0;
  std::uint64_t transferred = 0;
  bool outside = false;  // something was asked for that the file does not have

  Bytes operator()(std::uint64_t offset, std::size_t size) {
    ++reads;
    if (offset > bytes.size() || size > bytes.size() - offset) outside = true;
    const std::size_t start = std::min<std::uint64_t>(offset, bytes.size());
    const std::size_t n = std::min(size, bytes.size() - start);
    transferred += n;
    const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(start);
    return {from, from + static_cast<std::ptrdiff_t>(n)};
  }
};

inline hive::Reader reader(MemorySource& source) {
  return {std::ref(source), source.bytes.size()};
}

}  // namespace kvmnet::test

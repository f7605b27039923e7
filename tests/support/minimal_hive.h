// SPDX-License-Identifier: GPL-2.0-or-later
// The smallest sound registry hive, and the little that tests need to bend a hive's header.
// hivex cannot create a hive: tests start from this one and merge or add what they need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvmnet::test {

// A clean regf 1.5 hive of 8 KiB: base block, one bin with an empty root key and its security
// descriptor, the rest one free cell. Always the same bytes.
std::vector<std::byte> minimal_hive();

// Little-endian access; throws std::out_of_range beyond the end.
std::uint32_t load_u32(const std::vector<std::byte>& hive, std::size_t offset);
void store_u32(std::vector<std::byte>& hive, std::size_t offset, std::uint32_t value);
void store_u64(std::vector<std::byte>& hive, std::size_t offset, std::uint64_t value);

// Writes the header checksum that Windows expects: never 0 and never 0xFFFFFFFF.
void update_checksum(std::vector<std::byte>& hive);

// Equal numbers make a hive clean, different ones dirty. The checksum is redone.
void set_sequence_numbers(std::vector<std::byte>& hive, std::uint32_t primary,
                          std::uint32_t secondary);

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// The base block (file header) of a hive: is this a hive at all, and may it be read as it stands?
// Format: msuhanov/regf specification, "Base block" and "Dirty state of a hive".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace kvmnet::hive {

inline constexpr std::size_t base_block_size = 4096;

enum class Condition {
  clean,
  dirty,    // changes that Windows made are only in the transaction logs
  damaged,  // not a hive, or one that cannot be read safely
};

struct BaseBlock {
  Condition condition = Condition::damaged;
  std::string reason;  // why it is not clean; empty if it is
  std::uint32_t primary_sequence = 0;
  std::uint32_t secondary_sequence = 0;
  std::uint32_t root_cell = 0;  // both in bytes, relative to the end of the base block
  std::uint32_t bins_size = 0;
  std::uint32_t minor_version = 0;
};

// Reads a base block from the first bytes of a hive file of `file_size` bytes. A wrong checksum
// counts as dirty: Windows then recovers the header from a log.
BaseBlock read_base_block(std::span<const std::byte> start, std::uint64_t file_size);

// What is wrong with a base block besides its being dirty; empty if nothing is.
std::string damage(std::span<const std::byte> start, std::uint64_t file_size);

// The checksum to be stored at offset 508 of a base block, with the two substitutions that
// Windows makes. `start` has at least 508 bytes.
std::uint32_t base_block_checksum(std::span<const std::byte> start);

// The little-endian number at `offset`, which the caller has checked to lie inside `bytes`. Inline,
// and in a form that compilers make one load of: checking a hive reads millions of them.
inline std::uint16_t read_u16(std::span<const std::byte> bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[offset]) |
                                    (std::to_integer<unsigned>(bytes[offset + 1]) << 8));
}
inline std::uint32_t read_u32(std::span<const std::byte> bytes, std::size_t offset) {
  return std::to_integer<std::uint32_t>(bytes[offset]) |
         (std::to_integer<std::uint32_t>(bytes[offset + 1]) << 8) |
         (std::to_integer<std::uint32_t>(bytes[offset + 2]) << 16) |
         (std::to_integer<std::uint32_t>(bytes[offset + 3]) << 24);
}
// The other way round.
void write_u32(std::span<std::byte> bytes, std::size_t offset, std::uint32_t number);

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/base_block.h"

#include <fmt/format.h>

namespace kvmnet::hive {
namespace {

constexpr std::uint32_t signature_regf = 0x66676572;

// Empty if hivex and we may read a hive with this header; else what is wrong with it. What hivex
// itself does not look at is in this list, too: file type, format, versions, bins size.
std::string damaged_identity(std::span<const std::byte> start, std::uint64_t file_size) {
  if (start.size() < base_block_size || file_size < base_block_size)
    return "shorter than a base block";
  if (read_u32(start, 0) != signature_regf) return "does not begin with 'regf'";
  const std::uint32_t major = read_u32(start, 20);
  const std::uint32_t minor = read_u32(start, 24);
  if (major != 1 || minor < 3 || minor > 6)
    return fmt::format("unknown hive version {}.{}", major, minor);
  if (read_u32(start, 28) != 0) return "a transaction log, not a primary file";
  if (read_u32(start, 32) != 1) return "unknown file format";
  if (read_u32(start, 44) != 1) return "unsupported clustering factor";
  return {};
}

void read_fields(std::span<const std::byte> start, BaseBlock& block) {
  block.primary_sequence = read_u32(start, 4);
  block.secondary_sequence = read_u32(start, 8);
  block.minor_version = read_u32(start, 24);
  block.root_cell = read_u32(start, 36);
  block.bins_size = read_u32(start, 40);
}

std::string damaged_sizes(const BaseBlock& block, std::uint64_t file_size) {
  if (file_size % base_block_size != 0) return "file size is not a multiple of 4096";
  if (block.bins_size == 0 || block.bins_size % base_block_size != 0)
    return "hive bins size is not a multiple of 4096";
  if (block.bins_size > file_size - base_block_size)
    return fmt::format("truncated: {} bytes of hive bins announced, {} in the file",
                       block.bins_size, file_size - base_block_size);
  // Bit 31 of a cell's offset means "volatile".
  if (block.bins_size > 0x80000000) return "hive bins size is impossible";
  if (block.root_cell >= block.bins_size) return "root cell lies outside the hive";
  return {};
}

}  // namespace

void write_u32(std::span<std::byte> bytes, std::size_t offset, std::uint32_t number) {
  for (std::size_t i = 0; i < 4; ++i)
    bytes[offset + i] = static_cast<std::byte>((number >> (8 * i)) & 0xFF);
}

std::uint32_t base_block_checksum(std::span<const std::byte> start) {
  std::uint32_t sum = 0;
  for (std::size_t offset = 0; offset < 508; offset += 4) sum ^= read_u32(start, offset);
  if (sum == 0xFFFFFFFF) return 0xFFFFFFFE;
  return sum == 0 ? 1 : sum;
}

std::string damage(std::span<const std::byte> start, std::uint64_t file_size) {
  const std::string reason = damaged_identity(start, file_size);
  if (!reason.empty()) return reason;
  BaseBlock block;
  read_fields(start, block);
  return damaged_sizes(block, file_size);
}

BaseBlock read_base_block(std::span<const std::byte> start, std::uint64_t file_size) {
  BaseBlock block;
  block.reason = damaged_identity(start, file_size);
  if (!block.reason.empty()) return block;
  read_fields(start, block);
  block.condition = Condition::dirty;
  if (read_u32(start, 508) != base_block_checksum(start)) {
    block.reason = "header checksum is wrong, as after an interrupted write";
    return block;
  }
  if (block.primary_sequence != block.secondary_sequence) {
    block.reason = fmt::format("sequence numbers differ ({}/{})", block.primary_sequence,
                               block.secondary_sequence);
    return block;
  }
  block.reason = damaged_sizes(block, file_size);
  block.condition = block.reason.empty() ? Condition::clean : Condition::damaged;
  return block;
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// What file systems and partition tables lie on: a disk, or a part of one, as somebody else serves
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace kvmnet::direct {

struct BlockDevice {
  // Both stay within `size`, and throw if it cannot be done. No `write_at`: it is read-only.
  using ReadAt = std::function<void(std::uint64_t offset, std::span<std::byte> into)>;
  using WriteAt = std::function<void(std::uint64_t offset, std::span<const std::byte> bytes)>;

  std::uint64_t size = 0;  // bytes
  ReadAt read_at;
  WriteAt write_at;
};

// `length` bytes of it from `start` on. Throws Error if there are not so many.
BlockDevice part_of(const BlockDevice& device, std::uint64_t start, std::uint64_t length);

}  // namespace kvmnet::direct

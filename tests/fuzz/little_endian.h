// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers of up to 8 bytes in a run of bytes, which must reach so far.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kvmnet::fuzz {

inline std::uint64_t load(std::span<const std::byte> bytes, std::size_t offset, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;)
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[offset + i]);
  return value;
}

inline void store(std::span<std::byte> bytes, std::size_t offset, std::size_t width,
                  std::uint64_t value) {
  for (std::size_t i = 0; i < width; ++i)
    bytes[offset + i] = static_cast<std::byte>(value >> (8 * i) & 0xFF);
}

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/marvin32.h"

#include <bit>

#include "hive/base_block.h"

namespace kvmnet::hive {

void Marvin32::mix(std::uint32_t word) {
  low_ += word;
  high_ ^= low_;
  low_ = std::rotl(low_, 20) + high_;
  high_ = std::rotl(high_, 9) ^ low_;
  low_ = std::rotl(low_, 27) + high_;
  high_ = std::rotl(high_, 19);
}

void Marvin32::add(std::span<const std::byte> bytes) {
  for (; bytes.size() >= 4; bytes = bytes.subspan(4)) mix(read_u32(bytes, 0));
  for (std::size_t i = bytes.size(); i > 0; --i)
    rest_ = (rest_ << 8) | std::to_integer<std::uint32_t>(bytes[i - 1]);
}

std::uint64_t Marvin32::finish() {
  mix(rest_);
  mix(0);
  return (static_cast<std::uint64_t>(high_) << 32) | low_;
}

}  // namespace kvmnet::hive

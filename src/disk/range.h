// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

namespace kvmnet::disk {

// A part of a disk or of a file.
struct Range {
  std::uint64_t start = 0;  // bytes
  std::uint64_t length = 0;
  bool operator==(const Range&) const = default;
};

inline std::uint64_t length_of(const std::vector<Range>& ranges) {
  std::uint64_t length = 0;
  for (const Range& range : ranges) length += range.length;
  return length;
}

}  // namespace kvmnet::disk

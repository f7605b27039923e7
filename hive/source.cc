// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/source.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/error.h"

namespace kvmnet::hive {

Source source_of(std::span<const std::byte> bytes) {
  const auto read_at = [bytes](std::uint64_t offset, std::size_t size) {
    if (offset >= bytes.size()) return Bytes{};
    const auto part = bytes.subspan(offset, std::min<std::size_t>(size, bytes.size() - offset));
    return Bytes(part.begin(), part.end());
  };
  return {read_at, bytes.size()};
}

Bytes read_exactly(const Source& source, std::uint64_t offset, std::size_t size) {
  Bytes bytes = source.read_at(offset, size);
  if (bytes.size() != size) throw Error(fmt::format("the file ends before {:#x}", offset + size));
  return bytes;
}

}  // namespace kvmnet::hive

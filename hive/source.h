// SPDX-License-Identifier: GPL-2.0-or-later
// Where the bytes of a file come from: memory, or a file in a guest that is read page by page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "hive/utf16.h"

namespace kvmnet::hive {

// Returns up to `size` bytes at `offset`; fewer only at the end of the file.
using ReadAt = std::function<Bytes(std::uint64_t offset, std::size_t size)>;

struct Source {
  ReadAt read_at;
  std::uint64_t size = 0;  // of the file, in bytes
};

// `bytes` must outlive the source.
Source source_of(std::span<const std::byte> bytes);

// Exactly the bytes asked for. Throws hive::Error where the file ends before.
Bytes read_exactly(const Source& source, std::uint64_t offset, std::size_t size);

}  // namespace kvmnet::hive

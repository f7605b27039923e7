// SPDX-License-Identifier: GPL-2.0-or-later
// A hive's file in memory (memfd), as the edit and the replay change it. The descriptor stays the
// caller's. Everything throws hive::Error, and std::bad_alloc where memory is short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "hive/source.h"

namespace kvmnet::hive {

// The file's content, without a copy of it; not to be changed or made shorter meanwhile.
class MappedFile {
 public:
  explicit MappedFile(int fd);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

std::uint64_t file_size(int fd);
void resize_file(int fd, std::uint64_t size);
Bytes read_file(int fd, std::uint64_t offset, std::size_t size);
void write_file(int fd, std::uint64_t offset, std::span<const std::byte> bytes);

// Reads the file piece by piece; it may change meanwhile.
Source source_of(int fd);

}  // namespace kvmnet::hive

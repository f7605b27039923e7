// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of a file in memory, where they are: a copy of a hive costs as much as reading it.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "src/support/fd.h"

namespace kvmnet {

// Stays when the descriptor is closed. Whoever else has the file sees to it that it stays as it is,
// but nobody can make it shorter any more.
class MemoryView {
 public:
  MemoryView() = default;
  explicit MemoryView(const Fd& file);  // of make_memory_file()
  MemoryView(MemoryView&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MemoryView& operator=(MemoryView&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  MemoryView(const MemoryView&) = delete;
  MemoryView& operator=(const MemoryView&) = delete;
  ~MemoryView();

  // Maps all of it now, and not each page when it is first looked at.
  void load() const;
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace kvmnet

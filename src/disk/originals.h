// SPDX-License-Identifier: GPL-2.0-or-later
// What an overlay's disk had where it has been written to since. The image has it, too, but only a
// QEMU of its own would read it there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "src/disk/range.h"
#include "src/disk/served_disk.h"

namespace kvmnet::disk {

class Originals {
 public:
  // To be called before each write there. Reads what it has not got yet, in whole sectors. Throws
  // Error.
  void keep(ServedDisk& disk, const Range& written);
  // What was just read there: keep() need not read it again.
  void note(std::uint64_t offset, std::span<const std::byte> bytes);
  // Whether it has all that keep() was called for. After more than 32 MiB it has nothing.
  bool are_complete() const { return !too_much_; }
  // Puts it into `bytes`, which are what the disk has at `offset` now.
  void restore(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::vector<Range> missing_in(std::uint64_t from, std::uint64_t to) const;
  void add(std::uint64_t offset, std::vector<std::byte> bytes);

  std::map<std::uint64_t, std::vector<std::byte>> parts_;  // by offset; none lies in another
  std::uint64_t size_ = 0;                                 // of all
  bool too_much_ = false;
};

}  // namespace kvmnet::disk

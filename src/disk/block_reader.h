// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the disk that an image holds, as its guest sees it, through QEMU: a qemu-nbd of our own
// that has the image open read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/disk/range.h"
#include "src/support/subprocess.h"

struct nbd_handle;

namespace kvmnet::disk {

class BlockReader {
 public:
  // `options`: what --image-opts takes; name every driver, so that QEMU probes nothing. Throws
  // Error with qemu-nbd's own words.
  explicit BlockReader(const std::string& options);
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;
  ~BlockReader();

  std::uint64_t size() const { return size_; }  // of the disk, bytes
  void read(std::uint64_t offset, std::span<std::byte> into);
  // What the image itself holds and does not take from its backing file, in order, adjoining
  // ranges as one.
  std::vector<Range> allocated();

 private:
  [[noreturn]] void fail();

  std::unique_ptr<Server> server_;
  nbd_handle* nbd_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace kvmnet::disk

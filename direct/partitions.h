// SPDX-License-Identifier: GPL-2.0-or-later
// Where the volumes of a disk lie, as libblkid finds them, and what each is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "direct/block_device.h"

namespace kvmnet::direct {

enum class Content {
  ntfs,
  bitlocker,
  luks,
  unknown_layout,  // may hold a Windows, but not in a way that this library reads: ReFS, a part of
                   // a dynamic disk (LDM) or of a storage pool
  other,
};

struct Volume {
  unsigned number = 0;      // of the partition, as Linux numbers them; 0: a disk without partitions
  std::uint64_t start = 0;  // bytes
  std::uint64_t length = 0;
  Content content = Content::other;
  bool operator==(const Volume&) const = default;
};

// libblkid wants a file. It gets one of the size of the disk that has nothing but the disk's first
// and last `table_size` bytes and, each where it stands on the disk, the sectors of the chain that
// logical partitions hang on.
constexpr std::uint64_t table_size = 256 << 10;
constexpr std::size_t chain_sector_size = 512;
constexpr std::size_t longest_chain = 128;

// Reads the sectors of that chain with `read`, one after the other; where they stand.
std::vector<std::uint64_t> read_chain(const BlockDevice::ReadAt& read, std::uint64_t disk_size);

// `table`: such a file. In the order of their numbers. Throws Error.
std::vector<Volume> find_volumes(int table, const BlockDevice& disk);

}  // namespace kvmnet::direct

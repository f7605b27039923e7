// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/block_device.h"

#include "direct/error.h"

namespace kvmnet::direct {

BlockDevice part_of(const BlockDevice& device, std::uint64_t start, std::uint64_t length) {
  if (start > device.size || length > device.size - start)
    throw Error("a partition reaches over the end of the disk");
  BlockDevice part;
  part.size = length;
  part.read_at = [whole = device.read_at, start](std::uint64_t offset, std::span<std::byte> into) {
    whole(start + offset, into);
  };
  if (device.write_at)
    part.write_at = [whole = device.write_at, start](std::uint64_t offset,
                                                     std::span<const std::byte> bytes) {
      whole(start + offset, bytes);
    };
  return part;
}

}  // namespace kvmnet::direct

// SPDX-License-Identifier: GPL-2.0-or-later
// libntfs-3g reads and writes records of 1 KiB, the same ones for each path again; who serves the
// blocks may be another process.
#pragma once

#include <memory>

#include "direct/block_device.h"

namespace kvmnet::direct {

class BlockCache {
 public:
  // Not more than 2 MiB are kept. What has not been flushed at the end is lost.
  explicit BlockCache(BlockDevice device);

  // The same device, where small reads are answered from memory, as long as nobody else writes to
  // it, and small writes stay there: an error hinders whatever is to bring them to the device.
  BlockDevice device();

  // Writes what is only in memory; throws what the device throws, and can be called again then.
  void flush();

 private:
  class Blocks;
  std::shared_ptr<Blocks> blocks_;  // also of those that have the device
};

}  // namespace kvmnet::direct

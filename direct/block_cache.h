// SPDX-License-Identifier: GPL-2.0-or-later
// libntfs-3g reads records of 1 KiB, the same ones for each path again; who serves the blocks may
// be another process.
#pragma once

#include "direct/block_device.h"

namespace kvmnet::direct {

// The same device, where small reads are answered from memory as long as nobody else writes to it.
// Writes go through. Not more than 2 MiB are kept.
BlockDevice cached(BlockDevice device);

}  // namespace kvmnet::direct

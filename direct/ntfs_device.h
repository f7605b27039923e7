// SPDX-License-Identifier: GPL-2.0-or-later
// libntfs-3g's view of a BlockDevice. Only for direct/*.cc.
#pragma once

#include "direct/block_device.h"

struct ntfs_device;

namespace kvmnet::direct {

// Reads and writes `block`, which must live longer. For the functions of libntfs-3g that open a
// volume: its end is then the end of the handle. Throws Error.
ntfs_device* make_ntfs_device(const BlockDevice& block);

}  // namespace kvmnet::direct

// SPDX-License-Identifier: GPL-2.0-or-later
// What the worker of the direct backend does with a volume, in this process.
#pragma once

#include "hive/source.h"

namespace kvmnet::fuzz {

// Looks for what holds for every volume. Returns whether the volume was written, and everything
// read back as it had been written. That does not hold for each damaged volume: two of its files
// may lie in the same place.
bool work_on_ntfs(hive::Bytes& volume);

}  // namespace kvmnet::fuzz

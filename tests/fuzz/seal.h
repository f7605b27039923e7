// SPDX-License-Identifier: GPL-2.0-or-later
// Checksums and hashes redone, without which hardly any change gets past them.
#pragma once

#include "tests/fuzz/input.h"

namespace kvmnet::fuzz {

// The checksum of a base block, of a primary file or of a log.
void seal_header(Bytes& file);
// Both hashes of each entry of an HvLE log whose size lies inside it.
void seal_entries(Bytes& log);
// The hashes of the names in `lh` lists.
void seal_lists(Bytes& hive);

}  // namespace kvmnet::fuzz

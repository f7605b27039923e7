// SPDX-License-Identifier: GPL-2.0-or-later
// Takes values and keys out of a hive, as Windows does, without hivex: that leaves a dangling link
// where a list of subkeys is an index leaf, aborts at class names and shared data, and writes where
// the links of a security descriptor lead, whatever is there.
#pragma once

#include <vector>

#include "hive/compare.h"
#include "hive/utf16.h"

namespace kvmnet::hive {

// Does what the edits say of removing, in place; what they set is left out. The hive has the
// structure that check() calls sound. Cells are given back one by one, and key times stay: nothing
// else changes. Throws Unsupported if a key or value is not there, or is the root, and hive::Error;
// the hive is then of no use.
void remove(Bytes& hive, const std::vector<KeyEdit>& edits);

}  // namespace kvmnet::hive

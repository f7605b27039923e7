// SPDX-License-Identifier: GPL-2.0-or-later
// Where the records of a damaged hive are, as far as that can be told: for code that damages or
// mends them further. Shares nothing with hive/, whose ideas of a hive it is to test.
#pragma once

#include <cstddef>
#include <vector>

#include "hive/utf16.h"

namespace kvmnet::fuzz {

struct CellPlace {
  std::size_t offset = 0;  // of its first byte behind the size, in the file
  std::size_t size = 0;    // without that of the size
};

// The used cells up to the first that is impossible, all inside `hive`.
std::vector<CellPlace> used_cells(const hive::Bytes& hive);

// Where the entries of an HvLE log may begin.
std::vector<std::size_t> log_entries(const hive::Bytes& log);

}  // namespace kvmnet::fuzz

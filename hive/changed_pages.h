// SPDX-License-Identifier: GPL-2.0-or-later
// Where a hive differs from an earlier state of itself.
#pragma once

#include <span>
#include <vector>

#include "hive/record.h"

namespace kvmnet::hive {

class ChangedPages {
 public:
  // Without an earlier state nothing counts as changed.
  ChangedPages() = default;
  // Both are whole primary files, and the pages those of the hive bins data. What only `after` has
  // counts as changed.
  ChangedPages(std::span<const std::byte> before, std::span<const std::byte> after);

  // Whether the cell at `offset` of `after`, with the size in front of it, lies in such a page, if
  // only in part.
  bool touch(CellOffset offset, Cell cell) const;

 private:
  std::vector<bool> changed_;  // one for each page
};

}  // namespace kvmnet::hive

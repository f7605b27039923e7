// SPDX-License-Identifier: GPL-2.0-or-later
// Where the cells of a hive are, and which of them something has already been found to use.
#pragma once

#include <vector>

#include "hive/findings.h"

namespace kvmnet::hive {

class CellMap {
 public:
  // Walks the bins, which must fill `bins` exactly, and their cells; reports what is wrong with
  // them. Needs a thirtieth of the memory that `bins` takes.
  CellMap(std::span<const std::byte> bins, Findings& findings);

  // The used cell that begins at `offset`, if one does.
  std::optional<Cell> used(CellOffset offset) const {
    if (offset % 8 != 0 || offset >= bins_.size() || !used_[offset / 8]) return std::nullopt;
    return used_cell(bins_, offset);
  }

  // That cell will soon be looked at, if there is one: what a check waits for is memory.
  void prefetch(CellOffset offset) const {
    if (offset < bins_.size()) __builtin_prefetch(bins_.data() + offset);
  }

  // Notes that the used cell at `offset` is referred to; false if it already was.
  bool claim(CellOffset offset);

  // Used cells that nothing refers to are lost space: hivex and Windows leave some behind.
  void report_unclaimed(Findings& findings) const;

 private:
  void map_bin(CellOffset bin, std::uint32_t size, Findings& findings);

  std::span<const std::byte> bins_;
  // One bit for each 8 bytes: cells are aligned to them.
  std::vector<bool> used_;     // a used cell begins here
  std::vector<bool> claimed_;  // and something uses it
  std::size_t unclaimed_ = 0;  // used cells
};

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// Where the cells of a hive are, and which of them something has already been found to use.
#pragma once

#include <vector>

#include "hive/findings.h"

namespace kvmnet::hive {

class CellMap {
 public:
  // Walks the bins, which must fill `bins` exactly, and their cells; reports what is wrong with
  // them. Needs an eighth of the memory that `bins` takes.
  CellMap(std::span<const std::byte> bins, Findings& findings);

  // The used cell that begins at `offset`, if one does.
  std::optional<Cell> used(CellOffset offset) const;

  // Notes that the used cell at `offset` is referred to; false if it already was.
  bool claim(CellOffset offset);

  // Used cells that nothing refers to are lost space: hivex and Windows leave some behind.
  void report_unclaimed(Findings& findings) const;

 private:
  enum class State : std::uint8_t { no_cell_begins, free, used, claimed };

  void map_bin(CellOffset bin, std::uint32_t size, Findings& findings);
  State& state(CellOffset offset) { return states_[offset / 8]; }

  std::span<const std::byte> bins_;
  std::vector<State> states_;  // one for each 8 bytes: cells are aligned to them
};

}  // namespace kvmnet::hive

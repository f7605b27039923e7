// SPDX-License-Identifier: GPL-2.0-or-later
// Collects the findings of check(): counts all, keeps the first.
#pragma once

#include "hive/base_block.h"
#include "hive/check.h"
#include "hive/record.h"

namespace kvmnet::hive {

class Findings {
 public:
  explicit Findings(CheckResult& result) : result_(result) {}

  // About the record in the cell at `offset`. `message()` is called only if the finding is kept:
  // a hostile hive can have millions.
  template <typename Message>
  void fatal(CellOffset offset, const Message& message) {
    add(Severity::fatal, result_.fatal, offset, message);
  }
  template <typename Message>
  void harmless(CellOffset offset, const Message& message) {
    add(Severity::harmless, result_.harmless, offset, message);
  }

 private:
  template <typename Message>
  void add(Severity severity, std::size_t& count, CellOffset offset, const Message& message) {
    constexpr std::size_t most_kept = 100;  // of each severity
    if (count++ < most_kept)
      result_.findings.push_back({severity, base_block_size + std::uint64_t{offset}, message()});
  }

  CheckResult& result_;
};

}  // namespace kvmnet::hive

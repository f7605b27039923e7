// SPDX-License-Identifier: GPL-2.0-or-later
// What the target for answers takes: a byte that says which question was asked, and the answer.
#pragma once

#include <cstdint>

namespace kvmnet::fuzz {

enum class Answered : std::uint8_t {
  facts,  // of the SYSTEM hive
  software,
  record,
  check,
  edited,
  merged,
  reg_facts,
  exported,
  direct,  // any of the process that reads a disk: no CBOR
};
inline constexpr std::uint8_t answer_kinds = 9;

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
// Marvin32, the hash of the entries in the transaction logs of Windows 8.1 and later, with the seed
// that Windows uses there (msuhanov/regf specification, "New format").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kvmnet::hive {

class Marvin32 {
 public:
  // The size of all pieces but the last is a multiple of 4.
  void add(std::span<const std::byte> bytes);
  std::uint64_t finish();

 private:
  void mix(std::uint32_t word);

  std::uint32_t low_ = 0x7A4E55C5;
  std::uint32_t high_ = 0x82EF4D88;
  std::uint32_t rest_ = 0x80;  // the bytes that are left over, and the end mark
};

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// What all programs that change inputs have in common. One is built from mutation.cc and from what
// defines mutated().
#pragma once

#include <cstddef>
#include <random>
#include <span>

#include "hive/source.h"

namespace kvmnet::fuzz {

using hive::Bytes;

// An input made from that one, the same each time for the same seed. Where it has more bytes than
// `max_size`, the old one stays.
Bytes mutated(std::span<const std::byte> input, std::size_t max_size, unsigned seed);

// Whatever libFuzzer makes of these bytes, as many as they are.
void mutate_bytes(std::span<std::byte> bytes);
// The same, of any size up to `most`, which is not below the old one.
void mutate_bytes(Bytes& bytes, std::size_t most);

class Random {
 public:
  explicit Random(unsigned seed) : numbers_(seed) {}

  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : numbers_() % limit; }
  // One of a list that is not empty.
  template <typename List>
  auto& any(List& list) {
    return list[below(list.size())];
  }

 private:
  std::minstd_rand numbers_;
};

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/mutation.h"

#include <algorithm>
#include <cstdint>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace kvmnet::fuzz {

void mutate_bytes(std::span<std::byte> bytes) {
  if (bytes.empty()) return;
  LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size(), bytes.size());
}

void mutate_bytes(Bytes& bytes, std::size_t most) {
  const std::size_t old = bytes.size();
  bytes.resize(most);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()), old, most));
}

}  // namespace kvmnet::fuzz

// libFuzzer calls this by its name.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  const auto input = std::as_bytes(std::span(data, size));
  const auto changed = kvmnet::fuzz::mutated(input, max_size, seed);
  if (changed.size() > max_size) return size;
  std::transform(changed.begin(), changed.end(), data,
                 [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return changed.size();
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/originals.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kvmnet::disk {
namespace {

constexpr std::uint64_t sector = 512;
constexpr std::uint64_t most = 32 << 20;

}  // namespace

void Originals::keep(ServedDisk& disk, const Range& written) {
  const std::uint64_t end =
      std::min((written.start + written.length + sector - 1) / sector * sector, disk.size());
  for (std::uint64_t at = written.start / sector * sector; at < end && !too_much_;) {
    const auto next = kept_.upper_bound(at);
    if (next != kept_.begin()) {
      const auto& [start, bytes] = *std::prev(next);
      if (start + bytes.size() > at) {
        at = start + bytes.size();
        continue;
      }
    }
    std::vector<std::byte> bytes((next == kept_.end() ? end : std::min(end, next->first)) - at);
    size_ += bytes.size();
    too_much_ = size_ > most;
    if (too_much_) return kept_.clear();
    disk.read(at, bytes);
    const std::uint64_t start = std::exchange(at, at + bytes.size());
    kept_.emplace(start, std::move(bytes));
  }
}

void Originals::restore(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::uint64_t end = offset + bytes.size();
  auto at = kept_.upper_bound(offset);
  if (at != kept_.begin()) --at;
  for (; at != kept_.end() && at->first < end; ++at) {
    const auto& [start, kept] = *at;
    const std::uint64_t from = std::max(start, offset);
    const std::uint64_t to = std::min(start + kept.size(), end);
    if (from >= to) continue;
    std::copy_n(kept.begin() + static_cast<std::ptrdiff_t>(from - start), to - from,
                bytes.begin() + static_cast<std::ptrdiff_t>(from - offset));
  }
}

}  // namespace kvmnet::disk

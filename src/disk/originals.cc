// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/originals.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kvmnet::disk {
namespace {

constexpr std::uint64_t sector = 512;
constexpr std::uint64_t most = 32 << 20;
constexpr std::uint64_t most_with_noted = 4 << 20;

constexpr std::uint64_t sector_before(std::uint64_t offset) {
  return offset / sector * sector;
}

constexpr std::uint64_t sector_behind(std::uint64_t offset) {
  return sector_before(offset + sector - 1);
}

}  // namespace

void Originals::keep(ServedDisk& disk, const Range& written) {
  const std::uint64_t end = std::min(sector_behind(written.start + written.length), disk.size());
  for (const Range& range : missing_in(sector_before(written.start), end)) {
    too_much_ = too_much_ || size_ + range.length > most;
    if (too_much_) return parts_.clear();
    std::vector<std::byte> bytes(range.length);
    disk.read(range.start, bytes);
    add(range.start, std::move(bytes));
  }
}

void Originals::note(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::uint64_t end = sector_before(offset + bytes.size());
  for (const Range& range : missing_in(sector_behind(offset), end)) {
    if (too_much_ || size_ + range.length > most_with_noted) return;
    const auto part = bytes.subspan(range.start - offset, range.length);
    add(range.start, {part.begin(), part.end()});
  }
}

std::vector<Range> Originals::missing_in(std::uint64_t from, std::uint64_t to) const {
  std::vector<Range> missing;
  auto next = parts_.upper_bound(from);
  if (next != parts_.begin()) --next;
  for (std::uint64_t at = from; at < to;) {
    const std::uint64_t part = next == parts_.end() ? to : std::min(next->first, to);
    if (at < part) missing.push_back({at, part - at});
    if (next == parts_.end()) break;
    at = std::max(at, next->first + next->second.size());
    ++next;
  }
  return missing;
}

void Originals::add(std::uint64_t offset, std::vector<std::byte> bytes) {
  size_ += bytes.size();
  parts_.emplace(offset, std::move(bytes));
}

void Originals::restore(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::uint64_t end = offset + bytes.size();
  auto at = parts_.upper_bound(offset);
  if (at != parts_.begin()) --at;
  for (; at != parts_.end() && at->first < end; ++at) {
    const auto& [start, part] = *at;
    const std::uint64_t from = std::max(start, offset);
    const std::uint64_t to = std::min(start + part.size(), end);
    if (from >= to) continue;
    std::copy_n(part.begin() + static_cast<std::ptrdiff_t>(from - start), to - from,
                bytes.begin() + static_cast<std::ptrdiff_t>(from - offset));
  }
}

}  // namespace kvmnet::disk

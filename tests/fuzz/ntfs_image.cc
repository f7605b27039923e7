// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/ntfs_image.h"

#include <algorithm>

#include "tests/fuzz/little_endian.h"

namespace kvmnet::fuzz {
namespace {

constexpr std::size_t extent_header = 8;
constexpr std::size_t numbers = ntfs_sector / 2;  // of 16 bits in a sector

// Bytes, most of them zero, as: how many zeros, how many others, these.

void shorten(std::span<const std::byte> bytes, Bytes& into) {
  constexpr std::size_t most = 255;
  const auto is_zero = [](std::byte b) { return b == std::byte{0}; };
  while (!bytes.empty()) {
    const auto first = bytes.first(std::min(bytes.size(), most));
    const auto other = std::find_if_not(first.begin(), first.end(), is_zero);
    const auto zeros = static_cast<std::size_t>(other - first.begin());
    const auto rest = bytes.subspan(zeros);
    const auto part = rest.first(std::min(rest.size(), most));
    const auto end = std::find_if(part.begin(), part.end(), is_zero);
    into.push_back(static_cast<std::byte>(zeros));
    into.push_back(static_cast<std::byte>(end - part.begin()));
    into.insert(into.end(), part.begin(), end);
    bytes = std::span(end, rest.end());
  }
}

// Takes as much of `input` as makes `size` bytes.
Bytes lengthen(std::span<const std::byte>& input, std::size_t size) {
  Bytes bytes;
  while (input.size() >= 2 && bytes.size() < size) {
    bytes.resize(bytes.size() + load(input, 0, 1));
    const auto others = input.subspan(2).first(std::min(load(input, 1, 1), input.size() - 2));
    bytes.insert(bytes.end(), others.begin(), others.end());
    input = input.subspan(2 + others.size());
  }
  bytes.resize(size);
  return bytes;
}

bool is_filled(std::span<const std::byte> sector) {
  return std::all_of(sector.begin(), sector.end(), [&](std::byte b) { return b == sector[0]; });
}

bool is_counting(std::span<const std::byte> sector) {
  const std::uint64_t first = load(sector, 0, 2);
  for (std::size_t i = 1; i < numbers; ++i)
    if (load(sector, 2 * i, 2) != ((first + i) & 0xFFFF)) return false;
  return true;
}

// One sector as an extent.
Extent describe(std::uint32_t at, std::span<const std::byte> sector) {
  if (is_filled(sector))
    return {at, 1, Extent::Kind::filled, std::to_integer<std::uint16_t>(sector[0]), {}};
  if (is_counting(sector))
    return {at, 1, Extent::Kind::counting, static_cast<std::uint16_t>(load(sector, 0, 2)), {}};
  return {at, 1, Extent::Kind::bytes, 0, {sector.begin(), sector.end()}};
}

// Whether `next` goes on where `extent` ends; then it is made part of it.
bool append(Extent& extent, const Extent& next) {
  if (next.kind != extent.kind || next.start != extent.start + extent.count ||
      extent.count == 0xFFFF)
    return false;
  const std::size_t numbers_so_far =
      extent.kind == Extent::Kind::counting ? numbers * extent.count : 0;
  if (next.value != ((extent.value + numbers_so_far) & 0xFFFF)) return false;
  ++extent.count;
  extent.bytes.insert(extent.bytes.end(), next.bytes.begin(), next.bytes.end());
  return true;
}

void put(const Extent& extent, std::span<std::byte> volume) {
  switch (extent.kind) {
    case Extent::Kind::bytes:
      std::copy_n(extent.bytes.begin(), std::min(extent.bytes.size(), volume.size()),
                  volume.begin());
      break;
    case Extent::Kind::filled:
      std::fill(volume.begin(), volume.end(), static_cast<std::byte>(extent.value & 0xFF));
      break;
    case Extent::Kind::counting:
      for (std::size_t i = 0; i < volume.size() / 2; ++i) store(volume, 2 * i, 2, extent.value + i);
      break;
  }
}

}  // namespace

NtfsImage unpack_ntfs(std::span<const std::byte> input) {
  NtfsImage image;
  if (input.size() < 4) return image;
  image.sectors = static_cast<std::uint32_t>(load(input, 0, 4) % (most_sectors + 1));
  input = input.subspan(4);
  while (input.size() >= extent_header) {
    const std::uint64_t start = load(input, 0, 4);
    Extent extent = {static_cast<std::uint32_t>(start & 0xFFFFFF),
                     static_cast<std::uint16_t>(load(input, 4, 2)),
                     static_cast<Extent::Kind>((start >> 24) % 3),
                     static_cast<std::uint16_t>(load(input, 6, 2)),
                     {}};
    input = input.subspan(extent_header);
    if (extent.kind == Extent::Kind::bytes)
      extent.bytes = lengthen(input, extent.count * ntfs_sector);
    image.extents.push_back(std::move(extent));
  }
  return image;
}

Bytes pack(const NtfsImage& image) {
  Bytes bytes(4);
  store(bytes, 0, 4, image.sectors);
  for (const Extent& extent : image.extents) {
    const std::size_t at = bytes.size();
    bytes.resize(at + extent_header);
    store(bytes, at, 4, extent.start | static_cast<std::uint64_t>(extent.kind) << 24);
    store(bytes, at + 4, 2, extent.count);
    store(bytes, at + 6, 2, extent.value);
    shorten(extent.bytes, bytes);
  }
  return bytes;
}

NtfsImage to_image(std::span<const std::byte> volume) {
  NtfsImage image;
  image.sectors = static_cast<std::uint32_t>(volume.size() / ntfs_sector);
  for (std::uint32_t at = 0; at < image.sectors; ++at) {
    Extent extent = describe(at, volume.subspan(at * ntfs_sector, ntfs_sector));
    if (extent.kind == Extent::Kind::filled && extent.value == 0) continue;
    if (image.extents.empty() || !append(image.extents.back(), extent))
      image.extents.push_back(std::move(extent));
  }
  return image;
}

void to_volume(const NtfsImage& image, Bytes& volume) {
  volume.assign(image.sectors * ntfs_sector, std::byte{0});
  for (const Extent& extent : image.extents) {
    if (extent.start >= image.sectors) continue;
    const std::size_t count = std::min<std::size_t>(extent.count, image.sectors - extent.start);
    put(extent, std::span(volume).subspan(extent.start * ntfs_sector, count * ntfs_sector));
  }
}

}  // namespace kvmnet::fuzz

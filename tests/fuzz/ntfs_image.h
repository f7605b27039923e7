// SPDX-License-Identifier: GPL-2.0-or-later
// What the targets for disks take: an NTFS volume, or a disk with partitions, without the sectors
// that are zero and with those that repeat themselves made short. A volume of some MiB comes to
// some ten KiB, which libFuzzer can keep and change by the thousand; and an input is a whole
// volume, which a list of changes to a volume of ours would not be after that one has changed.
//
// In bytes: the volume's size in sectors of 512 bytes (32 bits, little-endian), then extents. An
// extent is where it starts and, in the highest byte, its kind (32 bits), how many sectors (16
// bits), a value (16 bits), and, of the kind that has them, the sectors' bytes, runs of zeros
// made short. Any bytes are an input: what is missing is zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hive/source.h"

namespace kvmnet::fuzz {

using hive::Bytes;

inline constexpr std::size_t ntfs_sector = 512;
inline constexpr std::size_t most_sectors = 48 << 11;  // 48 MiB

struct Extent {
  enum class Kind : std::uint8_t {
    bytes,
    filled,    // every byte is the value
    counting,  // 16-bit numbers, each one more than the last, from the value on: so is most of
               // $UpCase
  };
  std::uint32_t start = 0;  // sector
  std::uint16_t count = 0;  // sectors
  Kind kind = Kind::bytes;
  std::uint16_t value = 0;
  Bytes bytes;
};

struct NtfsImage {
  std::uint32_t sectors = 0;
  std::vector<Extent> extents;
};

NtfsImage unpack_ntfs(std::span<const std::byte> input);
Bytes pack(const NtfsImage& image);

NtfsImage to_image(std::span<const std::byte> volume);  // of whole sectors
void to_volume(const NtfsImage& image, Bytes& volume);  // whose memory is used again

}  // namespace kvmnet::fuzz

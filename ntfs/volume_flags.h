// SPDX-License-Identifier: GPL-2.0-or-later
// The flags of an NTFS volume, from the bytes on disk: libguestfs has no call for them. Everything
// here is hostile input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kvmnet::ntfs {

// Where a volume has the record of its file $Volume, in bytes.
struct Place {
  std::uint64_t offset = 0;
  std::size_t size = 0;
  bool operator==(const Place&) const = default;
};

inline constexpr std::size_t boot_sector_size = 512;

// $Volume is file number 3 of the table whose first cluster the boot sector names (ntfs-3g,
// layout.h: FILE_Volume, NTFS_BOOT_SECTOR). Nothing: no NTFS's boot sector.
std::optional<Place> place_of_volume_record(std::string_view boot_sector);

// Windows is to check the volume at its next start (layout.h: VOLUME_IS_DIRTY).
inline constexpr std::uint16_t volume_is_dirty = 0x0001;

// What $VOLUME_INFORMATION in the record of $Volume says (layout.h: VOLUME_INFORMATION). Nothing:
// no such record, or a torn one.
std::optional<std::uint16_t> volume_flags(std::string_view record);

}  // namespace kvmnet::ntfs

// SPDX-License-Identifier: GPL-2.0-or-later
// Where the records of a damaged NTFS are, as far as that can be told: for code that damages it
// further. Layouts as in ntfs-3g's layout.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tests/fuzz/ntfs_image.h"

namespace kvmnet::fuzz {

struct Field {
  std::size_t offset = 0;
  std::size_t width = 0;  // bytes
};

using Record = std::span<std::byte>;

// All that begin with this magic ("FILE", "INDX", "RSTR"), at the start of a sector, all of them
// inside one extent.
std::vector<Record> find_records(NtfsImage& image, std::string_view magic);

// The boot sector; empty if there is none.
Record boot_sector(NtfsImage& image);

// The bytes there, if they are in one extent.
Record bytes_at(NtfsImage& image, std::uint64_t offset, std::size_t size);

// Each sector of a record ends in its number, and what belongs there is in an array at its start.
// Put it back; take it out again.
void take_fixups_out(Record record);
void put_fixups_in(Record record);

// The attributes of a FILE record, up to the first that is impossible; without its end mark.
std::vector<Record> attributes_of(Record record);
bool is_resident(Record attribute);
// Of a resident one; empty where it is impossible.
Record value_of(Record attribute);
// Of another one.
Record runs_of(Record attribute);

// The entries behind an index header at `header`.
std::vector<Record> index_entries(Record record, std::size_t header);
// The entries of an attribute list.
std::vector<Record> list_entries(Record value);

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/ntfs_records.h"

#include <algorithm>

#include "tests/fuzz/little_endian.h"

namespace kvmnet::fuzz {
namespace {

constexpr std::size_t attribute_header = 24;

bool begins_with(std::span<const std::byte> bytes, std::string_view magic) {
  return std::equal(magic.begin(), magic.end(), bytes.begin(), [](char c, std::byte b) {
    return static_cast<unsigned char>(c) == std::to_integer<unsigned char>(b);
  });
}

// As the array of its sectors' ends has it.
std::size_t size_of(std::span<const std::byte> record) {
  constexpr std::size_t most = 65536 / ntfs_sector;
  const std::size_t sectors = load(record, 6, 2) - 1;
  return sectors >= 1 && sectors <= most ? sectors * ntfs_sector : ntfs_sector;
}

// Things that have their length in a field, one behind the other.
std::vector<Record> in_a_row(Record bytes, std::size_t at, std::size_t least, Field length) {
  std::vector<Record> found;
  while (at <= bytes.size() && bytes.size() - at >= least) {
    const std::size_t size = load(bytes, at + length.offset, length.width);
    if (size < least || size > bytes.size() - at) break;
    found.push_back(bytes.subspan(at, size));
    at += size;
  }
  return found;
}

}  // namespace

std::vector<Record> find_records(NtfsImage& image, std::string_view magic) {
  std::vector<Record> found;
  for (Extent& extent : image.extents) {
    const Record bytes = extent.bytes;
    for (std::size_t at = 0; at + ntfs_sector <= bytes.size(); at += ntfs_sector) {
      const Record rest = bytes.subspan(at);
      if (begins_with(rest, magic))
        found.push_back(rest.first(std::min(size_of(rest), rest.size())));
    }
  }
  return found;
}

Record boot_sector(NtfsImage& image) {
  return bytes_at(image, 0, ntfs_sector);
}

Record bytes_at(NtfsImage& image, std::uint64_t offset, std::size_t size) {
  for (Extent& extent : image.extents) {
    const std::uint64_t start = std::uint64_t{extent.start} * ntfs_sector;
    if (offset < start || offset - start > extent.bytes.size()) continue;
    if (size > extent.bytes.size() - (offset - start)) continue;
    return Record(extent.bytes).subspan(offset - start, size);
  }
  return {};
}

void take_fixups_out(Record record) {
  const std::size_t array = load(record, 4, 2);
  for (std::size_t i = 1; i <= record.size() / ntfs_sector; ++i)
    if (array + 2 * i + 2 <= record.size())
      store(record, i * ntfs_sector - 2, 2, load(record, array + 2 * i, 2));
}

void put_fixups_in(Record record) {
  const std::size_t array = load(record, 4, 2);
  for (std::size_t i = 1; i <= record.size() / ntfs_sector; ++i) {
    if (array + 2 * i + 2 > record.size()) return;
    store(record, array + 2 * i, 2, load(record, i * ntfs_sector - 2, 2));
    store(record, i * ntfs_sector - 2, 2, load(record, array, 2));
  }
}

std::vector<Record> attributes_of(Record record) {
  return in_a_row(record, load(record, 20, 2), attribute_header, {4, 4});
}

bool is_resident(Record attribute) {
  return attribute[8] == std::byte{0};
}

Record value_of(Record attribute) {
  const std::size_t size = load(attribute, 16, 4);
  const std::size_t at = load(attribute, 20, 2);
  if (at > attribute.size() || size > attribute.size() - at) return {};
  return attribute.subspan(at, size);
}

Record runs_of(Record attribute) {
  if (attribute.size() < 64) return {};
  const std::size_t at = load(attribute, 32, 2);
  return at < attribute.size() ? attribute.subspan(at) : Record();
}

std::vector<Record> index_entries(Record record, std::size_t header) {
  if (header + 16 > record.size()) return {};
  return in_a_row(record, header + load(record, header, 4), 16, {8, 2});
}

std::vector<Record> list_entries(Record value) {
  return in_a_row(value, 0, 26, {4, 2});
}

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
#include "ntfs/volume_flags.h"

#include <string>

namespace kvmnet::ntfs {
namespace {

constexpr std::size_t sector_size = 512;

// Nothing: it is not within the bytes.
std::optional<std::uint64_t> load(std::string_view bytes, std::size_t offset, std::size_t width) {
  if (offset > bytes.size() || bytes.size() - offset < width) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = width; i-- > 0;)
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  return value;
}

// A number of things up to 128, or the binary logarithm of it, negated.
std::uint64_t power_or_number(std::uint64_t byte, std::uint64_t unit, std::uint64_t largest) {
  if (byte <= largest) return byte * unit;
  const std::uint64_t exponent = 256 - byte;
  return exponent < 32 ? std::uint64_t{1} << exponent : 0;
}

bool is_power_of_two_within(std::uint64_t value, std::uint64_t from, std::uint64_t to) {
  return value >= from && value <= to && (value & (value - 1)) == 0;
}

// Each sector of a record ends in its update sequence number, and the array in the record has what
// belongs there (layout.h: NTFS_RECORD).
bool take_fixups_out(std::string& record) {
  const auto array = load(record, 4, 2);
  const auto entries = load(record, 6, 2);
  if (!array || !entries || *entries != record.size() / sector_size + 1) return false;
  const auto number = load(record, *array, 2);
  if (!number) return false;
  for (std::size_t i = 1; i < *entries; ++i) {
    const std::size_t tail = i * sector_size - 2;
    const std::size_t entry = *array + 2 * i;
    if (load(record, tail, 2) != number || !load(record, entry, 2)) return false;
    record.replace(tail, 2, record.substr(entry, 2));
  }
  return true;
}

}  // namespace

std::optional<Place> place_of_volume_record(std::string_view boot_sector) {
  constexpr std::uint64_t volume_number = 3;
  constexpr std::uint64_t largest_cluster = 2U << 20;
  constexpr std::uint64_t largest_record = 64U << 10;
  if (boot_sector.size() != boot_sector_size || boot_sector.substr(3, 8) != "NTFS    ")
    return std::nullopt;
  const std::uint64_t sector = *load(boot_sector, 0x0B, 2);
  if (!is_power_of_two_within(sector, 256, 4096)) return std::nullopt;
  // Sectors of a cluster, or the negated logarithm of their number.
  const std::uint64_t cluster = power_or_number(*load(boot_sector, 0x0D, 1), 1, 0x80) * sector;
  if (!is_power_of_two_within(cluster, sector, largest_cluster)) return std::nullopt;
  // Clusters of a record, or the negated logarithm of its bytes.
  const std::uint64_t record = power_or_number(*load(boot_sector, 0x40, 1), cluster, 0x7F);
  const std::uint64_t table = *load(boot_sector, 0x30, 8);
  if (!is_power_of_two_within(record, sector_size, largest_record) ||
      table > (std::uint64_t{1} << 62) / cluster)
    return std::nullopt;
  return Place{table * cluster + volume_number * record, record};
}

std::optional<std::uint16_t> volume_flags(std::string_view record) {
  constexpr std::uint64_t end = 0xFFFFFFFF;
  constexpr std::uint64_t volume_information = 0x70;
  std::string bytes(record);
  if (!bytes.starts_with("FILE") || !take_fixups_out(bytes)) return std::nullopt;
  auto at = load(bytes, 0x14, 2);
  while (at) {
    const auto type = load(bytes, *at, 4);
    const auto length = load(bytes, *at + 4, 4);
    if (!type || *type == end || !length || *length == 0) return std::nullopt;
    if (*type == volume_information) {
      const auto value = load(bytes, *at + 0x14, 2);
      const auto flags = value ? load(bytes, *at + *value + 10, 2) : std::nullopt;
      if (!flags || load(bytes, *at + 8, 1) != 0U) return std::nullopt;
      return static_cast<std::uint16_t>(*flags);
    }
    at = *at + *length;
  }
  return std::nullopt;
}

}  // namespace kvmnet::ntfs

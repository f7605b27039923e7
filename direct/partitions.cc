// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/partitions.h"

#include <blkid.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "direct/error.h"

namespace kvmnet::direct {
namespace {

// ---- the chain

using Sector = std::array<std::byte, chain_sector_size>;

std::uint32_t number_at(const Sector& sector, std::size_t offset) {
  std::uint32_t number = 0;
  for (std::size_t i = 4; i-- > 0;)
    number = number << 8 | std::to_integer<std::uint32_t>(sector.at(offset + i));
  return number;
}

// Types of partitions that hold others: DOS, with LBA, Linux.
bool is_extended(unsigned type) {
  return type == 0x05 || type == 0x0F || type == 0x85;
}

// The start, in sectors, that the first entry of an extended partition gives; nothing: there is
// none.
std::optional<std::uint64_t> extended_in(const Sector& table) {
  if (table[510] != std::byte{0x55} || table[511] != std::byte{0xAA}) return std::nullopt;
  constexpr std::size_t first_entry = 446;
  constexpr std::size_t entry_size = 16;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t entry = first_entry + i * entry_size;
    const auto type = std::to_integer<unsigned>(table.at(entry + 4));
    const std::uint32_t start = number_at(table, entry + 8);
    if (is_extended(type) && start != 0) return start;
  }
  return std::nullopt;
}

// ---- what a volume is

Content content_of(const BlockDevice& disk, std::uint64_t start, std::uint64_t length) {
  constexpr std::uint64_t boot_sector = 512;
  if (length < boot_sector || start > disk.size || disk.size - start < boot_sector)
    return Content::other;
  std::array<char, boot_sector> bytes{};
  disk.read_at(start, std::as_writable_bytes(std::span(bytes)));
  const std::string_view text(bytes.data(), bytes.size());
  const std::string_view name = text.substr(3, 8);
  if (name == "NTFS    ") return Content::ntfs;
  if (name == "-FVE-FS-") return Content::bitlocker;
  if (text.starts_with("LUKS\xba\xbe")) return Content::luks;
  if (name.starts_with("ReFS")) return Content::unknown_layout;
  return Content::other;
}

// LDM's metadata and data, Storage Spaces (Microsoft, "PARTITION_INFORMATION_GPT structure").
constexpr std::array<std::string_view, 3> unknown_guids = {"5808c8aa-7e8f-42e0-85d2-e1e90434cfb3",
                                                           "af9b60a0-1431-4f62-bc68-3311714a69ad",
                                                           "e75caf8f-f680-4cee-afa3-b001e56efc2d"};
constexpr int ldm_type = 0x42;  // of a partition in an MBR

bool is_unknown_type(blkid_partition partition) {
  const char* type = blkid_partition_get_type_string(partition);
  if (type == nullptr) return blkid_partition_get_type(partition) == ldm_type;
  return std::find(unknown_guids.begin(), unknown_guids.end(), type) != unknown_guids.end();
}

Volume describe(blkid_partition partition, const BlockDevice& disk) {
  constexpr std::uint64_t sector = 512;  // libblkid's, whatever the disk has
  const int number = blkid_partition_get_partno(partition);
  const blkid_loff_t start = blkid_partition_get_start(partition);
  const blkid_loff_t length = blkid_partition_get_size(partition);
  if (number < 0 || start < 0 || length < 0) throw Error("the partition table cannot be read");
  Volume volume = {static_cast<unsigned>(number), static_cast<std::uint64_t>(start) * sector,
                   static_cast<std::uint64_t>(length) * sector, Content::other};
  if (blkid_partition_is_extended(partition) != 0) return volume;
  volume.content = is_unknown_type(partition) ? Content::unknown_layout
                                              : content_of(disk, volume.start, volume.length);
  return volume;
}

// ---- libblkid

struct Free {
  void operator()(blkid_probe probe) const { blkid_free_probe(probe); }
};

std::vector<Volume> partitions(int table, const BlockDevice& disk, unsigned sector_size) {
  const std::unique_ptr<std::remove_pointer_t<blkid_probe>, Free> probe(blkid_new_probe());
  std::array<char, 4> dos = {"dos"};
  std::array<char, 4> gpt = {"gpt"};
  std::array<char*, 3> types = {dos.data(), gpt.data(), nullptr};
  if (!probe ||
      blkid_probe_set_device(probe.get(), table, 0, static_cast<blkid_loff_t>(disk.size)) != 0 ||
      blkid_probe_set_sectorsize(probe.get(), sector_size) != 0 ||
      blkid_probe_enable_superblocks(probe.get(), 0) != 0 ||
      blkid_probe_enable_partitions(probe.get(), 1) != 0 ||
      // Windows has no others, so nothing else need be parsed.
      blkid_probe_filter_partitions_type(probe.get(), BLKID_FLTR_ONLYIN, types.data()) != 0)
    throw Error("the partition table cannot be read");
  const blkid_partlist list = blkid_probe_get_partitions(probe.get());
  std::vector<Volume> volumes;
  const int count = list != nullptr ? blkid_partlist_numof_partitions(list) : 0;
  for (int i = 0; i < count; ++i)
    volumes.push_back(describe(blkid_partlist_get_partition(list, i), disk));
  return volumes;
}

}  // namespace

std::vector<std::uint64_t> read_chain(const BlockDevice::ReadAt& read, std::uint64_t disk_size) {
  std::vector<std::uint64_t> chain;
  Sector sector{};
  if (disk_size < sector.size()) return chain;
  read(0, sector);
  const auto first = extended_in(sector);
  // All others are counted from the start of the extended partition.
  for (auto next = first; next && chain.size() < longest_chain;) {
    const std::uint64_t at = (chain.empty() ? *first : *first + *next) * sector.size();
    if (at > disk_size - sector.size() || std::find(chain.begin(), chain.end(), at) != chain.end())
      break;
    read(at, sector);
    chain.push_back(at);
    next = extended_in(sector);
  }
  return chain;
}

std::vector<Volume> find_volumes(int table, const BlockDevice& disk) {
  std::vector<Volume> volumes;
  for (const unsigned sector_size : {512U, 4096U}) {
    volumes = partitions(table, disk, sector_size);
    if (!volumes.empty()) break;
  }
  if (volumes.empty()) return {{0, 0, disk.size, content_of(disk, 0, disk.size)}};
  std::stable_sort(volumes.begin(), volumes.end(),
                   [](const Volume& a, const Volume& b) { return a.number < b.number; });
  return volumes;
}

}  // namespace kvmnet::direct

// SPDX-License-Identifier: GPL-2.0-or-later
// Changes the tables of a disk, and redoes the checksums of a GPT, without which no change would
// get past them. Layouts: Microsoft, "Master boot record"; UEFI specification 2.10, 5.3.
#include <algorithm>
#include <array>
#include <cstdint>

#include "tests/fuzz/little_endian.h"
#include "tests/fuzz/mutation.h"
#include "tests/fuzz/ntfs_records.h"

namespace kvmnet::fuzz {
namespace {

constexpr std::array entry_fields = {Field{0, 1}, Field{4, 1}, Field{8, 4}, Field{12, 4}};
constexpr std::array header_fields = {Field{8, 4},  Field{12, 4}, Field{24, 8},
                                      Field{32, 8}, Field{40, 8}, Field{48, 8},
                                      Field{72, 8}, Field{80, 4}, Field{84, 4}};
constexpr std::array gpt_fields = {Field{0, 8}, Field{8, 8}, Field{32, 8}, Field{40, 8},
                                   Field{48, 8}};
constexpr std::array<std::uint64_t, 5> types = {0x05, 0x07, 0x0F, 0x42, 0xEE};
constexpr std::size_t largest_disk = 4096;  // sectors
constexpr std::size_t gpt_entry = 128;
constexpr std::size_t header_checksum = 16;

std::uint32_t crc32(Record bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int i = 0; i < 8; ++i) crc = crc >> 1 ^ (crc % 2 == 1 ? 0xEDB88320 : 0);
  }
  return ~crc;
}

class Mutator : Random {
 public:
  Mutator(Bytes disk, unsigned seed) : Random(seed), disk_(std::move(disk)) {}

  Bytes run() {
    for (std::size_t rounds = 1 + below(4); rounds > 0; --rounds) change();
    if (below(8) != 0) seal();
    return std::move(disk_);
  }

 private:
  // The sectors for which this holds.
  template <typename Holds>
  std::vector<Record> sectors(Holds holds) {
    std::vector<Record> found;
    for (std::size_t at = 0; at + ntfs_sector <= disk_.size(); at += ntfs_sector) {
      const Record sector = Record(disk_).subspan(at, ntfs_sector);
      if (holds(sector)) found.push_back(sector);
    }
    return found;
  }
  std::vector<Record> headers() {
    constexpr std::uint64_t magic = 0x5452415020494645;  // "EFI PART"
    return sectors([](Record sector) { return load(sector, 0, 8) == magic; });
  }
  // The disk's, and those of the chain.
  std::vector<Record> boot_records() {
    return sectors([](Record sector) { return load(sector, 510, 2) == 0xAA55; });
  }

  void change() {
    const auto gpt = headers();
    const std::size_t kind = below(8);
    if (kind == 0) return change_anything();
    if (kind == 1 && below(4) == 0)
      return disk_.resize(number(disk_.size() / ntfs_sector) % largest_disk * ntfs_sector);
    if (gpt.empty() || kind < 4) return change_boot_record();
    const Record header = any(gpt);
    if (kind < 6) return change_number(header, any(header_fields));
    const Record entries = entries_of(header);
    if (entries.size() >= 6 * gpt_entry)
      change_number(entries.subspan(below(6) * gpt_entry, gpt_entry), any(gpt_fields));
  }

  std::uint64_t number(std::uint64_t old) {
    const std::uint64_t size = disk_.size() / ntfs_sector;
    const std::array<std::uint64_t, 12> candidates = {
        0,          ~0ULL,       0x80000000,
        1ULL << 63, old + 1,     old - 1,
        old * 2,    below(64),   old ^ 1ULL << below(64),
        size - 1,   below(size), any(types)};
    return any(candidates);
  }

  void change_number(Record bytes, Field field) {
    store(bytes, field.offset, field.width, number(load(bytes, field.offset, field.width)));
  }

  void change_boot_record() {
    constexpr std::size_t table = 446;
    constexpr std::size_t entry = 16;
    const auto records = boot_records();
    if (records.empty()) return;
    const Record record = any(records);
    if (below(16) == 0) return change_number(record, {510, 2});
    change_number(record.subspan(table + below(4) * entry, entry), any(entry_fields));
  }

  // Whatever libFuzzer makes of a part of a sector that is not empty.
  void change_anything() {
    const auto used = sectors([](Record sector) {
      return std::any_of(sector.begin(), sector.end(),
                         [](std::byte b) { return b != std::byte{0}; });
    });
    if (used.empty()) return;
    mutate_bytes(any(used).subspan(below(ntfs_sector)));
  }

  // Empty where they are not on the disk.
  Record entries_of(Record header) {
    constexpr std::uint64_t most = 1 << 20;
    const std::uint64_t size = load(header, 80, 4) * load(header, 84, 4);
    const std::uint64_t own = load(header, 24, 8);
    const auto at = static_cast<std::uint64_t>(header.data() - disk_.data());
    const std::uint64_t sector = own != 0 && own * 4096 == at ? 4096 : ntfs_sector;
    const std::uint64_t start = load(header, 72, 8) * sector;
    if (size > most || start > disk_.size() || size > disk_.size() - start) return {};
    return Record(disk_).subspan(start, size);
  }

  void seal() {
    for (const Record header : headers()) {
      store(header, 88, 4, crc32(entries_of(header)));
      const std::uint64_t size = load(header, 12, 4);
      if (size > header.size()) continue;
      store(header, header_checksum, 4, 0);
      store(header, header_checksum, 4, crc32(header.first(size)));
    }
  }

  Bytes disk_;
};

}  // namespace

Bytes mutated(std::span<const std::byte> input, std::size_t /*max_size*/, unsigned seed) {
  Bytes disk;
  to_volume(unpack_ntfs(input), disk);
  return pack(to_image(Mutator(std::move(disk), seed).run()));
}

}  // namespace kvmnet::fuzz

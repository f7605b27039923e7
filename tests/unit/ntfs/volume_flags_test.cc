// SPDX-License-Identifier: GPL-2.0-or-later
#include "ntfs/volume_flags.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/direct/volume_file.h"

namespace kvmnet::ntfs {
namespace {

using test::VolumeFile;

std::string record_of(const VolumeFile& file) {
  const auto place = place_of_volume_record(file.bytes(0, boot_sector_size));
  if (!place) throw std::runtime_error("no place");
  return file.bytes(place->offset, place->size);
}

std::optional<std::uint16_t> flags_of(const VolumeFile& file) {
  return volume_flags(record_of(file));
}

class VolumeFlagsOf : public testing::TestWithParam<VolumeFile::Shape> {};

TEST_P(VolumeFlagsOf, AreThoseThatWereSet) {
  const VolumeFile file(GetParam());
  EXPECT_EQ(flags_of(file), 0);
  for (const std::uint16_t flags : std::initializer_list<std::uint16_t>{0x0001, 0x0010, 0x8021}) {
    file.set_volume_flags(flags);
    EXPECT_EQ(flags_of(file), flags);
  }
}

constexpr std::uint64_t large = 512 << 20;
INSTANTIATE_TEST_SUITE_P(VolumeFlags, VolumeFlagsOf,
                         testing::Values(VolumeFile::Shape{}, VolumeFile::Shape{512},
                                         VolumeFile::Shape{65536, 512, large},
                                         VolumeFile::Shape{4096, 4096},
                                         VolumeFile::Shape{262144, 512, large}),
                         [](const auto& shape) {
                           return "Cluster" + std::to_string(shape.param.cluster) + "Sector" +
                                  std::to_string(shape.param.sector);
                         });

TEST(VolumeFlags, OfWhatIsNoBootSectorAreNotLookedFor) {
  const VolumeFile file;
  const std::string good = file.bytes(0, boot_sector_size);
  EXPECT_FALSE(place_of_volume_record(good.substr(1)));
  EXPECT_FALSE(place_of_volume_record(good + good));
  EXPECT_FALSE(place_of_volume_record(""));
  const auto with = [&good](std::size_t offset, std::string_view bytes) {
    std::string changed = good;
    return place_of_volume_record(changed.replace(offset, bytes.size(), bytes));
  };
  EXPECT_TRUE(with(0, "x"));
  EXPECT_FALSE(with(3, "NTFX"));
  EXPECT_FALSE(with(0x0B, std::string("\0\0", 2)));  // bytes of a sector
  EXPECT_FALSE(with(0x0D, std::string("\0", 1)));    // sectors of a cluster
  EXPECT_FALSE(with(0x0D, "\x03"));
  EXPECT_FALSE(with(0x0D, "\x81"));                // 2^127 of them
  EXPECT_FALSE(with(0x40, std::string("\0", 1)));  // clusters of a record
  EXPECT_FALSE(with(0x40, "\xe0"));                // 2^32 bytes
  EXPECT_FALSE(with(0x40, "\x7f"));
  EXPECT_FALSE(with(0x30, "\xff\xff\xff\xff\xff\xff\xff\x7f"));  // cluster of the table
}

TEST(VolumeFlags, OfADamagedRecordAreUnknown) {
  const std::string good = record_of(VolumeFile());
  ASSERT_EQ(volume_flags(good), 0);
  const auto with = [&good](std::size_t offset, std::string_view bytes) {
    std::string changed = good;
    return volume_flags(changed.replace(offset, bytes.size(), bytes));
  };
  EXPECT_FALSE(with(0, "BAAD"));
  EXPECT_FALSE(with(510, "\xAB\xCD"));   // torn
  EXPECT_FALSE(with(4, "\xff\xff"));     // fixups out of the record
  EXPECT_FALSE(with(6, "\x09"));         // too many of them
  EXPECT_FALSE(with(0x14, "\xff\xff"));  // no attributes
  EXPECT_FALSE(volume_flags(good.substr(0, 512)));
  EXPECT_FALSE(volume_flags(""));
}

// Whatever a byte is changed to: no crash, no endless loop (the sanitizers look, too).
TEST(VolumeFlags, OfAnyBytesComeToAnEnd) {
  const std::string good = record_of(VolumeFile());
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const char byte : {'\0', '\1', '\x7f', '\xff'}) {
      std::string changed = good;
      changed[i] = byte;
      volume_flags(changed);
      place_of_volume_record(changed.substr(0, boot_sector_size));
    }
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto flags = volume_flags(good.substr(0, size));
    EXPECT_FALSE(flags) << size;
  }
}

}  // namespace
}  // namespace kvmnet::ntfs

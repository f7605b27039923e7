// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/base_block.h"

#include <gtest/gtest.h>

#include "tests/support/minimal_hive.h"

namespace kvmnet::hive {
namespace {

using test::load_u32;
using test::minimal_hive;
using test::store_u32;
using test::update_checksum;
using HiveBytes = std::vector<std::byte>;

BaseBlock read(const HiveBytes& hive) {
  return read_base_block(std::span(hive), hive.size());
}

// The minimal hive with one field of its header changed and the checksum redone.
HiveBytes with(std::size_t offset, std::uint32_t value) {
  HiveBytes hive = minimal_hive();
  store_u32(hive, offset, value);
  update_checksum(hive);
  return hive;
}

TEST(BaseBlock, OfACleanHive) {
  const BaseBlock block = read(minimal_hive());
  EXPECT_EQ(block.condition, Condition::clean);
  EXPECT_EQ(block.reason, "");
  EXPECT_EQ(block.primary_sequence, 1U);
  EXPECT_EQ(block.secondary_sequence, 1U);
  EXPECT_EQ(block.root_cell, 32U);
  EXPECT_EQ(block.bins_size, 4096U);
}

TEST(BaseBlock, NeedsOnlyTheFirst4096BytesOfTheFile) {
  const HiveBytes hive = minimal_hive();
  const auto start = std::span(hive).first(base_block_size);
  EXPECT_EQ(read_base_block(start, hive.size()).condition, Condition::clean);
}

TEST(BaseBlock, FieldsThatMakeAHiveDamaged) {
  const struct {
    const char* what;
    std::size_t offset;
    std::uint32_t value;
    const char* reason;
  } table[] = {
      {"signature", 0, 0x67676572, "regf"},
      {"no signature", 0, 0, "regf"},
      {"major version 0", 20, 0, "version 0.5"},
      {"major version 2", 20, 2, "version 2.5"},
      {"NT 3.1", 24, 1, "version 1.1"},
      {"NT 3.51", 24, 2, "version 1.2"},
      {"newer than any Windows", 24, 7, "version 1.7"},
      {"old log", 28, 1, "log"},
      {"older log", 28, 2, "log"},
      {"new log", 28, 6, "log"},
      {"format 0", 32, 0, "format"},
      {"format 2", 32, 2, "format"},
      {"cluster 0", 44, 0, "clustering"},
      {"cluster 8", 44, 8, "clustering"},
      {"no bins", 40, 0, "bins size"},
      {"bins size unaligned", 40, 4097, "bins size"},
      {"bins size half a page", 40, 2048, "bins size"},
      {"bins size beyond the file", 40, 8192, "truncated"},
      {"bins size far beyond the file", 40, 0xFFFFF000, "truncated"},
      {"root at the end", 36, 4096, "root cell"},
      {"root nowhere", 36, 0xFFFFFFFF, "root cell"},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(row.what);
    const BaseBlock block = read(with(row.offset, row.value));
    EXPECT_EQ(block.condition, Condition::damaged);
    EXPECT_NE(block.reason.find(row.reason), std::string::npos) << block.reason;
  }
}

TEST(BaseBlock, VersionsThatAreKnown) {
  for (const std::uint32_t minor : {3U, 4U, 5U, 6U})
    EXPECT_EQ(read(with(24, minor)).condition, Condition::clean) << minor;
}

TEST(BaseBlock, BinsMayBeSmallerThanTheFile) {
  HiveBytes hive = minimal_hive();
  hive.resize(hive.size() + 4096);
  const BaseBlock block = read(hive);
  EXPECT_EQ(block.condition, Condition::clean);
  EXPECT_EQ(block.bins_size, 4096U);
}

TEST(BaseBlock, FileOfAnOddSizeIsDamaged) {
  // hivex reads beyond its buffer there.
  for (const std::size_t more : {1U, 8U, 4095U}) {
    HiveBytes hive = minimal_hive();
    hive.resize(hive.size() + more);
    EXPECT_EQ(read(hive).condition, Condition::damaged) << more;
  }
}

TEST(BaseBlock, SequenceNumbersThatDifferAreDirty) {
  const std::pair<std::uint32_t, std::uint32_t> table[] = {
      {2, 1}, {1, 2}, {0, 0xFFFFFFFF}, {0x80000000, 0}};
  for (const auto& [primary, secondary] : table) {
    HiveBytes hive = minimal_hive();
    test::set_sequence_numbers(hive, primary, secondary);
    const BaseBlock block = read(hive);
    EXPECT_EQ(block.condition, Condition::dirty);
    EXPECT_EQ(block.reason, "sequence numbers differ (" + std::to_string(primary) + "/" +
                                std::to_string(secondary) + ")");
    EXPECT_EQ(block.primary_sequence, primary);
    EXPECT_EQ(block.secondary_sequence, secondary);
  }
}

TEST(BaseBlock, WrongChecksumIsDirtyBecauseALogHasTheHeader) {
  // Bytes that mean nothing to us are under the checksum, too.
  for (const std::size_t offset : {4U, 12U, 112U, 176U, 504U, 508U}) {
    HiveBytes hive = minimal_hive();
    store_u32(hive, offset, load_u32(hive, offset) ^ 0x100);
    const BaseBlock block = read(hive);
    EXPECT_EQ(block.condition, Condition::dirty) << offset;
    EXPECT_NE(block.reason.find("checksum"), std::string::npos) << block.reason;
  }
}

TEST(BaseBlock, BytesBehindTheChecksumDoNotMatter) {
  HiveBytes hive = minimal_hive();
  store_u32(hive, 512, 0x12345678);
  store_u32(hive, 4092, 0x12345678);
  EXPECT_EQ(read(hive).condition, Condition::clean);
}

TEST(BaseBlock, ChecksumIsNeverZeroOrAllOnes) {
  // A field without meaning makes the sum what is wanted.
  constexpr std::size_t spare = 200;
  const std::pair<std::uint32_t, std::uint32_t> table[] = {
      {0, 1}, {0xFFFFFFFF, 0xFFFFFFFE}, {1, 1}, {0xFFFFFFFE, 0xFFFFFFFE}, {0x1234, 0x1234}};
  for (const auto& [sum, stored] : table) {
    HiveBytes hive = minimal_hive();
    store_u32(hive, spare, 0);
    store_u32(hive, spare, base_block_checksum(hive) ^ sum);
    EXPECT_EQ(base_block_checksum(hive), stored) << sum;
    store_u32(hive, 508, stored);
    EXPECT_EQ(read(hive).condition, Condition::clean);
    if (sum == stored) continue;
    store_u32(hive, 508, sum);  // without the substitution
    EXPECT_EQ(read(hive).condition, Condition::dirty);
  }
}

TEST(BaseBlock, ShortFilesAreDamaged) {
  const HiveBytes hive = minimal_hive();
  for (const std::size_t size : {0U, 4U, 511U, 512U, 4095U}) {
    const auto start = std::span(hive).first(size);
    EXPECT_EQ(read_base_block(start, size).condition, Condition::damaged) << size;
    // A source that gives less than it says it has.
    EXPECT_EQ(read_base_block(start, hive.size()).condition, Condition::damaged) << size;
  }
  // A base block and no bins.
  EXPECT_EQ(read_base_block(std::span(hive).first(4096), 4096).condition, Condition::damaged);
}

TEST(BaseBlock, NumbersAreLittleEndian) {
  const std::byte bytes[] = {std::byte{0xAA}, std::byte{0x01}, std::byte{0x02}, std::byte{0x03},
                             std::byte{0xF4}};
  EXPECT_EQ(read_u32(bytes, 1), 0xF4030201U);
  EXPECT_EQ(read_u16(bytes, 3), 0xF403U);
}

}  // namespace
}  // namespace kvmnet::hive

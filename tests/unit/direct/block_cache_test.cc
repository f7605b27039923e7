// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/block_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "direct/error.h"

namespace kvmnet::direct {
namespace {

constexpr std::uint64_t kibibyte = 1024;

// A device in memory that counts how it is used.
class BlockCacheTest : public testing::Test {
 protected:
  BlockCacheTest() {
    for (std::size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<std::byte>(i / 7);
  }

  BlockCache cache() {
    BlockDevice device;
    device.size = content_.size();
    device.read_at = [this](std::uint64_t offset, std::span<std::byte> into) {
      reads_.emplace_back(offset, into.size());
      if (bad_ >= offset && bad_ < offset + into.size()) throw Error("a bad sector");
      std::copy_n(content_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(),
                  into.begin());
    };
    device.write_at = [this](std::uint64_t offset, std::span<const std::byte> bytes) {
      if (full_) throw Error("no space");
      writes_.emplace_back(offset, bytes.size());
      std::copy(bytes.begin(), bytes.end(), content_.begin() + static_cast<std::ptrdiff_t>(offset));
    };
    return BlockCache(std::move(device));
  }
  void expect_content(const BlockDevice& device, std::uint64_t offset, std::size_t size) const {
    std::vector<std::byte> found(size);
    device.read_at(offset, found);
    EXPECT_TRUE(std::equal(found.begin(), found.end(),
                           content_.begin() + static_cast<std::ptrdiff_t>(offset)))
        << offset << "+" << size;
  }

  using Accesses = std::vector<std::pair<std::uint64_t, std::size_t>>;
  std::vector<std::byte> content_ = std::vector<std::byte>(5000 * kibibyte + 512);
  Accesses reads_;
  Accesses writes_;
  std::uint64_t bad_ = ~0ULL;
  bool full_ = false;
};

TEST_F(BlockCacheTest, RecordsOfOneBlockAreReadOnce) {
  const BlockDevice device = cache().device();
  EXPECT_EQ(device.size, content_.size());
  for (std::uint64_t at = 64 * kibibyte; at < 96 * kibibyte; at += kibibyte)
    expect_content(device, at, kibibyte);
  EXPECT_EQ(reads_, (Accesses{{64 * kibibyte, 32 * kibibyte}}));
  expect_content(device, 64 * kibibyte - 3, 7);
  EXPECT_EQ(reads_.size(), 2U) << "of two blocks one was there";
}

TEST_F(BlockCacheTest, AllOfTheDeviceIsReadRightInAnyOrderAndToItsEnd) {
  const BlockDevice device = cache().device();
  for (const std::uint64_t step : {4001U, 977U, 40961U})
    for (std::uint64_t at = 0; at + step <= content_.size(); at += step)
      expect_content(device, at, step);
  expect_content(device, content_.size() - 700, 700);
}

TEST_F(BlockCacheTest, WhatWasNotUsedForLongestGoesFirst) {
  const BlockDevice device = cache().device();
  constexpr std::uint64_t block = 32 * kibibyte;
  for (int time = 0; time < 2; ++time)
    for (std::uint64_t i = 0; i < 64; ++i)
      expect_content(device, (i % 2 * 64 + i / 2) * block, 512);
  EXPECT_EQ(reads_.size(), 64U) << "all are kept, wherever they lie";
  expect_content(device, 0, 512);
  expect_content(device, 150 * block, 512);
  EXPECT_EQ(reads_.size(), 65U);
  expect_content(device, 0, 512);
  EXPECT_EQ(reads_.size(), 65U);
  expect_content(device, 64 * block, 512);
  EXPECT_EQ(reads_.size(), 66U) << "the next one after the first had to go";
}

TEST_F(BlockCacheTest, WhatCannotBeKeptTakesNoPlaceFromOthers) {
  const BlockDevice device = cache().device();
  constexpr std::uint64_t block = 32 * kibibyte;
  for (std::uint64_t i = 0; i < 62; ++i) expect_content(device, i * block, 512);
  bad_ = 100 * block;
  std::vector<std::byte> sector(512);
  for (int time = 0; time < 70; ++time) EXPECT_THROW(device.read_at(bad_, sector), Error);
  for (std::uint64_t i = 70; i < 130; ++i) {
    if (i == 100) continue;
    expect_content(device, 61 * block, 512);
    device.write_at(61 * block, std::vector<std::byte>(33 * kibibyte, content_[i]));  // and empties
  }
  reads_.clear();
  for (std::uint64_t i = 0; i < 61; ++i) expect_content(device, i * block, 512);
  EXPECT_EQ(reads_.size(), 0U);
}

TEST_F(BlockCacheTest, WhatIsLargeIsNotKept) {
  const BlockDevice device = cache().device();
  for (int time = 0; time < 2; ++time) expect_content(device, 100, 33 * kibibyte);
  EXPECT_EQ(reads_, (Accesses{{100, 33 * kibibyte}, {100, 33 * kibibyte}}));
}

TEST_F(BlockCacheTest, SmallWritesStayInMemoryAndAreReadThere) {
  BlockCache cache = this->cache();
  const BlockDevice device = cache.device();
  const std::vector<std::byte> as_before = content_;
  device.write_at(66 * kibibyte, std::vector<std::byte>(100, std::byte{0xee}));
  device.write_at(64 * kibibyte, std::vector<std::byte>(300, std::byte{0xdd}));
  device.write_at(95 * kibibyte, std::vector<std::byte>(2 * kibibyte, std::byte{0xcc}));
  EXPECT_EQ(content_, as_before);
  std::vector<std::byte> found(34 * kibibyte);  // more than is kept
  std::vector<std::byte> small(2 * kibibyte + 100);
  device.read_at(64 * kibibyte, small);
  EXPECT_EQ(small.back(), std::byte{0xee});
  EXPECT_EQ(small.front(), std::byte{0xdd});
  device.read_at(64 * kibibyte, found);
  EXPECT_TRUE(std::equal(small.begin(), small.end(), found.begin()));
  EXPECT_EQ(found[33 * kibibyte - 1], std::byte{0xcc});
  cache.flush();
  expect_content(device, 64 * kibibyte, found.size());
  EXPECT_EQ(content_[66 * kibibyte + 99], std::byte{0xee});
  const std::size_t before = writes_.size();
  cache.flush();
  EXPECT_EQ(writes_.size(), before) << "nothing was left";
}

TEST_F(BlockCacheTest, WhatIsWrittenOfABlockGoesToTheDeviceAtOnceAndNoFurther) {
  BlockCache cache = this->cache();
  const BlockDevice device = cache.device();
  for (std::uint64_t at = 65; at < 90; ++at)
    device.write_at(at * kibibyte, std::vector<std::byte>(512, std::byte{0xee}));
  cache.flush();
  EXPECT_EQ(writes_, (Accesses{{65 * kibibyte, 24 * kibibyte + 512}}));
}

TEST_F(BlockCacheTest, WhatHasNoPlaceAnyMoreIsWritten) {
  BlockCache cache = this->cache();
  const BlockDevice device = cache.device();
  std::vector<std::byte> expected = content_;
  for (std::uint64_t at = 0; at + 48 * kibibyte < content_.size(); at += 48 * kibibyte) {
    const std::vector<std::byte> bytes(40, static_cast<std::byte>(at / kibibyte));
    device.write_at(at + 32 * kibibyte - 20, bytes);  // often in two blocks
    std::copy(bytes.begin(), bytes.end(),
              expected.begin() + static_cast<std::ptrdiff_t>(at + 32 * kibibyte - 20));
  }
  std::vector<std::byte> found(content_.size());
  for (std::uint64_t at = 0; at < found.size(); at += 512)
    device.read_at(at, std::span(found).subspan(at, 512));
  EXPECT_EQ(found, expected);
  cache.flush();
  EXPECT_EQ(content_, expected);
}

TEST_F(BlockCacheTest, LargeWritesComeAfterSmallOnes) {
  BlockCache cache = this->cache();
  const BlockDevice device = cache.device();
  device.write_at(63 * kibibyte, std::vector<std::byte>(4 * kibibyte, std::byte{1}));
  device.write_at(64 * kibibyte, std::vector<std::byte>(33 * kibibyte, std::byte{2}));
  device.write_at(96 * kibibyte, std::vector<std::byte>(10, std::byte{3}));
  cache.flush();
  EXPECT_EQ(content_[64 * kibibyte - 1], std::byte{1});
  EXPECT_EQ(content_[64 * kibibyte], std::byte{2});
  EXPECT_EQ(content_[96 * kibibyte], std::byte{3});
  EXPECT_EQ(content_[96 * kibibyte + 10], std::byte{2});
  expect_content(device, 60 * kibibyte, 50 * kibibyte);
}

TEST_F(BlockCacheTest, WhatCouldNotBeWrittenIsNotForgotten) {
  BlockCache cache = this->cache();
  const BlockDevice device = cache.device();
  device.write_at(30 * kibibyte, std::vector<std::byte>(5, std::byte{0xee}));
  for (std::uint64_t i = 1; i < 64; ++i) expect_content(device, i * 32 * kibibyte, 512);
  full_ = true;
  EXPECT_THROW(cache.flush(), Error);
  std::vector<std::byte> sector(512);
  EXPECT_THROW(device.read_at(64 * 32 * kibibyte, sector), Error) << "there is no place for it";
  EXPECT_THROW(device.write_at(0, std::vector<std::byte>(40 * kibibyte)), Error);
  full_ = false;
  cache.flush();
  EXPECT_EQ(content_[30 * kibibyte + 4], std::byte{0xee});
  expect_content(device, 0, 40 * kibibyte);
}

TEST_F(BlockCacheTest, ABadSectorSpoilsNothingBesideIt) {
  const BlockDevice device = cache().device();
  bad_ = 5000;
  expect_content(device, 4096, 512);
  expect_content(device, 5632, 512);
  std::vector<std::byte> sector(512);
  EXPECT_THROW(device.read_at(4608, sector), Error);
  device.write_at(4096, std::vector<std::byte>(512, std::byte{0xee}));
  EXPECT_EQ(content_[4096], std::byte{0xee}) << "there is no block that could keep it";
  bad_ = ~0ULL;
  expect_content(device, 4608, 512);
}

TEST_F(BlockCacheTest, ABadSectorHidesNothingOfTheNextBlock) {
  BlockCache cache = this->cache();
  const BlockDevice device = cache.device();
  bad_ = 5000;
  device.write_at(32 * kibibyte, std::vector<std::byte>(1024, std::byte{0xee}));
  std::vector<std::byte> found(3 * kibibyte);
  device.read_at(30 * kibibyte, found);
  EXPECT_EQ(found.back(), std::byte{0xee});
  device.write_at(30 * kibibyte, std::vector<std::byte>(3 * kibibyte, std::byte{0xdd}));
  device.read_at(30 * kibibyte, found);
  EXPECT_EQ(found, std::vector<std::byte>(3 * kibibyte, std::byte{0xdd}));
  cache.flush();
  expect_content(device, 30 * kibibyte, 3 * kibibyte);
}

TEST_F(BlockCacheTest, WhatCannotBeWrittenStaysSo) {
  BlockDevice device;
  device.size = 1;
  EXPECT_FALSE(static_cast<bool>(BlockCache(device).device().write_at));
}

}  // namespace
}  // namespace kvmnet::direct

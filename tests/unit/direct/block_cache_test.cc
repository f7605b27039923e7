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

  BlockDevice cache() {
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
      std::copy(bytes.begin(), bytes.end(), content_.begin() + static_cast<std::ptrdiff_t>(offset));
    };
    return cached(std::move(device));
  }
  void expect_content(const BlockDevice& device, std::uint64_t offset, std::size_t size) const {
    std::vector<std::byte> found(size);
    device.read_at(offset, found);
    EXPECT_TRUE(std::equal(found.begin(), found.end(),
                           content_.begin() + static_cast<std::ptrdiff_t>(offset)))
        << offset << "+" << size;
  }

  using Reads = std::vector<std::pair<std::uint64_t, std::size_t>>;
  std::vector<std::byte> content_ = std::vector<std::byte>(5000 * kibibyte + 512);
  Reads reads_;
  std::uint64_t bad_ = ~0ULL;
  bool full_ = false;
};

TEST_F(BlockCacheTest, RecordsOfOneBlockAreReadOnce) {
  const BlockDevice device = cache();
  EXPECT_EQ(device.size, content_.size());
  for (std::uint64_t at = 64 * kibibyte; at < 96 * kibibyte; at += kibibyte)
    expect_content(device, at, kibibyte);
  EXPECT_EQ(reads_, (Reads{{64 * kibibyte, 32 * kibibyte}}));
  expect_content(device, 64 * kibibyte - 3, 7);
  EXPECT_EQ(reads_.size(), 2U) << "of two blocks one was there";
}

TEST_F(BlockCacheTest, AllOfTheDeviceIsReadRightInAnyOrderAndToItsEnd) {
  const BlockDevice device = cache();
  for (const std::uint64_t step : {4001U, 977U, 40961U})
    for (std::uint64_t at = 0; at + step <= content_.size(); at += step)
      expect_content(device, at, step);
  expect_content(device, content_.size() - 700, 700);
}

TEST_F(BlockCacheTest, WhatIsLargeIsNotKept) {
  const BlockDevice device = cache();
  for (int time = 0; time < 2; ++time) expect_content(device, 100, 33 * kibibyte);
  EXPECT_EQ(reads_, (Reads{{100, 33 * kibibyte}, {100, 33 * kibibyte}}));
}

TEST_F(BlockCacheTest, WhatWasWrittenIsReadBackFromTheDevice) {
  const BlockDevice device = cache();
  expect_content(device, 0, 64 * kibibyte / 2);
  expect_content(device, 40 * kibibyte, 10);
  const std::vector<std::byte> bytes(10 * kibibyte, std::byte{0xee});
  device.write_at(30 * kibibyte, bytes);
  EXPECT_EQ(content_[35 * kibibyte], std::byte{0xee});
  expect_content(device, 29 * kibibyte, 12 * kibibyte);
  full_ = true;
  EXPECT_THROW(device.write_at(30 * kibibyte, std::vector<std::byte>(5)), Error);
  expect_content(device, 30 * kibibyte, 10);
}

TEST_F(BlockCacheTest, ABadSectorSpoilsNothingBesideIt) {
  const BlockDevice device = cache();
  bad_ = 5000;
  expect_content(device, 4096, 512);
  expect_content(device, 5632, 512);
  std::vector<std::byte> sector(512);
  EXPECT_THROW(device.read_at(4608, sector), Error);
  bad_ = ~0ULL;
  expect_content(device, 4608, 512);
}

TEST_F(BlockCacheTest, WhatCannotBeWrittenStaysSo) {
  BlockDevice device;
  device.size = 1;
  EXPECT_FALSE(static_cast<bool>(cached(device).write_at));
}

}  // namespace
}  // namespace kvmnet::direct

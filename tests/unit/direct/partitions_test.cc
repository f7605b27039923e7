// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/partitions.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "direct/error.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"

namespace kvmnet::direct {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

// A disk that sfdisk or fdisk has partitioned.
class Disk {
 public:
  explicit Disk(const std::string& script, std::uint64_t size = 64 * mebibyte,
                const std::string& program = "sfdisk -q")
      : size_(size) {
    if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0)
      throw system_error("making a disk", errno);
    if (!script.empty())
      run_checked({"sh", "-c", "printf '%s' \"$1\" | /sbin/" + program + " \"$2\"", "sh", script,
                   path_for_others(file_)});
  }

  void put(std::uint64_t offset, std::string_view bytes) const {
    write_at(file_, offset, std::as_bytes(std::span(bytes)));
  }

  BlockDevice device() const {
    BlockDevice device;
    device.size = size_;
    device.read_at = [this](std::uint64_t offset, std::span<std::byte> into) {
      read_at(file_, offset, into);
    };
    return device;
  }

  // As its owner would make it.
  std::vector<Volume> volumes() const {
    const BlockDevice disk = device();
    const Fd table = make_memory_file("table");
    if (::ftruncate(table.get(), static_cast<off_t>(size_)) != 0)
      throw system_error("making a table", errno);
    const std::uint64_t part = std::min(size_, table_size);
    copy(table, 0, part);
    copy(table, size_ - part, part);
    for (const std::uint64_t at : read_chain(disk.read_at, disk.size))
      copy(table, at, chain_sector_size);
    return find_volumes(table.get(), disk);
  }

 private:
  void copy(const Fd& to, std::uint64_t offset, std::uint64_t size) const {
    std::vector<std::byte> bytes(size);
    read_at(file_, offset, bytes);
    write_at(to, offset, bytes);
  }

  const Fd file_ = make_memory_file("disk");
  std::uint64_t size_;
};

using Volumes = std::vector<Volume>;

TEST(Partitions, OfGptAreFoundWithTheirContent) {
  const Disk disk(
      "label: gpt\n"
      "start=1MiB, size=10MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n"
      "size=5MiB, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n"
      "size=20MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n");
  disk.put(16 * mebibyte + 3, "NTFS    ");
  const Volumes expected = {{1, 1 * mebibyte, 10 * mebibyte, Content::other},
                            {2, 11 * mebibyte, 5 * mebibyte, Content::other},
                            {3, 16 * mebibyte, 20 * mebibyte, Content::ntfs}};
  EXPECT_EQ(disk.volumes(), expected);
}

TEST(Partitions, KeepTheNumbersOfTheirEntries) {
  const Disk disk("label: gpt\n/dev/x2: start=2MiB, size=1MiB\n/dev/x5: start=1MiB, size=1MiB\n");
  const Volumes expected = {{2, 2 * mebibyte, 1 * mebibyte, Content::other},
                            {5, 1 * mebibyte, 1 * mebibyte, Content::other}};
  EXPECT_EQ(disk.volumes(), expected);
}

TEST(Partitions, OfADiskWithSectorsOf4096BytesAreFound) {
  const Disk disk("g\nn\n1\n256\n+10M\nn\n2\n\n+20M\nw\n", 64 * mebibyte,
                  "fdisk --sector-size 4096");
  disk.put(11 * mebibyte + 3, "NTFS    ");
  const Volumes expected = {{1, 1 * mebibyte, 10 * mebibyte, Content::other},
                            {2, 11 * mebibyte, 20 * mebibyte, Content::ntfs}};
  EXPECT_EQ(disk.volumes(), expected);
}

TEST(Partitions, OfADamagedGptAreFoundByItsCopyAtTheEnd) {
  const Disk disk("label: gpt\nstart=1MiB, size=10MiB\n");
  disk.put(512, std::string(512, '\0'));
  const Volumes expected = {{1, 1 * mebibyte, 10 * mebibyte, Content::other}};
  EXPECT_EQ(disk.volumes(), expected);
}

TEST(Partitions, OfAnMbrAreFoundTheLogicalOnesToo) {
  const Disk disk(
      "label: dos\n"
      "start=1MiB, size=10MiB, type=7\n"
      "size=5MiB, type=83\n"
      "type=f\n"
      "start=17MiB, size=6MiB, type=7\n"
      "start=24MiB, size=7MiB, type=7\n"
      "start=40MiB, size=8MiB, type=7\n",
      64 * mebibyte);
  disk.put(1 * mebibyte + 3, "NTFS    ");
  disk.put(24 * mebibyte + 3, "NTFS    ");
  disk.put(40 * mebibyte + 3, "-FVE-FS-");
  const Volumes found = disk.volumes();
  ASSERT_EQ(found.size(), 6U);
  EXPECT_EQ(found[0], (Volume{1, 1 * mebibyte, 10 * mebibyte, Content::ntfs}));
  EXPECT_EQ(found[1], (Volume{2, 11 * mebibyte, 5 * mebibyte, Content::other}));
  EXPECT_EQ(found[2].number, 3U);
  EXPECT_EQ(found[2].content, Content::other);
  EXPECT_EQ(found[3], (Volume{5, 17 * mebibyte, 6 * mebibyte, Content::other}));
  EXPECT_EQ(found[4], (Volume{6, 24 * mebibyte, 7 * mebibyte, Content::ntfs}));
  EXPECT_EQ(found[5], (Volume{7, 40 * mebibyte, 8 * mebibyte, Content::bitlocker}));
}

TEST(Partitions, AChainThatBitesItsTailEnds) {
  const Disk disk("label: dos\nstart=1MiB, size=20MiB, type=5\nstart=2MiB, size=1MiB, type=7\n");
  const BlockDevice device = disk.device();
  const auto chain = read_chain(device.read_at, device.size);
  ASSERT_EQ(chain, std::vector<std::uint64_t>{1 * mebibyte});
  // The next is the second sector of the extended partition, whose next is itself.
  std::string entry(16, '\0');
  entry[4] = 5;
  entry[8] = 1;
  entry[12] = 1;
  for (const std::uint64_t at : {1 * mebibyte, 1 * mebibyte + 512}) {
    disk.put(at + 446 + 16, entry);
    disk.put(at + 510, "\x55\xAA");
  }
  EXPECT_EQ(read_chain(device.read_at, device.size).size(), 2U);
  EXPECT_GE(disk.volumes().size(), 2U);
}

TEST(Partitions, AChainThatLeavesTheDiskEnds) {
  const Disk disk("label: dos\nstart=1MiB, size=20MiB, type=5\n");
  disk.put(446 + 8, "\xff\xff\xff\xff");
  const BlockDevice device = disk.device();
  EXPECT_TRUE(read_chain(device.read_at, device.size).empty());
}

TEST(Partitions, ADiskWithoutIsOneVolume) {
  const Disk disk("");
  const Volumes whole = {{0, 0, 64 * mebibyte, Content::other}};
  EXPECT_EQ(disk.volumes(), whole);
  disk.put(3, "NTFS    ");
  disk.put(510, "\x55\xAA");
  const Volumes ntfs = {{0, 0, 64 * mebibyte, Content::ntfs}};
  EXPECT_EQ(disk.volumes(), ntfs);
  const Volumes tiny = {{0, 0, 100, Content::other}};
  EXPECT_EQ(Disk("", 100).volumes(), tiny);
}

TEST(Partitions, WhatThisLibraryDoesNotReadIsKnownByItsType) {
  const Disk disk(
      "label: gpt\n"
      "size=1MiB, type=5808C8AA-7E8F-42E0-85D2-E1E90434CFB3\n"
      "size=1MiB, type=AF9B60A0-1431-4F62-BC68-3311714A69AD\n"
      "size=1MiB, type=E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D\n"
      "size=1MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
      "size=1MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n");
  disk.put(4 * mebibyte + 3, std::string_view("ReFS\0\0\0\0", 8));
  disk.put(5 * mebibyte, "LUKS\xba\xbe");
  const Volumes volumes = disk.volumes();
  for (const Volume& volume : volumes)
    EXPECT_EQ(volume.content, volume.number == 5 ? Content::luks : Content::unknown_layout);
  EXPECT_EQ(volumes.size(), 5U);
  const Disk ldm("label: dos\nstart=1MiB, size=20MiB, type=42\n");
  EXPECT_EQ(ldm.volumes().at(0).content, Content::unknown_layout);
}

TEST(Partitions, APartThatReachesOverTheEndIsRefused) {
  const Disk disk("");
  const BlockDevice device = disk.device();
  EXPECT_THROW(part_of(device, device.size, 1), Error);
  EXPECT_THROW(part_of(device, 1, device.size), Error);
  EXPECT_THROW(part_of(device, ~0ULL, 2), Error);
  EXPECT_EQ(part_of(device, 512, device.size - 512).size, device.size - 512);
}

}  // namespace
}  // namespace kvmnet::direct

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/originals.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/disk/changes.h"
#include "src/disk/qemu_commit.h"
#include "src/support/subprocess.h"
#include "tests/unit/direct/volume_file.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using test::numbered_text;

class OriginalsTest : public test::DiskTest {
 protected:
  OriginalsTest() {
    run_checked(
        {"qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image_, path("overlay")});
  }

  std::unique_ptr<ServedDisk> serve() const {
    return ServedDisk::unconfined(overlay_options(path("overlay"), image_, Format::raw),
                                  ServedDisk::Writes::kept);
  }
  static void write(ServedDisk& disk, Originals& originals, std::uint64_t at, std::size_t size) {
    originals.keep(disk, {at, size});
    const std::string text(size, 'w');
    disk.write(at, std::as_bytes(std::span(text)));
  }

  const std::string content_ = numbered_text((40 << 20) + 512);
  const std::string image_ = file("image", content_);
};

TEST_F(OriginalsTest, HasWhatWasThereBeforeTheFirstOfManyWrites) {
  const auto disk = serve();
  Originals originals;
  write(*disk, originals, 5000, 600);
  write(*disk, originals, 4600, 10);    // in a sector that is known
  write(*disk, originals, 7000, 2000);  // further on
  write(*disk, originals, 0, 9000);     // between, around, and before
  write(*disk, originals, content_.size() - 1, 1);
  ASSERT_TRUE(originals.are_complete());
  for (const auto& [at, size] : std::vector<std::pair<std::size_t, std::size_t>>{
           {0, 20480}, {4700, 3}, {8999, 100}, {20000, 100}, {content_.size() - 700, 700}}) {
    std::string found(size, '\0');
    const auto bytes = std::as_writable_bytes(std::span(found));
    disk->read(at, bytes);
    originals.restore(at, bytes);
    EXPECT_EQ(found == content_.substr(at, size), true) << at << "+" << size;
  }
}

TEST_F(OriginalsTest, WhatWasReadIsNotReadAgain) {
  const auto disk = serve();
  Originals originals;
  write(*disk, originals, 2048, 512);
  std::string known(8000, '\0');
  const auto bytes = std::as_writable_bytes(std::span(known));
  disk->read(1000, bytes);  // also what is not as it was any more
  originals.note(1000, bytes);
  // Were it read, it would not be as it was.
  const std::string other(1024, 'o');
  disk->write(4096, std::as_bytes(std::span(other)));
  originals.keep(*disk, {4096, other.size()});
  originals.keep(*disk, {1000, 1});  // of the first sector only a part was read
  std::string found(10000, '\0');
  disk->read(0, std::as_writable_bytes(std::span(found)));
  originals.restore(0, std::as_writable_bytes(std::span(found)));
  EXPECT_EQ(found == content_.substr(0, 10000), true);
}

TEST_F(OriginalsTest, OfMuchThatWasReadNotAllIsKeptButNoWriteIsForgotten) {
  const auto disk = serve();
  Originals originals;
  std::string read(1 << 20, '\0');
  for (std::uint64_t at = 0; at < 40 << 20; at += read.size()) {
    disk->read(at, std::as_writable_bytes(std::span(read)));
    originals.note(at, std::as_bytes(std::span(read)));
  }
  // Of what lies behind the first few MiB nothing was kept: it is read when keep() comes.
  const std::string other(512, 'o');
  disk->write(30 << 20, std::as_bytes(std::span(other)));
  originals.keep(*disk, {30 << 20, 1});
  std::string last(512, '\0');
  originals.restore(30 << 20, std::as_writable_bytes(std::span(last)));
  EXPECT_EQ(last, other);
  for (const std::uint64_t at : {1U << 20, 39U << 20}) write(*disk, originals, at, 3000);
  EXPECT_TRUE(originals.are_complete());
  for (const std::uint64_t at : {1U << 20, 39U << 20}) {
    std::string found(4096, '\0');
    disk->read(at, std::as_writable_bytes(std::span(found)));
    originals.restore(at, std::as_writable_bytes(std::span(found)));
    EXPECT_EQ(found == content_.substr(at, found.size()), true) << at;
  }
}

TEST_F(OriginalsTest, OfMuchThereIsNothing) {
  const auto disk = serve();
  Originals originals;
  originals.keep(*disk, {512, 32 << 20});
  EXPECT_TRUE(originals.are_complete());
  originals.keep(*disk, {0, 513});
  EXPECT_FALSE(originals.are_complete());
  originals.keep(*disk, {0, 1});
  EXPECT_FALSE(originals.are_complete());
}

TEST_F(OriginalsTest, TheSameChangesAreFoundAsInTheImage) {
  const auto disk = serve();
  Originals originals;
  write(*disk, originals, 100, 1);
  write(*disk, originals, 3 << 20, 70000);
  write(*disk, originals, 33 << 20, 2048);
  const auto found = compare(*disk, originals);
  disk->finish();
  const auto after = serve();
  ServedDisk before(image_options(image_, Format::raw));
  const auto expected = compare(*after, before);
  ASSERT_EQ(found.size(), 3U);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].range, expected[i].range);
    EXPECT_EQ(found[i].after, expected[i].after);
    EXPECT_EQ(found[i].sectors, expected[i].sectors);
    EXPECT_EQ(found[i].before, expected[i].before);
  }
}

}  // namespace
}  // namespace kvmnet::disk

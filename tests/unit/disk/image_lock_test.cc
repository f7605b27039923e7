// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/image_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>

#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using test::Holder;
using test::identified;
using ImageLockTest = test::DiskTest;

// Why the lock is refused; nothing if it is not.
std::optional<Refusal> refusal(const ImageInfo& image, Use use) {
  const auto result = ImageLock::take(image.path, use);
  if (const auto* found = std::get_if<Refusal>(&result)) return *found;
  return std::nullopt;
}

std::string word(const ImageInfo& image, Use use) {
  const auto found = refusal(image, use);
  return found ? std::string(code(found->reason)) : "taken";
}

TEST_F(ImageLockTest, OfAnotherProcessExcludesWriters) {
  const ImageInfo image = identified(file("a.img", "x"));
  const struct {
    Use other;
    Use ours;
    const char* expected;
  } table[] = {{Use::read, Use::read, "taken"},
               {Use::read, Use::write, "image-in-use"},
               {Use::write, Use::read, "image-in-use"},
               {Use::write, Use::write, "image-in-use"}};
  for (const auto& row : table) {
    std::optional<ImageLock> lock;
    const Holder holder(
        [&] { lock.emplace(std::get<ImageLock>(ImageLock::take(image.path, row.other))); });
    EXPECT_EQ(word(image, row.ours), row.expected);
  }
  EXPECT_EQ(word(image, Use::write), "taken");  // they are gone with their processes
}

TEST_F(ImageLockTest, IsReleasedWithItsScope) {
  const ImageInfo image = identified(file("a.img", "x"));
  {
    const auto lock = ImageLock::take(image.path, Use::write);
    ASSERT_TRUE(std::holds_alternative<ImageLock>(lock));
    EXPECT_EQ(word(image, Use::write), "image-in-use");  // also in one process
  }
  EXPECT_EQ(word(image, Use::write), "taken");
}

TEST_F(ImageLockTest, IsKeptWhenItIsMoved) {
  const ImageInfo image = identified(file("a.img", "x"));
  auto taken = ImageLock::take(image.path, Use::write);
  const ImageLock moved = std::move(std::get<ImageLock>(taken));
  taken = Refusal{};
  EXPECT_EQ(word(image, Use::write), "image-in-use");
}

TEST_F(ImageLockTest, BelongsToTheFileAndNotToItsName) {
  const ImageInfo image = identified(file("a.img", "x"));
  ASSERT_EQ(::link(image.path.c_str(), path("b.img").c_str()), 0);
  const auto lock = ImageLock::take(image.path, Use::write);
  EXPECT_EQ(word(identified(path("b.img")), Use::write), "image-in-use");
  EXPECT_EQ(word(identified(file("c.img", "x")), Use::write), "taken");
}

TEST_F(ImageLockTest, NamesWhoHasIt) {
  const ImageInfo image = identified(file("a.img", "x"));
  std::optional<ImageLock> lock;
  const Holder holder(
      [&] { lock.emplace(std::get<ImageLock>(ImageLock::take(image.path, Use::write))); });
  const auto found = refusal(image, Use::read);
  ASSERT_TRUE(found);
  EXPECT_NE(found->message.find(image.path), std::string::npos) << found->message;
  EXPECT_NE(found->message.find("(image-holder, pid " + std::to_string(holder.pid()) + ")"),
            std::string::npos)
      << found->message;
}

TEST_F(ImageLockTest, IsRefusedByTheLocksThatQemuTakes) {
  const ImageInfo image = identified(file("a.img", "x"));
  // 100 + n: QEMU uses permission n; 200 + n: it does not share it.
  const struct {
    off_t byte;
    const char* reading;
    const char* writing;
  } table[] = {
      {100, "taken", "taken"},                // reads
      {101, "image-in-use", "image-in-use"},  // writes
      {102, "taken", "taken"},
      {103, "image-in-use", "image-in-use"},  // resizes
      {200, "taken", "taken"},
      {201, "taken", "image-in-use"},  // shares no writing: reads it as a backing file
      {203, "taken", "image-in-use"},
      {204, "taken", "taken"},
  };
  for (const auto& row : table)
    for (const short type : {static_cast<short>(F_RDLCK), static_cast<short>(F_WRLCK)}) {
      const Holder holder([&] {
        const int fd = ::open(image.path.c_str(), O_RDWR);
        struct flock lock {};
        lock.l_type = type;
        lock.l_start = row.byte;
        lock.l_len = 1;
        if (::fcntl(fd, F_OFD_SETLK, &lock) != 0) ::_exit(1);
      });
      EXPECT_EQ(word(image, Use::read), row.reading) << row.byte;
      EXPECT_EQ(word(image, Use::write), row.writing) << row.byte;
    }
}

// The refusal's code as soon as there is one, or "taken" if there never is.
std::string word_in_time(const ImageInfo& image, Use use) {
  for (int i = 0; i < 500; ++i) {
    if (word(image, use) != "taken") return word(image, use);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return "taken";
}

std::vector<std::string> qemu_io(const std::string& option, const std::string& path) {
  return {"qemu-io", option, "-f", "qcow2", "-c", "sleep 30000", path};
}

TEST_F(ImageLockTest, IsRefusedWhileQemuWrites) {
  const ImageInfo image = identified(this->image("a.qcow2", "qcow2"));
  const Holder qemu(qemu_io("-twriteback", image.path));
  EXPECT_EQ(word_in_time(image, Use::read), "image-in-use");
  const auto found = refusal(image, Use::write);
  ASSERT_TRUE(found);
  EXPECT_NE(found->message.find("(qemu-io, pid " + std::to_string(qemu.pid()) + ")"),
            std::string::npos)
      << found->message;
}

TEST_F(ImageLockTest, IsSharedWithAQemuThatReads) {
  const ImageInfo image = identified(this->image("a.qcow2", "qcow2"));
  const Holder qemu(qemu_io("-r", image.path));
  EXPECT_EQ(word_in_time(image, Use::write), "image-in-use");
  EXPECT_EQ(word(image, Use::read), "taken");
}

TEST_F(ImageLockTest, OfABackingFileInUseIsRefusedToWriters) {
  const ImageInfo image = identified(this->image("a.qcow2", "qcow2"));
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image.path,
               path("clone.qcow2")});
  const Holder qemu(qemu_io("-twriteback", path("clone.qcow2")));
  EXPECT_EQ(word_in_time(image, Use::write), "image-in-use");
  EXPECT_EQ(word(image, Use::read), "taken");
}

TEST_F(ImageLockTest, NeedsTheFile) {
  ImageInfo image = identified(file("a.img", "x"));
  image.path = path("nothing");
  EXPECT_THROW(ImageLock::take(image.path, Use::read), Error);
}

}  // namespace
}  // namespace kvmnet::disk

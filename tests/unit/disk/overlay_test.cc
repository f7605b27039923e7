// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/overlay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "src/disk/commit.h"
#include "src/disk/image_lock.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using test::identified;
using test::text_of;
using OverlayTest = test::DiskTest;
using Names = std::vector<std::string>;

struct stat status_of(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) throw system_error(path, errno);
  return st;
}

// 4 KiB of 0x22 at the start of the disk behind the overlay.
void write_to(const Overlay& overlay) {
  run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -P 0x22 0 4k", overlay.path()});
}

// Whether the disk in the image has what write_to wrote, and what image() did.
bool has_written(const std::string& path, const std::string& format) {
  const auto read = run({"qemu-io", "-r", "-f", format, "-c", "read -q -P 0x22 0 4k", "-c",
                         "read -q -P 0 4k 508k", "-c", "read -q -P 0x11 512k 512k", path});
  return read.status == 0 && read.output.find("failed") == std::string::npos;
}

void commit_into(const std::string& path, Overlay overlay) {
  const auto lock = std::get<ImageLock>(ImageLock::take(path, Use::write));
  commit(std::move(overlay), identified(path), lock, [] {});
}

TEST_F(OverlayTest, ItsFileIsThereWhileItIsMade) {
  const std::string path = image("disk", "raw");
  std::string meanwhile;
  const Overlay overlay = Overlay::beside(identified(path), {[&](const std::string& made) {
                                            meanwhile = made;
                                            EXPECT_EQ(status_of(made).st_mode & 07777, 0600U);
                                          }});
  EXPECT_EQ(meanwhile, overlay.path());
  EXPECT_THROW(Overlay::in(this->path(""), identified(path),
                           {[](const std::string& /*made*/) { throw Error("no server"); }}),
               Error);
  EXPECT_EQ(names(), (Names{"disk", "disk.kvmnet-overlay"})) << "the other one has gone";
}

class OverlayOf : public OverlayTest, public testing::WithParamInterface<const char*> {};

TEST_P(OverlayOf, ReachesTheImageOnCommitOnly) {
  const std::string format = GetParam();
  const std::string path = image("disk", format);
  const std::string before = text_of(path);
  {
    Overlay overlay = Overlay::beside(identified(path));
    write_to(overlay);
    EXPECT_EQ(text_of(path), before);
  }
  EXPECT_EQ(text_of(path), before);
  EXPECT_EQ(names(), Names{"disk"});
  {
    Overlay overlay = Overlay::beside(identified(path));
    write_to(overlay);
    commit_into(path, std::move(overlay));
    EXPECT_TRUE(has_written(path, format));
  }
  EXPECT_TRUE(has_written(path, format));
  EXPECT_EQ(names(), Names{"disk"});
  EXPECT_EQ(run({"qemu-img", "check", "-q", "-f", "qcow2", path}).status,
            format == "qcow2" ? 0 : 1);
}

TEST_F(OverlayTest, OfAnImageThatWasNotClosedIsRefusedAsDamaged) {
  const std::string disk = path("disk");
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", disk, "1M"});
  run({"qemu-io", "-c", "write -q 0 64k", "-c", "sigraise 9", disk});
  for (const bool check_later : {false, true}) {
    bool is_made = false;
    try {
      const Overlay overlay = Overlay::beside(identified(disk), {{}, check_later});
      is_made = true;
      EXPECT_THROW(overlay.require_sound(), Refused);
      overlay.require_sound();
      FAIL() << "not refused";
    } catch (const Refused& e) {
      EXPECT_EQ(e.refusal.reason, Reason::damaged_image);
    }
    EXPECT_EQ(is_made, check_later);
    EXPECT_EQ(names(), Names{"disk"});
  }
}

TEST_F(OverlayTest, OfADiskThatDoesNotEndWithASectorIsRefused) {
  const std::string disk = image("disk", "qcow2");
  const Fd file = open_file(disk, O_RDWR);
  const auto set_size = [&file](std::uint32_t size) {
    const std::uint32_t stored = ::htonl(size);
    write_at(file, 28, std::as_bytes(std::span(&stored, 1)));
  };
  set_size((1 << 20) - 100);
  try {
    Overlay::beside(identified(disk));
    FAIL() << "not refused";
  } catch (const Refused& e) {
    EXPECT_EQ(e.refusal.reason, Reason::damaged_image);
    EXPECT_NE(e.refusal.message.find("resize -f qcow2 IMAGE 1048576"), std::string::npos);
  }
  set_size((1 << 20) - 512);
  EXPECT_NO_THROW(Overlay::beside(identified(disk)));
}

TEST_P(OverlayOf, WithoutWritesChangesNothingOnCommit) {
  const std::string path = image("disk", GetParam());
  const std::string before = text_of(path);
  commit_into(path, Overlay::beside(identified(path)));
  EXPECT_EQ(text_of(path), before);
}

INSTANTIATE_TEST_SUITE_P(Overlay, OverlayOf, testing::Values("raw", "qcow2"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_F(OverlayTest, IsPrivateToUsWhoeverTheImageBelongsTo) {
  const mode_t before = ::umask(0);
  for (const mode_t mode : {0600U, 0640U, 0644U, 0666U}) {
    const std::string path = file("disk", std::string(1 << 20, '\0'));
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const bool other_owner = ::geteuid() == 0;
    ASSERT_TRUE(!other_owner || ::chown(path.c_str(), 1234, 5678) == 0);
    Overlay overlay = Overlay::beside(identified(path));
    const struct stat st = status_of(overlay.path());
    EXPECT_EQ(st.st_mode & 07777, 0600U) << std::oct << mode;
    EXPECT_EQ(st.st_uid, ::geteuid()) << "its owner could lead QEMU to other files by its header";
    EXPECT_EQ(std::filesystem::path(overlay.path()).parent_path(),
              std::filesystem::path(identified(path).path).parent_path());
    commit_into(path, std::move(overlay));
    EXPECT_EQ(status_of(path).st_mode & 07777, mode);
  }
  ::umask(before);
}

TEST_F(OverlayTest, MayBeElsewhere) {
  const std::string path = image("disk", "raw");
  const TempDir elsewhere;
  {
    Overlay overlay = Overlay::in(elsewhere.path(), identified(path));
    write_to(overlay);
    EXPECT_EQ(overlay.path(), elsewhere.path() + "/overlay.qcow2");
    EXPECT_EQ(status_of(overlay.path()).st_mode & 07777, 0600U);
    EXPECT_EQ(names(), Names{"disk"});
  }
  EXPECT_TRUE(std::filesystem::is_empty(elsewhere.path()));
}

TEST_F(OverlayTest, IsNotMadeElsewhereOverAFileThatIsThere) {
  const std::string path = image("disk", "raw");
  const std::string victim = file("victim", "precious");
  const TempDir elsewhere;
  std::filesystem::create_symlink(victim, elsewhere.path() + "/overlay.qcow2");
  EXPECT_THROW(Overlay::in(elsewhere.path(), identified(path)), Error);
  EXPECT_EQ(text_of(victim), "precious");
}

TEST_F(OverlayTest, IsRemovedOnceWhenItIsMoved) {
  const std::string path = image("disk", "raw");
  {
    Overlay first = Overlay::beside(identified(path));
    Overlay second = std::move(first);
    EXPECT_EQ(names().size(), 2U);
    write_to(second);
    commit_into(path, std::move(second));
  }
  EXPECT_EQ(names(), Names{"disk"});
  EXPECT_TRUE(has_written(path, "raw"));
}

TEST_F(OverlayTest, DoesNotFollowALinkInItsPlace) {
  const std::string path = image("disk", "raw");
  const std::string victim = file("victim", "precious");
  std::filesystem::create_symlink("victim", path + ".kvmnet-overlay");
  EXPECT_THROW(Overlay::beside(identified(path)), Error);
  EXPECT_EQ(text_of(victim), "precious");
}

TEST_F(OverlayTest, IsRefusedOverADamagedImage) {
  const std::string path = image("disk", "qcow2");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 65536);
  EXPECT_THROW(Overlay::beside(identified(path)), Refused);
  EXPECT_EQ(names(), Names{"disk"});
}

// QEMU does so when it finds a table where another lies. qemu-img check finds nothing any more
// where that has not reached the file.
TEST_F(OverlayTest, IsRefusedOverAnImageThatQemuHasMarkedAsCorrupt) {
  const std::string path = image("disk", "qcow2");
  constexpr off_t end_of_incompatible_features = 79;
  const char corrupt = 2;
  ASSERT_EQ(::pwrite(open_file(path, O_WRONLY).get(), &corrupt, 1, end_of_incompatible_features),
            1);
  ASSERT_EQ(run({"qemu-img", "check", "-q", "-f", "qcow2", path}).status, 0);
  ASSERT_NE(run({"qemu-io", "-f", "qcow2", "-c", "write 0 512", path}).status, 0);
  try {
    Overlay::beside(identified(path));
    FAIL() << "not refused";
  } catch (const Refused& e) {
    EXPECT_EQ(e.refusal.reason, Reason::damaged_image);
    EXPECT_NE(e.refusal.message.find("marked the image as corrupt"), std::string::npos);
  }
  EXPECT_EQ(names(), Names{"disk"});
  run_checked({"qemu-img", "check", "-q", "-r", "all", "-f", "qcow2", path});
  EXPECT_NO_THROW(Overlay::beside(identified(path)));
}

TEST_F(OverlayTest, IsMadeOverAnImageThatOnlyWastesSpace) {
  const std::string path = image("disk", "qcow2");
  run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -P 0x22 0 64k", path});
  const auto before = std::filesystem::file_size(path);
  // A cluster that is counted and not used: the refcount block is the third cluster.
  const Fd fd = open_file(path, O_WRONLY);
  const char one[] = {0, 1};
  const auto cluster = static_cast<off_t>(before / 65536);
  ASSERT_EQ(::pwrite(fd.get(), one, 2, 2 * 65536 + 2 * cluster), 2);
  ASSERT_EQ(::ftruncate(fd.get(), static_cast<off_t>(before + 65536)), 0);
  ASSERT_EQ(run({"qemu-img", "check", "-q", "-f", "qcow2", path}).status, 3);
  EXPECT_NO_THROW(commit_into(path, Overlay::beside(identified(path))));
}

TEST_F(OverlayTest, LeavesTheBackingFileOfTheImageAlone) {
  const std::string base = image("base", "raw");
  const std::string before = text_of(base);
  const std::string top = path("top");
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "base", top});
  Overlay overlay = Overlay::beside(identified(top));
  write_to(overlay);
  commit_into(top, std::move(overlay));
  EXPECT_TRUE(has_written(top, "qcow2"));
  EXPECT_EQ(text_of(base), before);
}

TEST_F(OverlayTest, WritesToTheImageOfThatNameAndNoOther) {
  const char* odd_names[] = {"with space", "a,b",         "a,,b",        "nbd:x",
                             "json:{}",    "a=b,size=5",  "line\nbreak", "-dash",
                             "--help",     "caf\xC3\xA9", "q\"u'o`te$",  "back\\slash"};
  for (const char* decoy : {"a", "b", "x", "with", "line", "dash"}) file(decoy, "decoy");
  for (const char* name : odd_names) {
    SCOPED_TRACE(name);
    const std::string path = file(name, std::string(65536, '\0'));
    const Names before = names();
    bool committed = false;
    try {
      Overlay overlay = Overlay::beside(identified(path));
      write_to(overlay);
      commit_into(path, std::move(overlay));
      committed = true;
    } catch (const Error&) {
    }
    EXPECT_EQ(names(), before);
    std::string expected(65536, '\0');
    if (committed) expected.replace(0, 4096, std::string(4096, '\x22'));
    EXPECT_EQ(text_of(path) == expected, true);
    EXPECT_TRUE(committed);
  }
  for (const char* decoy : {"a", "b", "x", "with", "line", "dash"})
    EXPECT_EQ(text_of(path(decoy)), "decoy");
}

TEST_F(OverlayTest, IsAnErrorWhereItCannotBeMade) {
  const std::string image = file("disk", std::string(65536, '\0'));
  const int answer = test::in_child_of_nobody([&] {
    const ImageInfo info = identified(image);
    try {
      Overlay::beside(info);
    } catch (const Error&) {
      return 1;
    }
    return 0;
  });
  // Where we are not root the directory is our own.
  EXPECT_EQ(answer, ::geteuid() == 0 ? 1 : 0);
  EXPECT_EQ(names(), Names{"disk"});
}

}  // namespace
}  // namespace kvmnet::disk

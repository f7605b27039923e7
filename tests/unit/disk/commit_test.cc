// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/commit.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "src/disk/beside.h"
#include "src/disk/qemu_commit.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/commit_fixture.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using test::Holder;
using test::identified;
using test::text_of;

TEST_F(CommitTest, IntoAnImageThatSomebodyHasChangedIsRefused) {
  const std::string path = image("disk", "raw");
  const ImageLock lock = locked(path);
  const ImageInfo info = identified(path);
  Overlay overlay = Overlay::beside(info);
  write_changes(overlay.path(), "qcow2");
  run_checked({"qemu-io", "-f", "raw", "-c", "write -q -P 0x44 256k 4k", path});
  const std::string changed = text_of(path);
  EXPECT_THROW(commit(std::move(overlay), info, lock, [] {}), Refused);
  EXPECT_EQ(text_of(path), changed);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CommitTest, IntoAnotherImageOfThatNameIsRefused) {
  const std::string path = image("disk", "raw");
  const ImageLock lock = locked(path);
  const ImageInfo info = identified(path);
  Overlay overlay = Overlay::beside(info);
  write_changes(overlay.path(), "qcow2");
  const std::string other = text_of(path);
  fs::rename(path, path + ".old");
  file("disk", other);
  EXPECT_THROW(commit(std::move(overlay), info, lock, [] {}), Refused);
  EXPECT_EQ(text_of(path), other);
  EXPECT_EQ(names(), (Names{"disk", "disk.old"}));
}

// QEMU has started since the work began: its locks are seen once the image has lost its name.
TEST_F(CommitTest, IntoAnImageThatSomebodyHasOpenedIsRefused) {
  const std::string path = image("disk", "raw");
  const ImageLock lock = locked(path);
  const ImageInfo info = identified(path);
  Overlay overlay = Overlay::beside(info);
  write_changes(overlay.path(), "qcow2");
  const Holder holder([&] {
    struct flock held {};
    held.l_type = F_RDLCK;
    held.l_start = 201;
    held.l_len = 1;
    ::fcntl(open_file(path, O_RDWR).release(), F_OFD_SETLK, &held);
  });
  try {
    commit(std::move(overlay), info, lock, [] {});
    ADD_FAILURE() << "not refused";
  } catch (const Refused& e) {
    EXPECT_EQ(e.refusal.reason, Reason::image_in_use);
  }
  EXPECT_TRUE(is_before(path, "raw"));
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CommitTest, OfAQemuImgThatFailsAtOnceLeavesTheImageAsItWas) {
  const std::string path = image("disk", "raw");
  const std::string before = text_of(path);
  const FakeQemuImg fake("echo no luck; exit 1");
  try {
    commit_to(path);
    ADD_FAILURE() << "a failed commit is no success";
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_NE(message.find("no luck"), std::string::npos) << message;
    EXPECT_NE(message.find("nothing was written"), std::string::npos) << message;
  }
  EXPECT_EQ(text_of(path), before);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CommitTest, OfAQemuImgThatFailsLaterHidesTheImageUntilItIsRecovered) {
  const std::string path = image("disk", "raw");
  {
    const FakeQemuImg fake("qemu-io -f raw -c 'write -q -P 0x22 0 4k' \"$image\"; exit 1");
    try {
      commit_to(path);
      ADD_FAILURE() << "a failed commit is no success";
    } catch (const Error& e) {
      const std::string message = e.what();
      EXPECT_NE(message.find("is now called " + commit_path(path)), std::string::npos) << message;
    }
  }
  EXPECT_EQ(names(), (Names{"disk.kvmnet-commit", "disk.kvmnet-journal", "disk.kvmnet-overlay"}));
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(path, "raw"));
  EXPECT_EQ(names(), Names{"disk"});
}

// QEMU follows the header of an overlay or image, and who owns them can write another one at any
// moment: for root's QEMU there is nothing else to be opened.
TEST_F(CommitTest, OfRootLeadsToNoFileThatTheImagesOwnerNames) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs files of two users";
  for (const bool of_others : {true, false}) {
    const std::string path = image("disk", "qcow2");
    const std::string overlay = this->path("overlay");
    const std::string victim = file("victim", std::string(1 << 20, 'v'));
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=" + this->path("data"),
                 "-b", path, "-F", "qcow2", overlay});
    write_changes(overlay, "qcow2");
    fs::rename(victim, this->path("data"));  // what the header names now
    ASSERT_EQ(::chown(path.c_str(), of_others ? 1234 : 0, 0), 0);
    if (of_others)
      EXPECT_THROW(QemuCommit(overlay, path, Format::qcow2).write(), Error);
    else
      EXPECT_NO_THROW(QemuCommit(overlay, path, Format::qcow2).write()) << "nothing would be seen";
    for (const std::string& name : names()) fs::remove(this->path(name));
  }
}

// Who owns the directory can put a link in the place of any file in it, at any moment.
TEST_F(CommitTest, OfRootFollowsNoLinkInTheDirectoryOfOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs files of two users";
  for (const char* format : {"raw", "qcow2"})
    for (const bool in_place_of_image : {true, false}) {
      const std::string path = image("disk", format);
      const std::string overlay = this->path("overlay");
      run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", format, overlay});
      write_changes(overlay, "qcow2");
      ASSERT_EQ(::chown(path.c_str(), 1234, 0), 0);
      const std::string exchanged = in_place_of_image ? path : overlay;
      const std::string victim = this->path("victim");
      fs::rename(exchanged, victim);
      ASSERT_EQ(::chown(victim.c_str(), 0, 0), 0);
      fs::create_symlink(victim, exchanged);
      ASSERT_EQ(::lchown(exchanged.c_str(), 1234, 0), 0);
      ASSERT_EQ(::chown(this->path("").c_str(), 1234, 0), 0);
      const std::string before = text_of(victim);
      EXPECT_THROW(
          QemuCommit(overlay, path, std::string(format) == "raw" ? Format::raw : Format::qcow2)
              .write(),
          Error)
          << format;
      EXPECT_TRUE(text_of(victim) == before) << format << ": was written to";
      ASSERT_EQ(::chown(this->path("").c_str(), 0, 0), 0);
      for (const std::string& name : names()) fs::remove(this->path(name));
    }
}

// What QEMU has written to is not the image then.
TEST_F(CommitTest, IsNotDoneWhereTheImageIsAnotherFileAtItsEnd) {
  const std::string path = image("disk", "raw");
  {
    const FakeQemuImg fake("mv \"$image\" \"$image.away\" && cp \"$image.away\" \"$image\"");
    EXPECT_THROW(commit_to(path), Error);
  }
  EXPECT_FALSE(is_there(path));
  EXPECT_TRUE(is_there(journal_path(path)));
  fs::rename(commit_path(path) + ".away", commit_path(path));
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(CommitTest, KeepsItsFilesPrivate) {
  const mode_t umask = ::umask(0);
  const std::string path = image("disk", "raw");
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  die_committing(path, "");
  for (const std::string& name : {journal_path(path), overlay_path(path)})
    EXPECT_EQ(fs::status(name).permissions(), fs::perms(0600)) << name;
  EXPECT_EQ(fs::status(commit_path(path)).permissions(), fs::perms(0640));
  recover(path, Interruption::keep, [] {});
  EXPECT_EQ(fs::status(path).permissions(), fs::perms(0640));
  ::umask(umask);
}

}  // namespace
}  // namespace kvmnet::disk

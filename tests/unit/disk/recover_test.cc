// SPDX-License-Identifier: GPL-2.0-or-later
// What recover() makes of what an interrupted commit leaves.
#include "src/disk/recover.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "src/disk/beside.h"
#include "src/disk/journal.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/commit_fixture.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using State = Journal::State;
using test::Holder;
using test::text_of;

class RecoverOf : public CommitTest, public testing::WithParamInterface<const char*> {};

TEST_P(RecoverOf, FinishesWhatWasHalfWritten) {
  const std::string format = GetParam();
  const std::string path = half_written("disk", format);
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(path, format));
  EXPECT_EQ(names(), Names{"disk"});
  if (format == "qcow2") {
    EXPECT_EQ(run({"qemu-img", "check", "-q", path}).status, 0);
  }
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::nothing);
}

TEST_P(RecoverOf, FinishesWhatWasWrittenWholeButNotRenamed) {
  const std::string format = GetParam();
  const std::string path = image("disk", format);
  die_committing(path, "qemu-img \"$@\"");
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(path, format));
  EXPECT_EQ(names(), Names{"disk"});
}

// To where there is more space, say. A copy is another file; some file systems number theirs anew.
TEST_P(RecoverOf, FinishesWhatWasMovedWithAllFilesBesideIt) {
  const std::string format = GetParam();
  const std::string moved = move_away(half_written("disk", format));
  EXPECT_EQ(recover(moved, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(moved, format));
  EXPECT_EQ(names(), Names{"elsewhere"});
}

TEST_P(RecoverOf, FinishesWhatWasMovedWhenItHadBeenWrittenWhole) {
  const std::string format = GetParam();
  const std::string path = image("disk", format);
  die_committing(path, "qemu-img \"$@\"");
  Journal::open(path, Use::write)->set_state(State::done);
  const std::string moved = move_away(path);
  EXPECT_EQ(recover(moved, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(moved, format));
}

TEST_P(RecoverOf, DoesNotTakeAnotherFileForWhatWasMoved) {
  const std::string format = GetParam();
  const std::string moved = move_away(half_written("disk", format));
  const auto change = [&](const char* command) {
    run_checked({"qemu-io", "-f", format, "-c", command, commit_path(moved)});
  };
  change("write -q -P 0x44 600k 512");
  EXPECT_EQ(refusal_of(moved).substr(0, 15), "commit-conflict");
  change("write -q -P 0x11 600k 512");
  Journal::open(moved, Use::write)->set_state(State::done);
  const std::string refusal = refusal_of(moved);
  EXPECT_NE(refusal.find("has not all of its patch"), std::string::npos) << refusal;
  fs::resize_file(commit_path(moved), fs::file_size(commit_path(moved)) - (4 << 10));
  EXPECT_NE(refusal_of(moved), "not refused");
  EXPECT_FALSE(fs::exists(moved));
}

INSTANTIATE_TEST_SUITE_P(Recover, RecoverOf, testing::Values("raw", "qcow2"),
                         [](const auto& instance) { return std::string(instance.param); });

using RecoverTest = CommitTest;

TEST_F(RecoverTest, FinishesOrDiscardsWhatWasMovedWhenItWasOnlyPrepared) {
  for (const bool hidden : {true, false}) {
    const std::string moved = move_away(prepared(hidden));
    if (hidden) {
      EXPECT_EQ(recover(moved, Interruption::keep, [] {}).recovery, Recovery::finished);
      EXPECT_TRUE(is_after(moved, "raw"));
    } else {
      EXPECT_NE(refusal_of(moved).find("another file is in the place"), std::string::npos);
    }
    fs::remove_all(path("elsewhere"));
    const std::string again = move_away(prepared(hidden));
    EXPECT_EQ(recover(again, Interruption::discard, [] {}).recovery, Recovery::discarded);
    EXPECT_TRUE(is_before(again, "raw"));
    fs::remove_all(path("elsewhere"));
  }
  const std::string changed = move_away(prepared(true));
  run_checked({"qemu-io", "-f", "raw", "-c", "write -q -P 0x44 700k 4k", commit_path(changed)});
  EXPECT_NE(refusal_of(changed).find("changed by somebody else"), std::string::npos);
}

TEST_F(RecoverTest, FindsNothingBesideAWholeImage) {
  const std::string path = image("disk", "raw");
  EXPECT_FALSE(has_leftovers(path));
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::nothing);
  EXPECT_EQ(recover(path, Interruption::discard, [] {}).recovery, Recovery::nothing);
  EXPECT_THROW(recover(path + "x", Interruption::keep, [] {}), Error);
  fs::create_directory(this->path("directory"));
  EXPECT_EQ(refusal_of(this->path("directory")).substr(0, 19), "not-a-regular-file:");
}

TEST_F(RecoverTest, RemovesWhatADeadRunHasLeftBeforeItsCommit) {
  const std::string path = image("disk", "raw");
  file("disk.kvmnet-overlay", "left");
  file("disk.kvmnet-journal", "kvmnet-journal 2 ready   cut sho");
  EXPECT_TRUE(has_leftovers(path));
  EXPECT_FALSE(check_committed(path).has_value());
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::nothing);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(RecoverTest, LeavesALiveRunAlone) {
  const std::string path = image("disk", "raw");
  file("disk.kvmnet-overlay", "in use");
  const Holder holder([&] { new ImageLock(locked(path)); });
  EXPECT_EQ(refusal_of(path).substr(0, 12), "image-in-use");
  EXPECT_EQ(check_committed(path)->reason, Reason::image_in_use);
  EXPECT_EQ(text_of(overlay_path(path)), "in use");
}

TEST_F(RecoverTest, LeavesALiveCommitAlone) {
  const std::string path = half_written();
  const Holder holder([&] { new ImageLock(locked(commit_path(path))); });
  EXPECT_EQ(refusal_of(path).substr(0, 12), "image-in-use");
  EXPECT_EQ(check_committed(path)->reason, Reason::image_in_use);
}

TEST_F(RecoverTest, FinishesOrDiscardsWhatWasOnlyPrepared) {
  for (const bool hidden : {true, false}) {
    std::string path = prepared(hidden);
    EXPECT_EQ(check_committed(path)->reason, Reason::commit_interrupted);
    EXPECT_EQ(recover(path, Interruption::discard, [] {}).recovery, Recovery::discarded);
    EXPECT_TRUE(is_before(path, "raw"));
    EXPECT_EQ(names(), Names{"disk"});
    fs::remove(path);
    path = prepared(hidden);
    EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
    EXPECT_TRUE(is_after(path, "raw"));
    EXPECT_EQ(names(), Names{"disk"});
    fs::remove(path);
  }
}

// The image had its name, and its guest was started.
TEST_F(RecoverTest, DoesNotPutAnOldPatchIntoAChangedImage) {
  for (const bool hidden : {true, false}) {
    const std::string path = prepared(hidden);
    const std::string place = hidden ? commit_path(path) : path;
    run_checked({"qemu-io", "-f", "raw", "-c", "write -q -P 0x44 700k 4k", place});
    const std::string changed = text_of(place);
    expect_conflict(path, "changed by somebody else");
    EXPECT_EQ(recover(path, Interruption::discard, [] {}).recovery, Recovery::discarded);
    EXPECT_EQ(text_of(path), changed);
    EXPECT_EQ(names(), Names{"disk"});
    fs::remove(path);
  }
}

TEST_F(RecoverTest, DoesNotDiscardWhatMayBeHalfWritten) {
  const std::string path = half_written();
  EXPECT_EQ(refusal_of(path, Interruption::discard).substr(0, 16), "commit-half-done");
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(path, "raw"));
}

// Both within what the patch changes, and beside it in the same cluster of the overlay.
TEST_F(RecoverTest, RefusesAnImageThatSomebodyElseHasWrittenTo) {
  for (const char* write :
       {"write -q -P 0x44 600k 512", "write -q -P 0x44 8k 512", "write -q -P 0x44 1k 512"}) {
    const std::string path = half_written();
    run_checked({"qemu-io", "-f", "raw", "-c", write, commit_path(path)});
    expect_conflict(path, "512 bytes at ");
    for (const std::string& name : names()) fs::remove(this->path(name));
  }
}

TEST_F(RecoverTest, RefusesAnOverlayThatIsNotWhatItWas) {
  const std::string path = half_written();
  const std::string overlay = overlay_path(path);
  fs::copy(overlay, path + ".kept");
  run_checked(
      {"qemu-io", "-c", "write -q -P 0x44 0 512",
       R"(json:{"driver": "qcow2", "backing": null, "file.filename": ")" + overlay + "\"}"});
  expect_conflict(path, "does not hold any more");
  file("disk.kvmnet-overlay", "not even qcow2");
  expect_conflict(path, "is not the overlay");
  file("disk.kvmnet-overlay", test::Qcow2{.version = 3, .incompatible = 4}.bytes());
  expect_conflict(path, "is not the overlay");
  fs::remove(overlay);
  expect_conflict(path, "is missing");
  fs::rename(path + ".kept", overlay);
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
}

TEST_F(RecoverTest, LeavesTheJournalOfAnotherVersionToThatVersion) {
  const std::string path = half_written();
  std::string journal = text_of(journal_path(path));
  journal.replace(journal.find('2'), 1, "1");
  file("disk.kvmnet-journal", journal);
  const std::vector<std::string> before = names();
  for (const Interruption way :
       {Interruption::keep, Interruption::discard, Interruption::start_anew})
    EXPECT_THROW(recover(path, way, [] {}), Error);
  EXPECT_THROW(check_committed(path), Error);
  EXPECT_EQ(names(), before);
}

TEST_F(RecoverTest, RefusesAnImageWithoutAJournalThatCanBeRead) {
  const std::string path = half_written();
  const std::string journal = text_of(journal_path(path));
  for (const std::string& damaged :
       {journal.substr(0, journal.size() - 1), std::string(), journal + " ",
        "kvmnet-journal 2 unknown" + journal.substr(24)}) {
    file("disk.kvmnet-journal", damaged);
    expect_conflict(path, "without a journal");
  }
  fs::remove(journal_path(path));
  expect_conflict(path, "without a journal");
  EXPECT_EQ(check_committed(path)->reason, Reason::commit_interrupted);
}

TEST_F(RecoverTest, RefusesTwoImagesOfOneName) {
  const std::string path = half_written();
  file("disk", "restored from a backup");
  expect_conflict(path, "and so is");
  EXPECT_EQ(text_of(path), "restored from a backup");
}

// Where a file system cannot rename without replacing, a file has both names for a moment.
TEST_F(RecoverTest, RemovesTheSecondNameOfARenameThatWasInterrupted) {
  for (const bool done : {true, false}) {
    const std::string path = done ? image("disk", "raw") : prepared(true);
    if (done) {
      die_committing(path, "qemu-img \"$@\"");
      Journal::open(path, Use::write)->set_state(State::done);
    }
    fs::create_hard_link(commit_path(path), path);
    EXPECT_NO_THROW(recover(path, Interruption::keep, [] {}));
    EXPECT_TRUE(is_after(path, "raw"));
    EXPECT_EQ(names(), Names{"disk"});
    fs::remove(path);
  }
}

TEST_F(RecoverTest, RefusesAnotherFileInTheImagesPlace) {
  const std::string path = half_written();
  std::string content = text_of(commit_path(path));
  fs::rename(commit_path(path), path + ".moved");
  file("disk.kvmnet-commit", content + std::string(512, 'x'));
  expect_conflict(path, "is not the file");
  content[600 << 10] ^= 1;
  file("disk.kvmnet-commit", content);
  expect_conflict(path, "512 bytes at ");
}

// A commit that died before its first byte, and a guest that is started while we look.
TEST_F(RecoverTest, LeavesAnImageAloneThatSomebodyHasJustBegunToUse) {
  const std::string path = image("disk", "qcow2");
  die_committing(path, "");
  const auto qemu = [&](const std::string& name) {
    return std::make_unique<Holder>([name] {
      constexpr off_t used_for_writing = 101;  // QEMU's raw_apply_lock_bytes()
      struct flock lock {};
      lock.l_type = F_RDLCK;
      lock.l_start = used_for_writing;
      lock.l_len = 1;
      if (::fcntl(::open(name.c_str(), O_RDWR), F_OFD_SETLK, &lock) != 0) ::_exit(1);
    });
  };
  for (const bool hidden : {true, false}) {
    const std::string place = hidden ? commit_path(path) : path;
    if (!hidden) fs::rename(commit_path(path), path);
    const std::string before = text_of(place);
    const Names files = names();
    std::unique_ptr<Holder> user;
    try {
      recover(path, Interruption::keep, [&] { user = qemu(place); });
      ADD_FAILURE() << "not refused";
    } catch (const Refused& e) {
      EXPECT_EQ(e.refusal.reason, Reason::image_in_use);
    }
    EXPECT_EQ(text_of(place), before);
    EXPECT_EQ(names(), files);
  }
}

// By then the link leads nowhere: the image's only name must not go.
TEST_F(RecoverTest, TakesNoLinkForASecondName) {
  const std::string path = half_written();
  fs::create_symlink("disk.kvmnet-commit", path);
  expect_conflict(path, "and so is");
  fs::remove(path);
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
}

// Nobody knows whether its guest has run since.
TEST_F(RecoverTest, RefusesAHalfWrittenImageThatWasGivenItsNameBack) {
  const std::string path = half_written();
  fs::rename(commit_path(path), path);
  EXPECT_EQ(check_committed(path)->reason, Reason::commit_interrupted);
  expect_conflict(path, "rename it to " + commit_path(path));
  fs::rename(path, commit_path(path));
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(path, "raw"));
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(RecoverTest, DiscardsWhatIsLeftOfAnImageThatWasRestoredFromABackup) {
  const std::string path = half_written();
  fs::rename(commit_path(path), path + ".half");  // its inode must not be used again at once
  file("disk", "restored from a backup");
  fs::remove(path + ".half");
  EXPECT_EQ(refusal_of(path).substr(0, 15), "commit-conflict");
  EXPECT_EQ(recover(path, Interruption::discard, [] {}).recovery, Recovery::discarded);
  EXPECT_EQ(text_of(path), "restored from a backup");
  EXPECT_EQ(names(), Names{"disk"});
}

// As where all its files are moved to another file system.
TEST_F(RecoverTest, DoesNotDiscardWhatAnotherFileHasInPart) {
  for (const char* format : {"raw", "qcow2"}) {
    const std::string path = half_written("disk", format);
    fs::copy(commit_path(path), path);
    fs::remove(commit_path(path));
    const Names files = names();
    EXPECT_EQ(refusal_of(path, Interruption::discard).substr(0, 16), "commit-half-done") << format;
    expect_conflict(path, "rename it to " + commit_path(path));
    EXPECT_EQ(names(), files);
    fs::rename(path, commit_path(path));
    EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
    EXPECT_TRUE(is_after(path, format));
    fs::remove(path);
  }
}

// QEMU is not to look at what is there by then before its header has been judged.
TEST_F(RecoverTest, DoesNotDiscardBesideAFileThatLeadsToAnother) {
  const std::string path = half_written("disk", "qcow2");
  fs::copy(commit_path(path), path);
  fs::remove(commit_path(path));
  constexpr off_t incompatible_features = 79;
  const char external_data = 4;
  ASSERT_EQ(::pwrite(open_file(path, O_WRONLY).get(), &external_data, 1, incompatible_features), 1);
  const Names files = names();
  EXPECT_EQ(refusal_of(path, Interruption::discard).substr(0, 18), "external-data-file");
  EXPECT_EQ(names(), files);
}

// After a power cut the times need not tell what had been written before it.
TEST_F(RecoverTest, DoesNotShowAHalfWrittenImageWhoseTimesAreThoseOfBefore) {
  const std::string path = image("disk", "raw");
  struct stat before {};
  ASSERT_EQ(::stat(path.c_str(), &before), 0);
  die_committing(path, "qemu-io -f raw -c 'write -q -P 0x22 0 4k' \"$image\"");
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, commit_path(path).c_str(), times, 0), 0);
  {
    const FakeQemuImg fake("exit 1");
    EXPECT_THROW(recover(path, Interruption::keep, [] {}), Error);
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(path, "raw"));
}

// The guest was started after a commit that failed before its first byte.
TEST_F(RecoverTest, DoesNotFinishACommitWhoseImageHasBeenInUse) {
  const std::string path = image("disk", "raw");
  die_committing(path, "");
  fs::rename(commit_path(path), path);
  run_checked({"qemu-io", "-f", "raw", "-c", "write -q -P 0x44 700k 4k", path});
  const std::string written = text_of(path);
  expect_conflict(path, "may be half written");
  EXPECT_EQ(text_of(path), written);
}

TEST_F(RecoverTest, StartsAnewWhereNothingHasBeenWritten) {
  for (const bool hidden : {true, false}) {
    const std::string path = prepared(hidden);
    EXPECT_EQ(recover(path, Interruption::start_anew, [] {}).recovery, Recovery::discarded);
    EXPECT_TRUE(is_before(path, "raw"));
    EXPECT_EQ(names(), Names{"disk"});
    fs::remove(path);
  }
  const std::string path = half_written();
  EXPECT_EQ(recover(path, Interruption::start_anew, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(path, "raw"));
}

TEST_F(RecoverTest, DoesNothingIfItIsNotToWrite) {
  const std::string path = half_written();
  const std::string before = text_of(commit_path(path));
  const Names files = names();
  EXPECT_THROW(recover(path, Interruption::keep, [] { throw Error("stop"); }), Error);
  EXPECT_EQ(names(), files);
  EXPECT_EQ(text_of(commit_path(path)), before);
}

// In a directory of others the names that kvmnet uses may lead anywhere.
TEST_F(RecoverTest, FollowsNoLinkAndTrustsNobodyElsesFiles) {
  const std::string path = half_written();
  const std::string victim = file("victim", text_of(commit_path(path)));
  fs::rename(commit_path(path), path + ".real");
  fs::create_symlink("victim", commit_path(path));
  expect_conflict(path, "is not a regular file");
  fs::remove(commit_path(path));
  fs::rename(path + ".real", commit_path(path));
  for (const std::string& name : {journal_path(path), overlay_path(path)}) {
    fs::create_hard_link(name, path + ".second");
    expect_conflict(path, "is not a file that kvmnet has made");
    fs::remove(path + ".second");
    if (::geteuid() != 0) continue;
    ASSERT_EQ(::chown(name.c_str(), 1234, 1234), 0);
    expect_conflict(path, "is not a file that kvmnet has made");
    ASSERT_EQ(::chown(name.c_str(), 0, 0), 0);
  }
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
}

TEST_F(RecoverTest, RefusesAnOverlayThatHoldsMore) {
  const std::string path = half_written();
  run_checked({"qemu-io", "-c", "write -q -P 0x44 300k 512",
               R"(json:{"driver": "qcow2", "backing": null, "file.filename": ")" +
                   overlay_path(path) + "\"}"});
  expect_conflict(path, "does not hold any more");
}

// All was written and had its name; the guest may have been started meanwhile.
TEST_F(RecoverTest, OnlyTidiesUpAfterACommitThatWasDone) {
  const std::string path = image("disk", "raw");
  die_committing(path, "qemu-img \"$@\"");
  Journal::open(path, Use::write)->set_state(State::done);
  fs::rename(commit_path(path), path);
  run_checked({"qemu-io", "-f", "raw", "-c", "write -q -P 0x44 0 4k", path});
  const std::string written = text_of(path);
  EXPECT_FALSE(check_committed(path).has_value());
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::nothing);
  EXPECT_EQ(text_of(path), written);
  EXPECT_EQ(names(), Names{"disk"});
}

TEST_F(RecoverTest, FindsTheImageBehindALinkThatLeadsNowhereMeanwhile) {
  fs::create_directory(path("sub"));
  const std::string link = path("link");
  const std::string real = image("sub/disk", "raw");
  fs::create_symlink("sub/disk", path("middle"));
  fs::create_symlink("middle", link);
  die_committing(real, "");
  EXPECT_EQ(resolve_image(link), fs::canonical(path("sub")).string() + "/disk");
  EXPECT_EQ(recover(resolve_image(link), Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_TRUE(is_after(link, "raw"));
  fs::create_symlink("loop", path("loop"));
  EXPECT_THROW(resolve_image(path("loop")), Error);
}

}  // namespace
}  // namespace kvmnet::disk

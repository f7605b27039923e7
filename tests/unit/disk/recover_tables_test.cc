// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of a qcow2 image whose commit was interrupted: recover() puts them back as they were.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <span>

#include "src/disk/beside.h"
#include "src/disk/journal.h"
#include "src/disk/recover.h"
#include "src/disk/sha256.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/commit_fixture.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using State = Journal::State;
using test::text_of;

// The tables of an image whose commit was interrupted are put back before it is written again.
class RecoverTables : public CommitTest {
 protected:
  std::string image_with_snapshot_and_bitmap() {
    const std::string path = image("disk", "qcow2");
    run_checked({"qemu-img", "snapshot", "-c", "kept", path});
    run_checked({"qemu-img", "bitmap", "--add", path, "backup"});
    return path;
  }
  static int check(const std::string& path) {
    return run({"qemu-img", "check", "-q", "-f", "qcow2", path}).status;
  }
  void expect_finished(const std::string& path) {
    const Recovered recovered = recover(path, Interruption::keep, [] {});
    EXPECT_EQ(recovered.recovery, Recovery::finished);
    EXPECT_EQ(recovered.warnings, Names{});
    EXPECT_TRUE(is_after(path, "qcow2"));
    EXPECT_EQ(check(path), 0);
    EXPECT_EQ(names(), Names{"disk"});
  }
  void expect_kept(const std::string& path) {
    EXPECT_NE(run_checked({"qemu-img", "snapshot", "-l", path}).find("kept"), std::string::npos);
    EXPECT_NE(run_checked({"qemu-img", "info", path}).find("backup"), std::string::npos);
  }
  // As somebody would who owns the journal: the image's header, and a hash that fits.
  void forge_header(const std::string& image, const std::function<void(std::string&)>& change) {
    const std::string journal = text_of(journal_path(image));
    const std::size_t first_line = journal.find('\n') + 1;
    const std::size_t tables = journal.find('\n', first_line) + 1;
    std::string header = journal.substr(tables, 4096);
    change(header);
    const std::string body = journal.substr(first_line, tables - first_line) + header +
                             journal.substr(tables + header.size());
    const std::string state = journal.substr(0, first_line - 65);
    file("disk.kvmnet-journal", state + sha256(std::as_bytes(std::span(body))) + "\n" + body);
  }
  // Of two compressed clusters, which share one of the file. Both are written anew, which frees
  // that one, and what is written next is put there.
  std::string compressed_and_used_again(const std::string& name) {
    const std::string path = this->path(name);
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "64M"});
    run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -c -P 0x11 0 2M", "-c",
                 "write -q -c -P 0x11 2M 2M", path});
    fs::copy(path, path + ".before");
    die_committing(path, "qemu-img \"$@\"", [](const std::string& overlay) {
      run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -P 0x21 0 4M", "-c",
                   "write -q -P 0x22 8M 48M", overlay});
    });
    return path;
  }
  void expect_clusters_written(const std::string& path) {
    EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
    EXPECT_EQ(check(path), 0);
    EXPECT_NO_THROW(run_checked({"qemu-io", "-r", "-f", "qcow2", "-c", "read -q -P 0x21 0 4M", "-c",
                                 "read -q -P 0 4M 4M", "-c", "read -q -P 0x22 8M 48M", path}));
  }
  // What QEMU did after a flush that failed: it wrote data where its tables are.
  static void overwrite_tables(const std::string& path, std::uint64_t start, std::uint64_t length) {
    const std::string bytes(length, '\xd8');
    write_at(open_file(path, O_WRONLY), start, std::as_bytes(std::span(bytes)));
  }
};

// `qemu-img check -r` would drop such snapshots.
TEST_F(RecoverTables, GivesLostSpaceBackAndKeepsSnapshotsOfAnImageWithBitmaps) {
  const std::string path = image_with_snapshot_and_bitmap();
  die_committing(path, "");
  // A cluster that is counted and not used: the refcount block is the third cluster.
  const std::string hidden = commit_path(path);
  const auto clusters = static_cast<off_t>((fs::file_size(hidden) + 65535) / 65536);
  const char one[] = {0, 1};
  ASSERT_EQ(::pwrite(open_file(hidden, O_WRONLY).get(), one, 2, 2 * 65536 + 2 * clusters), 2);
  fs::resize_file(hidden, static_cast<std::uintmax_t>(clusters + 1) * 65536);
  ASSERT_EQ(check(hidden), 3);
  expect_finished(path);
  expect_kept(path);
}

TEST_F(RecoverTables, WhateverAFailingDiskHasMadeOfThem) {
  constexpr std::uint64_t cluster = 65536;
  // The refcount table and block, the L1 table, the only L2 table: as qemu-img lays them out.
  for (std::uint64_t table = 1; table <= 4; ++table) {
    const std::string path = image_with_snapshot_and_bitmap();
    die_committing(path, "qemu-img \"$@\"");
    overwrite_tables(commit_path(path), table * cluster, cluster);
    ASSERT_NE(check(commit_path(path)), 0) << table;
    expect_finished(path);
    expect_kept(path);
    fs::remove(path);
  }
}

TEST_F(RecoverTables, ButNotWhereSomebodyElseHasWrittenToTheImage) {
  const std::string path = half_written("disk", "qcow2");
  run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -P 0x44 600k 512", commit_path(path)});
  const std::string written = text_of(commit_path(path));
  expect_conflict(path, "512 bytes at ");
  EXPECT_EQ(text_of(commit_path(path)), written);
}

// Not in the parts of the disk that the patch changes.
TEST_F(RecoverTables, ButNotWhereSomebodyElseHasAddedSomethingElsewhere) {
  for (const bool snapshot : {true, false}) {
    const std::string path = half_written("disk", "qcow2");
    if (snapshot)
      run_checked({"qemu-img", "snapshot", "-c", "theirs", commit_path(path)});
    else
      run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -P 0x44 300k 4k", commit_path(path)});
    const std::string written = text_of(commit_path(path));
    expect_conflict(path, "or has changed its snapshots");
    EXPECT_EQ(text_of(commit_path(path)), written);
    for (const std::string& name : names()) fs::remove(this->path(name));
  }
}

// As QEMU marks an image with lazy reference counts while it is in use. We do not have it do so.
TEST_F(RecoverTables, ButNotWhereSomebodyElseHasOpenedTheImage) {
  const std::string path = half_written("disk", "qcow2");
  constexpr off_t incompatible_features = 79;
  const char dirty = 1;
  ASSERT_EQ(
      ::pwrite(open_file(commit_path(path), O_WRONLY).get(), &dirty, 1, incompatible_features), 1);
  expect_conflict(path, "has opened it for writing");
}

TEST_F(RecoverTables, ThatWereBeingPutBack) {
  const std::string path = half_written("disk", "qcow2");
  Journal::open(path, Use::write)->set_state(State::restoring);
  overwrite_tables(commit_path(path), 0, 65536);  // the header, too
  EXPECT_EQ(check_committed(path)->reason, Reason::commit_interrupted);
  EXPECT_EQ(refusal_of(path, Interruption::discard).substr(0, 16), "commit-half-done");
  expect_finished(path);
}

TEST_F(RecoverTables, ButNotOfAFileThatWasCutOff) {
  const std::string path = half_written("disk", "qcow2");
  Journal::open(path, Use::write)->set_state(State::restoring);
  fs::resize_file(commit_path(path), 65536);
  try {
    recover(path, Interruption::keep, [] {});
    ADD_FAILURE() << "a file with a hole was taken for the image";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("cut off"), std::string::npos) << e.what();
  }
}

// QEMU overwrites a cluster of 2 MiB in two goes, and keeps the other half, and behind the end of
// the disk what the last cluster has there. By then the compressed cluster may be something else.
TEST_F(RecoverTables, OfCompressedClustersThatHaveBeenUsedAgain) {
  const std::string path = this->path("disk");
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "65537K"});
  run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -c -P 0x11 0 2M", "-c",
               "write -q -c -P 0x11 64M 1k", path});
  die_committing(path, "qemu-img \"$@\"", [](const std::string& overlay) {
    run_checked({"qemu-io", "-f", "qcow2", "-c", "write -q -P 0x21 0 2M", "-c",
                 "write -q -P 0x22 8M 48M", "-c", "write -q -P 0x23 64M 1k", overlay});
  });
  EXPECT_EQ(recover(path, Interruption::keep, [] {}).recovery, Recovery::finished);
  EXPECT_EQ(check(path), 0);
  EXPECT_NO_THROW(run_checked({"qemu-io", "-r", "-f", "qcow2", "-c", "read -q -P 0x21 0 2M", "-c",
                               "read -q -P 0 2M 6M", "-c", "read -q -P 0x22 8M 48M", "-c",
                               "read -q -P 0x23 64M 1k", path}));
}

// An entry that still led there would have QEMU uncompress what is something else by now.
TEST_F(RecoverTables, WithoutTheEntriesOfCompressedClusters) {
  expect_clusters_written(compressed_and_used_again("disk"));
}

TEST_F(RecoverTables, NotOfAnImageThatWasMovedAndCannotBeRead) {
  const std::string moved = move_away(compressed_and_used_again("disk"));
  const std::string before = text_of(commit_path(moved));
  const std::string refusal = refusal_of(moved);
  EXPECT_NE(refusal.find("cannot tell which"), std::string::npos) << refusal;
  EXPECT_EQ(text_of(commit_path(moved)), before);
}

// The data had been written when the machine died, and the tables had not.
TEST_F(RecoverTables, WhereCompressedClustersCannotBeRead) {
  const std::string path = compressed_and_used_again("disk");
  const Fd before = open_file(path + ".before", O_RDONLY);
  const auto journal = Journal::open(path, Use::read);
  for (const Range& table : journal->content()->tables) {
    std::vector<std::byte> bytes(table.length);
    read_at(before, table.start, bytes);
    write_at(open_file(commit_path(path), O_WRONLY), table.start, bytes);
  }
  EXPECT_ANY_THROW(
      run_checked({"qemu-io", "-r", "-f", "qcow2", "-c", "read -q 0 4M", commit_path(path)}));
  ASSERT_EQ(check(commit_path(path)), 0);
  expect_clusters_written(path);
}

// Whoever owns the image can write to it until it has its name back.
TEST_F(RecoverTables, NotInAnImageThatIsDoneAndLeadsToAnotherFile) {
  const std::string path = image("disk", "qcow2");
  die_committing(path, "qemu-img \"$@\"");
  Journal::open(path, Use::write)->set_state(State::done);
  constexpr off_t incompatible_features = 79;
  const char external_data = 4;
  ASSERT_EQ(::pwrite(open_file(commit_path(path), O_WRONLY).get(), &external_data, 1,
                     incompatible_features),
            1);
  EXPECT_EQ(refusal_of(path).substr(0, 18), "external-data-file");
  EXPECT_FALSE(fs::exists(path));
}

// Whoever owns the image can write one, and root follows it.
TEST_F(RecoverTables, OnlyWithAHeaderThatLeadsToNoOtherFile) {
  const std::string path = half_written("disk", "qcow2");
  const std::string victim = file("victim", "not theirs");
  forge_header(path, [&](std::string& header) {
    header.at(79) = 4;  // incompatible feature: the data are in another file
  });
  EXPECT_EQ(refusal_of(path).substr(0, 18), "external-data-file");
  EXPECT_EQ(text_of(victim), "not theirs");
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(RecoverTables, OnlyFromAJournalThatHasThemAll) {
  const std::string path = half_written("disk", "qcow2");
  const std::string journal = text_of(journal_path(path));
  std::string changed = journal;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  for (const std::string& damaged : {journal.substr(0, journal.size() - 1), changed}) {
    file("disk.kvmnet-journal", damaged);
    expect_conflict(path, "without a journal");
  }
  file("disk.kvmnet-journal", journal);
  expect_finished(path);
}

}  // namespace
}  // namespace kvmnet::disk

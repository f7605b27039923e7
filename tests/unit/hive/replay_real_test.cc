// SPDX-License-Identifier: GPL-2.0-or-later
// The replay of transaction logs that Windows wrote, or might have written.
//
// Confirmed by Windows itself are only two cases, both in the suite ReplayOfRealLogs:
//   NewDirtyHive1 (HvLE) with RecoveredHive_Windows10, byte for byte;
//   OldDirtyHive (DIRT) with RecoveredHive_Windows7, in all keys, values and times.
// Those that begin with "AsIn" are real logs bent to be like the cases of the same name of yarp's
// tests: what is expected is yarp's word. All others are logs of tests/support/log_writer.h, which
// is written from the facts that are known; for them no Windows was asked. That writer has to give
// the two real sets of logs byte for byte: suite LogWriter.
#include <gtest/gtest.h>

#include "hive/base_block.h"
#include "hive/replay.h"
#include "src/support/temp_dir.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/hive_files.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::DirtFlush;
using test::DirtOptions;
using test::expect_refused;
using test::expect_state;
using test::flush_dirt;
using test::HiveFiles;
using test::HvleRecorder;
using test::load_u32;
using test::real_hive;
using test::replayed;
using test::swapped;

std::size_t bins_that_differ(const Bytes& a, const Bytes& b) {
  std::size_t count = 0;
  for (std::size_t i = base_block_size; i < a.size(); ++i) count += a[i] == b[i] ? 0U : 1U;
  return count;
}

class RealLogs : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  }
  static HiveFiles new_dirty_hive() {
    return {real_hive("NewDirtyHive1/NewDirtyHive"),
            {real_hive("NewDirtyHive1/NewDirtyHive.LOG1"),
             real_hive("NewDirtyHive1/NewDirtyHive.LOG2")}};
  }
  static Bytes recovered_by_windows_10() {
    return real_hive("NewDirtyHive1/RecoveredHive_Windows10");
  }
  static HiveFiles old_dirty_hive() {
    return {
        real_hive("OldDirtyHive/OldDirtyHive"),
        {real_hive("OldDirtyHive/OldDirtyHive.LOG1"), real_hive("OldDirtyHive/OldDirtyHive.LOG2")}};
  }
  static Bytes recovered_by_windows_7() { return real_hive("OldDirtyHive/RecoveredHive_Windows7"); }
};
using ReplayOfRealLogs = RealLogs;

TEST_F(ReplayOfRealLogs, GivesWhatWindows10MadeOfNewDirtyHive1) {
  const auto outcome = replayed(new_dirty_hive());
  ASSERT_TRUE(outcome.hive) << outcome.refusal;
  EXPECT_EQ(test::difference(recovered_by_windows_10(), *outcome.hive), "");
  EXPECT_EQ(outcome.replay.format, LogFormat::hvle);
  EXPECT_EQ(outcome.replay.entries, 4U);
}

TEST_F(ReplayOfRealLogs, GivesTheSameWithTheLogsSwapped) {
  expect_state(swapped(new_dirty_hive()), recovered_by_windows_10());
}

TEST_F(ReplayOfRealLogs, GivesTheKeysValuesAndTimesThatWindows7MadeOfOldDirtyHive) {
  const auto outcome = replayed(old_dirty_hive());
  ASSERT_TRUE(outcome.hive) << outcome.refusal;
  EXPECT_EQ(outcome.replay.format, LogFormat::dirt);
  EXPECT_EQ(outcome.replay.entries, 1U);
  const Bytes& ours = *outcome.hive;
  const Bytes theirs = recovered_by_windows_7();
  EXPECT_EQ(load_u32(ours, 4), 6U);
  EXPECT_EQ(load_u32(ours, 8), 6U);
  const TempDir directory;
  test::write_file(directory.path() + "/ours", ours);
  test::write_file(directory.path() + "/theirs", theirs);
  const auto lines = test::listing_with_times(directory.path() + "/ours");
  EXPECT_EQ(lines, test::listing_with_times(directory.path() + "/theirs"));
  EXPECT_GT(lines.size(), 5000U);
  // Windows 7 has used the hive since: the first bin's time, and one hint of a longest name.
  ASSERT_EQ(ours.size(), theirs.size());
  EXPECT_EQ(bins_that_differ(ours, theirs), 6U);
}

TEST_F(ReplayOfRealLogs, NeedsAllLogsOfNewDirtyHive1) {
  HiveFiles files = new_dirty_hive();
  files.logs = {files.logs[1]};  // the older entry is missing
  expect_refused(files);
}

TEST_F(ReplayOfRealLogs, AsInNewDirtyHive2TheLogThatIsOlderThanTheHiveIsIgnored) {
  HiveFiles files = new_dirty_hive();
  test::set_sequence_numbers(files.primary, 4, 3);
  for (const HiveFiles& either : {files, swapped(files)}) {
    const auto outcome = replayed(either);
    ASSERT_TRUE(outcome.hive) << outcome.refusal;
    EXPECT_EQ(outcome.replay.entries, 3U);
    // The first entry of the other log has the pages of the one that is ignored.
    EXPECT_EQ(test::difference(recovered_by_windows_10(), *outcome.hive), "");
  }
}

TEST_F(ReplayOfRealLogs, AsInBadLogHive1AndItsWrongChecksumIsRefused) {
  HiveFiles files = old_dirty_hive();
  test::spoil(files.logs[0], 508);
  expect_refused(files);
}

TEST_F(ReplayOfRealLogs, AsInBadLogHive2AndItsWrongSignatureIsRefused) {
  HiveFiles files = old_dirty_hive();
  test::spoil(files.logs[0], 512);
  expect_refused(files);
}

TEST_F(ReplayOfRealLogs, AsInBadLogHive3AndItsTwoWrongHeadersIsRefused) {
  HiveFiles files = new_dirty_hive();
  for (Bytes& log : files.logs) test::spoil(log, 508);
  expect_refused(files);
}

TEST_F(ReplayOfRealLogs, AsInBadBaseBlockHiveALogOfAnotherTimeThanTheFirstBinIsRefused) {
  // The first bin of this hive has not got the flush's time yet.
  HiveFiles files = old_dirty_hive();
  test::spoil(files.primary, 508);
  expect_refused(files);
  // Where it has, the header comes from the log.
  for (std::size_t i = 0; i < 8; ++i)
    files.primary[base_block_size + 20 + i] = files.logs[0][12 + i];
  expect_state(files, *replayed(old_dirty_hive()).hive);
}

TEST_F(ReplayOfRealLogs, IsRefusedForDirtyHivesWithoutLogs) {
  for (const char* name : {"win8.SYSTEM", "odd/TruncatedDirtyHive"})
    expect_refused({real_hive(name), {}});
}

using LogWriter = RealLogs;

Bytes start_of(const Bytes& bytes, std::size_t size) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

// The hive with the pages of an entry of a real log, which is sound, at its place.
Bytes with_pages(Bytes hive, const Bytes& log, std::size_t data, const test::PageRange& page) {
  std::copy_n(log.begin() + static_cast<std::ptrdiff_t>(data), page.length,
              hive.begin() + base_block_size + page.offset);
  return hive;
}

TEST_F(LogWriter, WritesTheLogsOfNewDirtyHive1ByteForByte) {
  const HiveFiles real = new_dirty_hive();
  Bytes hive = real.primary;
  test::set_sequence_numbers(hive, 2, 2);
  HvleRecorder recorder(hive);
  const struct {
    std::size_t log;
    std::size_t entry;
    test::PageRange page;
  } flushes[] = {{0, 0x200, {0, 0x5000}},
                 {1, 0x200, {0, 0x1000}},
                 {1, 0x2000, {0, 0x5000}},
                 {1, 0x8000, {0, 0x1000}}};
  for (const auto& flush : flushes) {
    if (recorder.entries().size() == 1) recorder.rotate();
    hive = with_pages(hive, real.logs[flush.log], flush.entry + 48, flush.page);
    recorder.commit(hive, {flush.page});
  }
  const HiveFiles ours = recorder.files();
  EXPECT_EQ(test::difference(real.primary, ours.primary), "");
  ASSERT_EQ(ours.logs[0].size(), 0x6000U);
  ASSERT_EQ(ours.logs[1].size(), 0xA000U);
  for (const std::size_t log : {0U, 1U})
    EXPECT_EQ(test::difference(start_of(real.logs[log], ours.logs[log].size()), ours.logs[log]),
              "");
  EXPECT_EQ(test::difference(recovered_by_windows_10(), recorder.state()), "");
}

TEST_F(LogWriter, WritesTheLogOfOldDirtyHiveByteForByte) {
  const HiveFiles real = old_dirty_hive();
  const std::size_t pages_start = 1024;
  // As the bitmap of the log has them.
  const std::vector<test::PageRange> pages = {
      {0, 0x2000}, {0xC000, 0x2000}, {0x6A000, 0x1000}, {0x74000, 0x3000}};
  Bytes next = real.primary;
  std::size_t data = pages_start;
  for (const test::PageRange& page : pages) {
    next = with_pages(next, real.logs[0], data, page);
    data += page.length;
  }
  Bytes clean = real.primary;
  test::set_sequence_numbers(clean, 4, 4);
  DirtOptions options;  // the time is this hive's
  options.pages = pages;
  const DirtFlush flush = flush_dirt(clean, next, options);
  EXPECT_EQ(test::difference(real.primary, flush.primary), "");
  // Behind the bitmap Windows leaves whatever was in its memory.
  Bytes log = real.logs[0];
  const std::size_t bitmap_end = 516 + 0x77;
  std::fill(log.begin() + bitmap_end, log.begin() + pages_start, std::byte{0});
  EXPECT_EQ(test::difference(log, flush.log), "");
}

// Keys and values are edited as a tool does it; the states are as many copies of the hive.
using ReplayOverRealHives = RealLogs;

TEST_F(ReplayOverRealHives, OfWindows7GivesTheStateOfTheFlush) {
  const auto states = test::edited_states(real_hive("win7-x86.SYSTEM"), 2);
  const DirtFlush flush = flush_dirt(states.at(0), states.at(2));
  expect_state({flush.primary, {flush.log, {}}}, flush.after);
}

TEST_F(ReplayOverRealHives, OfWindows10GivesTheStateOfEveryEntry) {
  const auto states =
      test::edited_states(test::with_clean_header(real_hive("win10-1709.SYSTEM")), 4);
  HvleRecorder recorder(states.at(0));
  for (std::size_t i = 1; i < states.size(); ++i) {
    if (i == 3) recorder.rotate();
    recorder.commit(states[i]);
    expect_state(recorder.files(), recorder.state());
  }
}

}  // namespace
}  // namespace kvmnet::hive

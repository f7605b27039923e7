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
#include "hive/replay.h"

#include <gtest/gtest.h>

#include <random>

#include "hive/base_block.h"
#include "hive/hive.h"
#include "src/support/temp_dir.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/hive_files.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::DirtFlush;
using test::DirtOptions;
using test::expect_refused;
using test::expect_refused_or;
using test::expect_state;
using test::flush_dirt;
using test::HiveFiles;
using test::HvleRecorder;
using test::load_u32;
using test::real_hive;
using test::recorded;
using test::recorded_in_two_logs;
using test::recorded_with_gap;
using test::replayed;
using test::small_states;
using test::store_u32;
using test::swapped;

std::size_t bins_that_differ(const Bytes& a, const Bytes& b) {
  std::size_t count = 0;
  for (std::size_t i = base_block_size; i < a.size(); ++i) count += a[i] == b[i] ? 0U : 1U;
  return count;
}

// --- what Windows wrote and recovered ---

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

// --- the log writer itself ---

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

// --- HvLE: 8.1 and later ---

TEST(ReplayOfHvle, GivesTheStateOfTheLastEntry) {
  const HvleRecorder recorder = recorded(6);
  expect_state(recorder.files(), recorder.state());
  const Replay replay = replayed(recorder.files()).replay;
  EXPECT_EQ(replay.format, LogFormat::hvle);
  EXPECT_EQ(replay.entries, 6U);
}

TEST(ReplayOfHvle, WithTheLastEntriesMissingGivesTheStateOfTheLastOneThere) {
  const HvleRecorder recorder = recorded(6);
  for (const auto& entry : recorder.entries()) {
    for (const std::size_t more : {0U, 1U, 39U, 512U}) {
      HiveFiles files = recorder.files();
      files.logs[0].resize(entry.offset + more);
      if (entry.commit == 1)
        expect_refused(files);
      else
        expect_state(files, recorder.state(entry.commit - 1));
    }
  }
}

TEST(ReplayOfHvle, WithATornEntryGivesTheStateBeforeIfNothingFollows) {
  const HvleRecorder recorder = recorded(6);
  for (const auto& entry : recorder.entries()) {
    HiveFiles files = recorder.files();
    test::tear(files.logs[0], entry);
    // What follows is intact, and would be lost for good.
    if (entry.commit != recorder.entries().size())
      expect_refused(files);
    else
      expect_state(files, recorder.state(entry.commit - 1));
  }
}

TEST(ReplayOfHvle, GoesOnInTheOtherLogInEitherOrder) {
  const HvleRecorder recorder = recorded_in_two_logs();
  expect_state(recorder.files(), recorder.state());
  expect_state(swapped(recorder.files()), recorder.state());
}

TEST(ReplayOfHvle, OfTwoLogsCutAnywhereInTheSecondGivesThatState) {
  const HvleRecorder recorder = recorded_in_two_logs();
  for (const auto& entry : recorder.entries()) {
    if (entry.log == 0) continue;
    HiveFiles files = recorder.files();
    files.logs[1].resize(entry.offset + 512);
    for (const HiveFiles& either : {files, swapped(files)})
      expect_state(either, recorder.state(entry.commit - 1));
  }
}

TEST(ReplayOfHvle, OfTwoLogsThatDoNotFollowOnEachOtherIsRefused) {
  const HvleRecorder recorder = recorded_in_two_logs();
  HiveFiles files = recorder.files();
  test::tear(files.logs[0], recorder.entries().at(2));
  for (const HiveFiles& either : {files, swapped(files)}) expect_refused(either);
  // The first log has nothing: the second one is not tried.
  files = recorder.files();
  test::tear(files.logs[0], recorder.entries().at(0));
  for (const HiveFiles& either : {files, swapped(files)}) expect_refused(either);
}

TEST(ReplayOfHvle, IgnoresWhatEarlierUseHasLeftBehindTheEntries) {
  HvleRecorder recorder = recorded(6);
  recorder.reconcile();
  for (std::size_t i = 7; i <= 8; ++i) {
    recorder.commit(small_states().at(i));
    expect_state(recorder.files(), recorder.state());
  }
}

TEST(ReplayOfHvle, IgnoresALogOfEarlierUse) {
  HvleRecorder recorder = recorded_in_two_logs();
  recorder.reconcile();
  recorder.commit(small_states().at(7));  // to LOG2; LOG1 is as it was
  expect_state(recorder.files(), recorder.state());
  expect_state(swapped(recorder.files()), recorder.state());
  // And where that log has nothing to offer, the older one is no substitute.
  HiveFiles files = recorder.files();
  test::tear(files.logs[1], recorder.entries().at(0));
  expect_refused(files);
}

TEST(ReplayOfHvle, WhosePagesHavePartlyReachedTheHiveGivesTheSame) {
  const HvleRecorder recorder = recorded(4);
  const Bytes after = recorder.state();
  for (const std::uint32_t every : {1U, 2U, 3U}) {
    HiveFiles files = recorder.files();
    for (std::size_t at = base_block_size; at < files.primary.size(); at += 4096 * every)
      std::copy_n(after.begin() + static_cast<std::ptrdiff_t>(at), 4096,
                  files.primary.begin() + static_cast<std::ptrdiff_t>(at));
    expect_state(files, after);
  }
}

TEST(ReplayOfHvle, ExtendsAHiveThatHasGrown) {
  const HvleRecorder recorder = recorded(6);
  const auto outcome = replayed(recorder.files());
  ASSERT_TRUE(outcome.hive);
  EXPECT_GT(outcome.hive->size(), recorder.files().primary.size());
  EXPECT_EQ(outcome.replay.bins_size, outcome.hive->size() - base_block_size);
  EXPECT_EQ(load_u32(outcome.replay.header, 40), outcome.replay.bins_size);
}

TEST(ReplayOfHvle, GrowsIntoTheSlackOfTheFileAndKeepsWhatIsBehind) {
  Bytes clean = small_states().at(0);
  clean.resize(clean.size() + 256 * 1024, std::byte{0x77});
  HvleRecorder recorder(clean);
  for (std::size_t i = 1; i <= 6; ++i) recorder.commit(small_states().at(i));
  ASSERT_EQ(recorder.state().size(), clean.size());
  expect_state(recorder.files(), recorder.state());
}

TEST(ReplayOfHvle, TakesThePageThatWasLoggedLast) {
  // Large ranges that the next entries write over in the middle and at both ends.
  const auto size = load_u32(small_states().at(1), 40);
  ASSERT_GE(size, 0x5000U);
  HvleRecorder recorder(small_states().at(0));
  Bytes next = small_states().at(1);
  const std::vector<std::vector<test::PageRange>> entries = {
      {{0, size}},
      {{0x2000, 0x1000}},
      {{0x1000, 0x3000}},
      {{0x2000, 0x1000}},
      {{0, 0x2000}, {size - 0x1000, 0x1000}}};
  std::byte filling{0x11};
  for (const auto& pages : entries) {
    for (const auto& page : pages)
      std::fill_n(next.begin() + base_block_size + page.offset + 64, page.length - 64, filling);
    recorder.commit(next, pages);
    expect_state(recorder.files(), recorder.state());
    filling = static_cast<std::byte>(std::to_integer<int>(filling) + 1);
  }
}

TEST(ReplayOfHvle, WorksWhereTheNumbersPassZero) {
  for (const std::uint32_t number : {0xFFFFFFFFU, 0xFFFFFFFEU, 0xFFFFFFFDU, 0xFFFFFFFCU, 0U}) {
    Bytes clean = small_states().at(0);
    test::set_sequence_numbers(clean, number, number);
    HvleRecorder recorder(clean);
    for (std::size_t i = 1; i <= 4; ++i) {
      if (i == 3) recorder.rotate();
      recorder.commit(small_states().at(i));
      SCOPED_TRACE(number);
      expect_state(recorder.files(), recorder.state());
      expect_state(swapped(recorder.files()), recorder.state());
    }
    EXPECT_EQ(load_u32(recorder.state(), 4), number + 4);
  }
}

TEST(ReplayOfHvle, TakesTheFlagFromTheLastEntry) {
  for (const std::uint32_t before : {0U, 1U, 2U, 3U}) {
    Bytes clean = small_states().at(0);
    store_u32(clean, 144, before);
    test::update_checksum(clean);
    HvleRecorder recorder(clean);
    for (std::uint32_t i = 1; i <= 3; ++i) {
      Bytes next = small_states().at(i);
      store_u32(next, 144, i % 2);
      recorder.commit(next);
      expect_state(recorder.files(), recorder.state());
      EXPECT_EQ(load_u32(*replayed(recorder.files()).hive, 144), (before & 2) | i % 2);
    }
  }
}

TEST(ReplayOfHvle, DoesNotGoByTheVersionOfTheHive) {
  for (const std::uint32_t minor : {3U, 4U, 5U, 6U}) {
    Bytes clean = small_states().at(0);
    store_u32(clean, 24, minor);
    test::update_checksum(clean);
    HvleRecorder recorder(clean);
    recorder.commit(small_states().at(1));
    expect_state(recorder.files(), recorder.state());
    Bytes next = small_states().at(2);
    const DirtFlush flush = flush_dirt(clean, next);
    expect_state({flush.primary, {flush.log}}, flush.after);
  }
}

TEST(ReplayOfHvle, DoesNotNeedALogThatWasNeverUsed) {
  const HvleRecorder recorder = recorded(3);
  HiveFiles files = recorder.files();
  ASSERT_TRUE(files.logs[1].empty());
  expect_state(files, recorder.state());
  expect_state(swapped(files), recorder.state());
  files.logs.pop_back();
  expect_state(files, recorder.state());
}

TEST(ReplayOfHvle, IsRefusedWithoutALogThatApplies) {
  const HiveFiles files = recorded(3).files();
  expect_refused({files.primary, {}});
  expect_refused({files.primary, {{}}});
  expect_refused({files.primary, {{}, {}}});
  expect_refused({files.primary, {Bytes(8192), Bytes(511)}});
  expect_refused({files.primary, {files.primary}});
}

TEST(ReplayOfHvle, IsRefusedWithTheLogOfAnotherHive) {
  HiveFiles files = recorded_in_two_logs().files();
  test::set_rm_id(files.logs[0], std::byte{1});
  test::set_rm_id(files.logs[1], std::byte{1});
  expect_refused(files);
  test::set_rm_id(files.primary, std::byte{1});
  expect_state(files, [] {
    Bytes state = recorded_in_two_logs().state();
    test::set_rm_id(state, std::byte{1});
    return state;
  }());
}

TEST(ReplayOfHvle, WithOneLogOfAnotherHiveNeverTakesAnythingFromThatLog) {
  const HvleRecorder recorder = recorded_in_two_logs();
  HiveFiles files = recorder.files();
  test::set_rm_id(files.logs[1], std::byte{1});
  expect_refused_or(files, {recorder.state(3)});
  files = recorder.files();
  test::set_rm_id(files.logs[0], std::byte{1});
  expect_refused(files);
}

// --- HvLE: a gap between the hive and its logs ---

TEST(ReplayOverAGap, AppliesTwoLogsThatAreOneChain) {
  const HvleRecorder recorder = recorded_with_gap();
  const HiveFiles files = recorder.files();
  for (const Bytes& log : files.logs) ASSERT_GT(load_u32(log, 4), load_u32(files.primary, 4));
  expect_state(files, recorder.state());
  expect_state(swapped(files), recorder.state());
}

TEST(ReplayOverAGap, IsRefusedWithOneLog) {
  const HiveFiles files = recorded_with_gap().files();
  expect_refused({files.primary, {files.logs[0]}});
  expect_refused({files.primary, {files.logs[1]}});
  expect_refused({files.primary, {files.logs[0], {}}});
  expect_refused({files.primary, {{}, files.logs[1]}});
}

TEST(ReplayOverAGap, IsRefusedWhereTheLogsAreNoChain) {
  const HvleRecorder recorder = recorded_with_gap();
  const auto older = recorder.entries().front();
  for (const auto& entry : recorder.entries()) {
    if (entry.log != older.log) continue;
    HiveFiles files = recorder.files();
    test::tear(files.logs[entry.log], entry);
    expect_refused(files);
    expect_refused(swapped(files));
  }
  HiveFiles files = recorder.files();
  test::spoil(files.logs[older.log], 508);
  expect_refused(files);
  // Nothing of the newer log: what the older one says is in the hive already, or is not.
  files = recorder.files();
  test::tear(files.logs[1 - older.log], recorder.entries().at(3));
  expect_refused(files);
}

TEST(ReplayOverAGap, WithTheNewestEntryTornGivesTheStateBeforeOrIsRefused) {
  const HvleRecorder recorder = recorded_with_gap();
  HiveFiles files = recorder.files();
  test::tear(files.logs[recorder.entries().back().log], recorder.entries().back());
  expect_refused_or(files, {recorder.state(8)});
}

// --- HvLE: a primary whose header is bad ---

TEST(ReplayWithABadHeader, TakesItFromTheLogs) {
  for (const HvleRecorder& recorder : {recorded_in_two_logs(), recorded_with_gap()}) {
    // The checksum, the numbers, the time, the sizes, the GUID, the flags.
    for (const std::size_t offset : {508U, 4U, 8U, 12U, 40U, 36U, 112U, 144U}) {
      SCOPED_TRACE(offset);
      HiveFiles files = recorder.files();
      test::spoil(files.primary, offset);
      expect_state(files, recorder.state());
      expect_state(swapped(files), recorder.state());
    }
  }
}

TEST(ReplayWithABadHeader, WhoseWholeSectorIsGoneGivesTheStateOrIsRefused) {
  const HvleRecorder recorder = recorded_in_two_logs();
  for (const unsigned filling : {0x00U, 0xFFU}) {
    HiveFiles files = recorder.files();
    std::fill_n(files.primary.begin(), 512, static_cast<std::byte>(filling));
    try {
      expect_refused_or(files, {recorder.state()});
    } catch (const Error&) {  // not a hive
    }
  }
}

TEST(ReplayWithABadHeader, AndOneLogGivesTheStateOrIsRefused) {
  // Nothing tells whether older entries are missing.
  const HvleRecorder recorder = recorded(3);
  HiveFiles files = recorder.files();
  test::spoil(files.primary, 508);
  expect_refused_or(files, {recorder.state()});
}

TEST(ReplayWithABadHeader, AndLogsThatAreNoChainIsRefused) {
  const HvleRecorder recorder = recorded_in_two_logs();
  for (const std::size_t entry : {0U, 1U, 2U}) {
    HiveFiles files = recorder.files();
    test::spoil(files.primary, 508);
    test::tear(files.logs[0], recorder.entries().at(entry));
    expect_refused(files);
    expect_refused(swapped(files));
  }
}

TEST(ReplayWithABadHeader, AndNoUsableLogIsRefused) {
  HiveFiles files = recorded_in_two_logs().files();
  test::spoil(files.primary, 508);
  expect_refused({files.primary, {}});
  expect_refused({files.primary, {{}, {}}});
  for (Bytes& log : files.logs) test::spoil(log, 508);
  expect_refused(files);
}

TEST(ReplayWithABadHeader, AndOneOfTwoLogsUnusableIsRefused) {
  // What is missing may have been in that log.
  for (const std::size_t log : {0U, 1U}) {
    HiveFiles files = recorded_in_two_logs().files();
    test::spoil(files.primary, 508);
    test::spoil(files.logs[log], 508);
    expect_refused(files);
    expect_refused(swapped(files));
  }
}

TEST(ReplayWithABadHeader, NeverMixesLogsOfTwoHives) {
  HiveFiles files = recorded_in_two_logs().files();
  test::spoil(files.primary, 508);
  test::set_rm_id(files.logs[0], std::byte{1});
  expect_refused(files);
}

// --- DIRT: 2000 to 8.0 ---

TEST(ReplayOfDirt, GivesTheStateOfTheFlush) {
  for (const bool same_numbers : {true, false})
    for (const std::uint32_t type : {1U, 2U})
      for (const std::uint32_t page_size : {4096U, 512U}) {
        DirtOptions options;
        options.same_numbers = same_numbers;
        options.type = type;
        options.page_size = page_size;
        const DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(1), options);
        expect_state({flush.primary, {flush.log}}, flush.after);
        const Replay replay = replayed({flush.primary, {flush.log}}).replay;
        EXPECT_EQ(replay.format, LogFormat::dirt);
        EXPECT_EQ(replay.entries, 1U);
      }
}

TEST(ReplayOfDirt, ExtendsAHiveThatHasGrown) {
  const DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(4));
  ASSERT_GT(flush.after.size(), flush.primary.size());
  expect_state({flush.primary, {flush.log, {}}}, flush.after);
}

TEST(ReplayOfDirt, WhosePagesHavePartlyReachedTheHiveGivesTheSame) {
  const DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(1));
  for (const std::ptrdiff_t pages : {1, 2, 3}) {
    Bytes primary = flush.primary;
    std::copy_n(flush.after.begin() + base_block_size, 4096 * pages,
                primary.begin() + base_block_size);
    expect_state({primary, {flush.log}}, flush.after);
  }
}

TEST(ReplayOfDirt, IgnoresWhatFollowsThePages) {
  DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(1));
  flush.log.resize(flush.log.size() + 4096 + 100, std::byte{0xAA});
  expect_state({flush.primary, {flush.log}}, flush.after);
}

TEST(ReplayOfDirt, TakesLog1First) {
  const DirtFlush one = flush_dirt(small_states().at(0), small_states().at(1));
  const DirtFlush two = flush_dirt(small_states().at(0), small_states().at(2));
  ASSERT_EQ(one.primary, two.primary);
  expect_state({one.primary, {one.log, two.log}}, one.after);
  expect_state({one.primary, {two.log, one.log}}, two.after);
}

TEST(ReplayOfDirt, TakesTheLogThatHasTheTimeOfTheHive) {
  const DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(1));
  DirtOptions options;
  for (const long long off : {-0x100000000LL, -1LL, 1LL, 0x100000000LL}) {
    options.time = DirtOptions{}.time + static_cast<std::uint64_t>(off);
    const DirtFlush other = flush_dirt(small_states().at(0), small_states().at(2), options);
    expect_refused({flush.primary, {other.log}});
    expect_refused({flush.primary, {other.log, {}}});
    expect_state({flush.primary, {other.log, flush.log}}, flush.after);
    expect_state({flush.primary, {flush.log, other.log}}, flush.after);
  }
}

TEST(ReplayOfDirt, TakesABadHeaderFromALogOfTheTimeOfTheFirstBin) {
  const DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(1));
  for (const std::size_t offset : {508U, 4U, 8U, 12U, 40U, 112U}) {
    SCOPED_TRACE(offset);
    Bytes primary = flush.primary;
    test::spoil(primary, offset);
    expect_refused({primary, {flush.log}});
    std::copy_n(flush.after.begin() + base_block_size, 4096, primary.begin() + base_block_size);
    expect_state({primary, {flush.log}}, flush.after);
  }
}

TEST(ReplayOfDirt, IsRefusedWithTheLogOfAnotherHive) {
  DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(1));
  test::set_rm_id(flush.log, std::byte{1});
  expect_refused({flush.primary, {flush.log}});
}

// --- large real hives ---

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

// --- a clean hive ---

Source source_that_is_not_to_be_read(std::uint64_t size) {
  return {[](std::uint64_t, std::size_t) -> Bytes { throw std::logic_error("read"); }, size};
}

TEST(ReplayOfACleanHive, LooksAtNoLog) {
  const Bytes& clean = small_states().at(0);
  const Source primary = source_of(clean);
  const std::vector<Source> logs(2, source_that_is_not_to_be_read(65536));
  const Replay replay = plan_replay(primary, logs);
  EXPECT_EQ(replay.format, LogFormat::none);
  EXPECT_TRUE(replay.pieces.empty());
  EXPECT_EQ(replay.entries, 0U);
  const Source source = recovered(replay, primary, logs);
  EXPECT_EQ(read_exactly(source, 0, source.size), clean);
}

TEST(ReplayOfACleanHive, ChangesNothingWhateverTheLogsSay) {
  const HvleRecorder recorder = recorded_in_two_logs();
  const std::vector<Bytes> logs = recorder.files().logs;
  for (Bytes clean : {small_states().at(0), recorder.state()}) {
    clean.resize(clean.size() + 4096, std::byte{0x77});
    const Source primary = source_of(clean);
    const auto sources = test::sources_of(logs);
    const Replay replay = plan_replay(primary, sources);
    EXPECT_EQ(replay.format, LogFormat::none);
    const Source source = recovered(replay, primary, sources);
    EXPECT_EQ(source.size, clean.size());
    EXPECT_EQ(read_exactly(source, 0, source.size), clean);
  }
}

TEST(ReplayOfACleanHive, IsWhatAReplayLeaves) {
  const HvleRecorder recorder = recorded_in_two_logs();
  HiveFiles files = recorder.files();
  files.primary = *replayed(files).hive;
  const Replay again = plan_replay(source_of(files.primary), test::sources_of(files.logs));
  EXPECT_EQ(again.format, LogFormat::none);
}

// --- a dirty hive without its logs ---

TEST(PlanWithoutLogs, MakesTheHiveLookCleanAndChangesNothingElse) {
  const Bytes dirty = recorded(3).files().primary;
  const Source primary = source_of(dirty);
  const Replay replay = plan_without_logs(primary);
  EXPECT_EQ(replay.format, LogFormat::none);
  const Source source = recovered(replay, primary, {});
  Bytes expected = dirty;
  const std::uint32_t number = load_u32(dirty, 4);
  test::set_sequence_numbers(expected, number, number);
  EXPECT_EQ(test::difference(expected, read_exactly(source, 0, source.size)), "");
}

TEST(PlanWithoutLogs, NeedsAWholeHiveWithAGoodHeader) {
  const Bytes dirty = recorded(3).files().primary;
  Bytes bad = dirty;
  test::spoil(bad, 508);
  EXPECT_THROW(plan_without_logs(source_of(bad)), Error);
  bad = dirty;
  bad.resize(bad.size() - 4096);
  EXPECT_THROW(plan_without_logs(source_of(bad)), Error);
}

// --- highest_sequence ---

std::uint32_t highest(std::uint32_t current, const std::vector<Bytes>& logs) {
  return highest_sequence(current, test::sources_of(logs));
}

// The small hive closed at `number`, and `edits` flushed.
HvleRecorder recorded_from(std::uint32_t number, std::size_t edits) {
  Bytes clean = small_states().at(0);
  test::set_sequence_numbers(clean, number, number);
  HvleRecorder recorder(clean);
  for (std::size_t i = 1; i <= edits; ++i) recorder.commit(small_states().at(i));
  return recorder;
}

TEST(HighestSequence, IsTheCurrentOneWithoutLogs) {
  for (const std::uint32_t current : {0U, 1U, 0xFFFFFFFFU}) {
    EXPECT_EQ(highest(current, {}), current);
    EXPECT_EQ(highest(current, {{}, {}}), current);
    EXPECT_EQ(highest(current, {Bytes(100), Bytes(70000)}), current);
  }
}

TEST(HighestSequence, IsThatOfTheLastEntryOfAnyLog) {
  const HvleRecorder recorder = recorded_from(100, 5);
  const Bytes log = recorder.files().logs[0];
  EXPECT_EQ(highest(1, {log}), 104U);
  EXPECT_EQ(highest(1, {{}, log}), 104U);
  EXPECT_EQ(highest(103, {log}), 104U);
  EXPECT_EQ(highest(104, {log}), 104U);
  EXPECT_EQ(highest(105, {log}), 105U);
  EXPECT_EQ(highest(1, {log, recorded_from(200, 2).files().logs[0]}), 201U);
  EXPECT_EQ(highest(1, {recorded_from(200, 2).files().logs[0], log}), 201U);
}

TEST(HighestSequence, CountsStaleEntries) {
  Bytes log = recorded_from(100, 5).files().logs[0];
  // The same log started anew, with lower numbers, by one entry.
  const Bytes newer = recorded_from(7, 1).files().logs[0];
  std::copy(newer.begin(), newer.end(), log.begin());
  EXPECT_EQ(highest(1, {log}), 104U);
}

TEST(HighestSequence, CountsEntriesBehindOnesThatAreTorn) {
  const HvleRecorder recorder = recorded_from(100, 5);
  Bytes log = recorder.files().logs[0];
  for (const std::size_t torn : {0U, 1U, 3U}) test::tear(log, recorder.entries().at(torn));
  EXPECT_EQ(highest(1, {log}), 104U);
}

TEST(HighestSequence, CountsEntriesOfALogWithABadHeader) {
  Bytes log = recorded_from(100, 5).files().logs[0];
  test::spoil(log, 508);
  EXPECT_EQ(highest(1, {log}), 104U);
}

TEST(HighestSequence, CountsHeaders) {
  Bytes log = recorded_from(100, 1).files().logs[0];
  log.resize(512);
  EXPECT_EQ(highest(1, {log}), 100U);
  const DirtFlush flush = flush_dirt(recorded_from(300, 0).files().primary, small_states().at(1));
  EXPECT_EQ(highest(1, {flush.log}), 301U);
}

TEST(HighestSequence, IsCountedFromTheCurrentOneOn) {
  const Bytes log = recorded_from(0xFFFFFFFE, 5).files().logs[0];  // up to 2
  EXPECT_EQ(highest(0xFFFFFFF0, {log}), 2U);
  EXPECT_EQ(highest(1, {log}), 2U);
  EXPECT_EQ(highest(3, {log}), 3U);
  // More than 2^31 ahead is behind.
  const Bytes far = recorded_from(0x90000000, 1).files().logs[0];
  EXPECT_EQ(highest(5, {far}), 5U);
  EXPECT_EQ(highest(0x20000000, {far}), 0x90000000U);
}

TEST(HighestSequence, IsRefusedWhereTheLogsLeaveNoRoomForAnother) {
  // Whichever number comes next, one of these is ahead of it.
  const Bytes first = recorded_from(0x70000000, 1).files().logs[0];
  const Bytes second = recorded_from(0xE0000000, 1).files().logs[0];
  EXPECT_THROW(highest(5, {first, second}), Unsupported);
  EXPECT_EQ(highest(5, {first}), 0x70000000U);
}

// --- recovered ---

TEST(RecoveredHive, ReadInAnyPiecesIsTheSame) {
  const HvleRecorder recorder = recorded_with_gap();
  const HiveFiles files = recorder.files();
  const Source primary = source_of(files.primary);
  const auto logs = test::sources_of(files.logs);
  const Replay replay = plan_replay(primary, logs);
  ASSERT_GT(replay.pieces.size(), 1U);
  const Source source = recovered(replay, primary, logs);
  const Bytes whole = recorder.state();
  ASSERT_EQ(source.size, whole.size());
  const auto expect_part = [&](std::uint64_t offset, std::size_t size) {
    const std::size_t start = std::min<std::uint64_t>(offset, whole.size());
    const std::size_t end = start + std::min(size, whole.size() - start);
    const Bytes expected(whole.begin() + static_cast<std::ptrdiff_t>(start),
                         whole.begin() + static_cast<std::ptrdiff_t>(end));
    EXPECT_EQ(test::difference(expected, source.read_at(offset, size)), "")
        << size << " at " << offset;
  };
  for (std::uint64_t page = 0; page <= whole.size(); page += 4096) expect_part(page, 4096);
  for (const auto& [offset, piece] : replay.pieces)
    for (const std::uint64_t border : {std::uint64_t{offset}, std::uint64_t{offset} + piece.length})
      for (const std::size_t size : {1U, 2U, 513U, 9000U}) {
        expect_part(base_block_size + border - 1, size);
        expect_part(base_block_size + border, size);
      }
  std::mt19937 generator(20261123);  // the same sequence everywhere
  for (int i = 0; i < 3000; ++i) {
    const std::uint64_t offset = generator() % (whole.size() + 8192);
    expect_part(offset, generator() % (i % 2 == 0 ? 600 : 20000));
  }
  expect_part(511, 2);
  expect_part(0, 0);
  expect_part(whole.size() - 1, 10);
  expect_part(whole.size(), 10);
  expect_part(0xFFFF'FFFF'FFFF'F000, 8192);
}

// --- how much is read ---

TEST(PlanOfAReplay, ReadsEachLogOnceAndOfTheHiveOnlyTheStart) {
  const HiveFiles files = recorded_with_gap().files();
  std::vector<std::uint64_t> transferred(3);
  const auto counted = [&transferred](const Bytes& bytes, std::size_t which) -> Source {
    const Source source = source_of(bytes);
    return {[source, &transferred, which](std::uint64_t offset, std::size_t size) {
              Bytes part = source.read_at(offset, size);
              transferred[which] += part.size();
              return part;
            },
            source.size};
  };
  const std::vector<Source> logs = {counted(files.logs[0], 0), counted(files.logs[1], 1)};
  const Source primary = counted(files.primary, 2);
  ASSERT_NO_THROW(plan_replay(primary, logs));
  // Headers, which tell whether the rest is needed, may be read on their own.
  for (const std::size_t log : {0U, 1U}) EXPECT_LE(transferred[log], files.logs[log].size() + 4096);
  EXPECT_LE(transferred[2], 2 * base_block_size);
}

}  // namespace
}  // namespace kvmnet::hive

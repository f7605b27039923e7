// SPDX-License-Identifier: GPL-2.0-or-later
// Logs of 8.1 and later.
// The logs are those of tests/support/log_writer.h; replay_real_test.cc says what Windows
// confirmed.
#include <gtest/gtest.h>

#include "hive/base_block.h"
#include "hive/replay.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::DirtFlush;
using test::expect_refused;
using test::expect_refused_or;
using test::expect_state;
using test::flush_dirt;
using test::HiveFiles;
using test::HvleRecorder;
using test::load_u32;
using test::recorded;
using test::recorded_in_two_logs;
using test::replayed;
using test::small_states;
using test::store_u32;
using test::swapped;

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

}  // namespace
}  // namespace kvmnet::hive

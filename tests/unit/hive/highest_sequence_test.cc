// SPDX-License-Identifier: GPL-2.0-or-later
// The number that an edited hive has to be above.
#include <gtest/gtest.h>

#include "hive/replay.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::DirtFlush;
using test::flush_dirt;
using test::HvleRecorder;
using test::small_states;

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

}  // namespace
}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// Logs of 2000 to 8.0.
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
using test::DirtOptions;
using test::expect_refused;
using test::expect_state;
using test::flush_dirt;
using test::replayed;
using test::small_states;

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

}  // namespace
}  // namespace kvmnet::hive

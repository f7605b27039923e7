// SPDX-License-Identifier: GPL-2.0-or-later
// What there is to a replay besides the forms of logs: clean hives, hives without logs, and how it
// is read.
#include "hive/replay.h"

#include <gtest/gtest.h>

#include <random>

#include "hive/base_block.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::HiveFiles;
using test::HvleRecorder;
using test::load_u32;
using test::recorded;
using test::recorded_in_two_logs;
using test::recorded_with_gap;
using test::replayed;
using test::small_states;

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

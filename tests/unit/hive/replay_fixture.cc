// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/hive/replay_fixture.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "hive/base_block.h"
#include "hive/hive.h"
#include "src/support/temp_dir.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet::test {
namespace {

using hive::Hive;
using hive::KeyPath;

constexpr std::size_t base_block_size = hive::base_block_size;

// Every third edit is too large for the free cells of a small hive.
void edit(const std::string& path, std::size_t round) {
  const std::size_t size = round % 3 == 2 ? 9000 : 40 + round;
  Hive hive(path, Hive::Mode::edit);
  hive.set(KeyPath::parse("kvmnet-test") / ("Key" + std::to_string(round)),
           {{"Data", {hive::Type::binary, Bytes(size, static_cast<std::byte>(round))}}});
  hive.set(KeyPath::parse("Select"), {{"Round", hive::dword(static_cast<std::uint32_t>(round))}});
  hive.commit();
}

void expect_sound_pieces(const hive::Replay& replay, const HiveFiles& files) {
  std::uint64_t end = 0;
  for (const auto& [offset, piece] : replay.pieces) {
    EXPECT_GE(offset, end) << "pieces overlap";
    EXPECT_GT(piece.length, 0U);
    end = std::uint64_t{offset} + piece.length;
    ASSERT_LT(piece.log, files.logs.size());
    EXPECT_LE(piece.log_offset + piece.length, files.logs[piece.log].size());
  }
  EXPECT_LE(end, replay.file_size - base_block_size);
}

void expect_sound(const hive::Replay& replay, const HiveFiles& files) {
  expect_sound_pieces(replay, files);
  std::uint64_t most = files.primary.size() + base_block_size;
  for (const Bytes& log : files.logs) most += log.size();
  EXPECT_LE(replay.file_size, most);
  EXPECT_GE(replay.file_size, base_block_size + std::uint64_t{replay.bins_size});
  EXPECT_EQ(replay.header.size(), 512U);
  EXPECT_GT(replay.entries, 0U);
}

Bytes read_whole(const hive::Source& source) {
  return hive::read_exactly(source, 0, source.size);
}

}  // namespace

std::vector<Bytes> edited_states(const Bytes& first, std::size_t edits) {
  const TempDir directory;
  const std::string path = directory.path() + "/hive";
  write_file(path, first);
  std::vector<Bytes> states = {first};
  for (std::size_t round = 1; round <= edits; ++round) {
    edit(path, round);
    states.push_back(read_file(path));
  }
  return states;
}

const std::vector<Bytes>& small_states() {
  static const std::vector<Bytes> states = edited_states(fixture_hive("nt63.system"), 10);
  return states;
}

HvleRecorder recorded(std::size_t last, std::size_t first) {
  HvleRecorder recorder(small_states().at(first - 1));
  for (std::size_t i = first; i <= last; ++i) recorder.commit(small_states().at(i));
  return recorder;
}

HvleRecorder recorded_in_two_logs() {
  HvleRecorder recorder = recorded(3);
  recorder.rotate();
  for (std::size_t i = 4; i <= 6; ++i) recorder.commit(small_states().at(i));
  return recorder;
}

HvleRecorder recorded_with_gap() {
  HvleRecorder recorder = recorded_in_two_logs();
  recorder.rotate();
  for (std::size_t i = 7; i <= 9; ++i) recorder.commit(small_states().at(i));
  return recorder;
}

HiveFiles swapped(HiveFiles files) {
  std::reverse(files.logs.begin(), files.logs.end());
  return files;
}

std::vector<hive::Source> sources_of(const std::vector<Bytes>& logs) {
  std::vector<hive::Source> sources;
  for (const Bytes& log : logs) sources.push_back(hive::source_of(log));
  return sources;
}

Outcome replayed(const HiveFiles& files) {
  const hive::Source primary = hive::source_of(files.primary);
  const std::vector<hive::Source> logs = sources_of(files.logs);
  Outcome outcome;
  try {
    outcome.replay = hive::plan_replay(primary, logs);
  } catch (const hive::NotReplayable& refusal) {
    outcome.refusal = refusal.what();
    EXPECT_NE(outcome.refusal, "");
    return outcome;
  }
  expect_sound(outcome.replay, files);
  const hive::Source source = hive::recovered(outcome.replay, primary, logs);
  EXPECT_EQ(source.size, outcome.replay.file_size);
  outcome.hive = read_whole(source);
  EXPECT_EQ(hive::read_base_block(*outcome.hive, outcome.hive->size()).condition,
            hive::Condition::clean);
  return outcome;
}

std::string difference(const Bytes& expected, const Bytes& actual) {
  if (expected == actual) return {};
  if (expected.size() != actual.size())
    return fmt::format("{} bytes instead of {}", actual.size(), expected.size());
  std::size_t count = 0;
  std::string places;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == actual[i] || ++count > 8) continue;
    places += fmt::format(" {:#x}: {:02x} instead of {:02x};", i, std::to_integer<int>(actual[i]),
                          std::to_integer<int>(expected[i]));
  }
  return fmt::format("{} bytes differ:{}", count, places);
}

void expect_state(const HiveFiles& files, const Bytes& state) {
  const Outcome outcome = replayed(files);
  ASSERT_TRUE(outcome.hive) << "refused: " << outcome.refusal;
  EXPECT_EQ(difference(state, *outcome.hive), "");
}

void expect_refused(const HiveFiles& files) {
  EXPECT_FALSE(replayed(files).hive) << "applied";
}

void expect_refused_or(const HiveFiles& files, const std::vector<Bytes>& states) {
  const Outcome outcome = replayed(files);
  if (!outcome.hive) return;
  EXPECT_NE(std::find(states.begin(), states.end(), *outcome.hive), states.end())
      << difference(states.at(0), *outcome.hive);
}

void expect_sound_end(const HiveFiles& files) {
  try {
    replayed(files);
  } catch (const hive::Error&) {
  }
}

}  // namespace kvmnet::test

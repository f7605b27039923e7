// SPDX-License-Identifier: GPL-2.0-or-later
// The replay of hostile logs is refused, or makes a clean hive of bytes that the files have.
#include <algorithm>
#include <array>
#include <cstdint>

#include "hive/base_block.h"
#include "hive/edit.h"
#include "hive/error.h"
#include "hive/replay.h"
#include "src/support/fd.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/input.h"

namespace kvmnet::fuzz {
namespace {

constexpr std::size_t base_block_size = hive::base_block_size;

void expect_sound_pieces(const hive::Replay& replay, const HiveFiles& files) {
  std::uint64_t end = 0;
  for (const auto& [offset, piece] : replay.pieces) {
    expect(offset >= end && piece.length > 0, "pieces are disjoint");
    end = std::uint64_t{offset} + piece.length;
    expect(piece.log < files.logs.size(), "a piece comes from a log");
    const std::uint64_t log_size = files.logs[piece.log].size();
    expect(piece.log_offset <= log_size && piece.length <= log_size - piece.log_offset,
           "a piece lies inside its log");
  }
  expect(base_block_size + end <= replay.file_size, "pieces lie inside the hive");
}

void expect_bounded(const hive::Replay& replay, const HiveFiles& files) {
  std::uint64_t most = files.primary.size() + base_block_size;
  for (const Bytes& log : files.logs) most += log.size();
  expect(replay.file_size >= files.primary.size() && replay.file_size <= most,
         "the hive is no larger than what there is");
}

// Read in pieces that respect no boundary.
Bytes read_in_pieces(const hive::Source& source) {
  constexpr std::array<std::size_t, 6> sizes = {1, 511, 513, 4095, 4097, 60000};
  Bytes whole;
  for (std::size_t i = 0; whole.size() < source.size; ++i) {
    const std::size_t size = sizes[i % sizes.size()];
    const Bytes piece = source.read_at(whole.size(), size);
    expect(piece.size() == std::min<std::uint64_t>(size, source.size - whole.size()),
           "a piece has the size that was asked for");
    whole.insert(whole.end(), piece.begin(), piece.end());
  }
  expect(source.read_at(source.size, 1).empty(), "nothing is behind the end");
  return whole;
}

void expect_applied(const hive::Replay& replay, const HiveFiles& files, const Bytes& whole) {
  const Fd file = make_memory_file("hive");
  write_whole(file, files.primary);
  hive::apply(file.get(), replay, sources_of(files.logs));
  expect(read_whole(file) == whole, "the hive that is written is the one that is read");
}

void test_replay(const hive::Replay& replay, const HiveFiles& files) {
  expect_bounded(replay, files);
  expect_sound_pieces(replay, files);
  const hive::Source primary = hive::source_of(files.primary);
  const hive::Source source = hive::recovered(replay, primary, sources_of(files.logs));
  const Bytes whole = read_in_pieces(source);
  expect(whole == source.read_at(0, source.size), "pieces make the whole");
  expect(hive::read_base_block(whole, whole.size()).condition == hive::Condition::clean,
         "the recovered hive is clean");
  if (replay.format == hive::LogFormat::none)
    expect(replay.pieces.empty(), "nothing comes from the logs of a clean hive");
  expect_applied(replay, files, whole);
}

void test_numbers(const HiveFiles& files) {
  constexpr std::uint32_t current = 5;
  try {
    const std::uint32_t highest = hive::highest_sequence(current, sources_of(files.logs));
    expect(static_cast<std::int32_t>(highest - current) >= 0, "the highest number is not behind");
  } catch (const hive::Unsupported&) {
    return;
  }
}

void test_files(const HiveFiles& files) {
  const hive::Source primary = hive::source_of(files.primary);
  test_numbers(files);
  try {
    test_replay(hive::plan_without_logs(primary), files);
  } catch (const hive::Error&) {
  }
  hive::Replay replay;
  try {
    replay = hive::plan_replay(primary, sources_of(files.logs));
  } catch (const hive::Error&) {
    return;
  }
  test_replay(replay, files);
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kvmnet::fuzz::test_files(kvmnet::fuzz::unpack(data, size));
  return 0;
}

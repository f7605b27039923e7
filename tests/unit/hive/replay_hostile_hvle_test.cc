// SPDX-License-Identifier: GPL-2.0-or-later
// The replay of logs that somebody made to harm it. It ends in NotReplayable or in a state that the
// hive once had, never in a mixture, and reads and allocates no more than the logs are large. The
// cases are those of the section "Logs" in the notes on hostile hives.
#include <gtest/gtest.h>

#include "hive/base_block.h"
#include "hive/replay.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::EntryField;
using test::EntryPlace;
using test::expect_refused;
using test::expect_refused_or;
using test::expect_sound_end;
using test::expect_state;
using test::forge;
using test::ForgedField;
using test::HiveFiles;
using test::HvleRecorder;
using test::load_u32;
using test::recorded;
using test::recorded_in_two_logs;
using test::replayed;
using test::small_states;
using test::store_u32;
using test::swapped;

// Fields that make an entry one that Windows never wrote, whatever its hashes say.
std::vector<ForgedField> impossible_fields(const EntryPlace& entry) {
  const std::size_t first_offset = EntryField::references;
  const std::size_t first_length = EntryField::references + 4;
  return {
      {"signature", 0, 0x454C7649},
      {"no signature", 0, 0},
      {"size 0", EntryField::size, 0},
      {"size of the fixed part", EntryField::size, 40},
      {"size of a sector", EntryField::size, 512},
      {"size unaligned", EntryField::size, static_cast<std::uint32_t>(entry.size) - 8},
      {"size beyond the log", EntryField::size, static_cast<std::uint32_t>(entry.size) + 0x100000},
      {"size just below 4 GiB", EntryField::size, 0xFFFFFE00},
      {"size of 4 GiB less 1", EntryField::size, 0xFFFFFFFF},
      {"number repeated", EntryField::number, entry.number - 1},
      {"number left out", EntryField::number, entry.number + 1},
      {"number 0", EntryField::number, 0},
      {"number just below 2^32", EntryField::number, 0xFFFFFFFF},
      {"number half way round", EntryField::number, entry.number ^ 0x80000000},
      {"bins size 0", EntryField::bins_size, 0},
      {"bins size 1", EntryField::bins_size, 1},
      {"bins size odd", EntryField::bins_size, 0x7FFFFFFF},
      {"bins size of 2 GiB", EntryField::bins_size, 0x80000000},
      {"bins size of nearly 2 GiB", EntryField::bins_size, 0x7FFFF000},
      {"bins size of nearly 4 GiB", EntryField::bins_size, 0xFFFFF000},
      {"page count of all ones", EntryField::count, 0xFFFFFFFF},
      {"page count for which 8*n wraps to 8", EntryField::count, 0x20000001},
      {"page count for which 8*n wraps to 0", EntryField::count, 0x20000000},
      {"page count that fills the entry", EntryField::count,
       static_cast<std::uint32_t>((entry.size - 40) / 8)},
      {"page length odd", first_length, 0x1001},
      {"page length half a sector", first_length, 0x100},
      {"page length of all ones", first_length, 0xFFFFFFFF},
      {"page length of nearly 4 GiB", first_length, 0xFFFFF000},
      {"page length for which the sum wraps", first_length, 0x80000000},
      {"page offset beyond the bins", first_offset, 0x7FFFF000},
      {"page offset unaligned", first_offset, 4},
      {"page offset at 2 GiB", first_offset, 0x80000000},
      {"page offset that wraps to the base block", first_offset, 0xFFFFF000},
      {"page offset of all ones", first_offset, 0xFFFFFFFF},
  };
}

TEST(HostileHvle, WithAnImpossibleFieldInAnyEntryIsNotTakenForTheirEnd) {
  const HvleRecorder recorder = recorded(3);
  for (const EntryPlace& entry : recorder.entries())
    for (const ForgedField& row : impossible_fields(entry)) {
      SCOPED_TRACE(std::string(row.what) + " in entry " + std::to_string(entry.commit));
      HiveFiles files = recorder.files();
      forge(files.logs[0], entry, row.field, row.value);
      // Without its signature it is what stands behind the last entry. With another size or number
      // it may be that, or an entry that cannot be reached or understood.
      const bool is_last = entry.commit == recorder.entries().size();
      const bool may_end = row.field == EntryField::size || row.field == EntryField::number;
      if (is_last && row.field == 0)
        expect_state(files, recorder.state(entry.commit - 1));
      else if (is_last && may_end)
        expect_refused_or(files, {recorder.state(entry.commit - 1)});
      else
        expect_refused(files);
    }
}

// The sources do not say whether Windows ever writes these; an entry without effect is harmless.
TEST(HostileHvle, WithoutAPageInTheLastEntryGivesTheStateBefore) {
  const HvleRecorder recorder = recorded(3);
  const EntryPlace& last = recorder.entries().back();
  Bytes with_next_number = recorder.state(2);
  test::set_sequence_numbers(with_next_number, last.number + 1, last.number + 1);
  const std::uint32_t bins_size = load_u32(recorder.state(2), 40);
  HiveFiles files = recorder.files();
  forge(files.logs[0], last, EntryField::bins_size, bins_size);
  forge(files.logs[0], last, EntryField::count, 0);
  expect_refused_or(files, {recorder.state(2), with_next_number});
}

TEST(HostileHvle, WithAPageOfNoLengthGivesTheStateBeforeOrNoMixture) {
  HvleRecorder recorder = recorded(1);
  const auto size = load_u32(small_states().at(1), 40);
  recorder.commit(small_states().at(1), {{size - 4096, 4096}});  // repeats what is there
  HiveFiles files = recorder.files();
  forge(files.logs[0], recorder.entries().back(), EntryField::references + 4, 0);
  expect_refused_or(files, {recorder.state(1), recorder.state(2)});
}

TEST(HostileHvle, WithAWrongHashEndsWithTheEntryBeforeIfNothingFollows) {
  const HvleRecorder recorder = recorded(3);
  for (const EntryPlace& entry : recorder.entries())
    for (const std::size_t field : {24U, 31U, 32U, 39U}) {
      HiveFiles files = recorder.files();
      test::spoil(files.logs[0], entry.offset + field);
      // What follows is intact, and would be lost.
      if (entry.commit != recorder.entries().size())
        expect_refused(files);
      else
        expect_state(files, recorder.state(entry.commit - 1));
    }
}

TEST(HostileHvle, WithAnyByteOfAnEntrySpoiltEndsWithTheEntryBefore) {
  const HvleRecorder recorder = recorded(2);
  const EntryPlace& last = recorder.entries().back();
  for (std::size_t at = 0; at < last.size; at += at < 64 ? 1 : 257) {
    HiveFiles files = recorder.files();
    test::spoil(files.logs[0], last.offset + at);
    SCOPED_TRACE(at);
    expect_state(files, recorder.state(1));
  }
}

// Memory: what is beyond the file must come from the entry that makes the hive larger.
TEST(HostileHvle, ThatGrowsTheHiveWithoutFillingItIsRefused) {
  for (const std::uint32_t more : {0x1000U, 0x2000U, 0x40000000U}) {
    const HvleRecorder recorder = recorded(2);
    HiveFiles files = recorder.files();
    const EntryPlace& last = recorder.entries().back();
    const auto size = load_u32(files.logs[0], last.offset + EntryField::bins_size);
    forge(files.logs[0], last, EntryField::bins_size, size + more);
    expect_refused(files);
  }
}

TEST(HostileHvle, ThatFillsOnlyAPartOfWhatItGrowsByIsRefused) {
  Bytes larger = recorded(1).state();
  const auto size = load_u32(larger, 40);
  larger.resize(larger.size() + 0x4000, std::byte{0x55});
  store_u32(larger, 40, size + 0x4000);
  const std::vector<std::vector<test::PageRange>> parts = {
      {{size, 0x3000}},
      {{size + 0x1000, 0x3000}},
      {{size, 0x1000}, {size + 0x2000, 0x2000}},
      {{size - 0x1000, 0x1000}, {size + 0x3000, 0x1000}},
      {{size, 0x1000}, {size, 0x1000}, {size + 0x3000, 0x1000}, {size + 0x3000, 0x1000}}};
  for (const auto& pages : parts) {
    HvleRecorder recorder = recorded(1);
    recorder.commit(larger, pages);
    recorder.commit(larger, {{size, 0x4000}});  // too late
    expect_refused(recorder.files());
  }
}

TEST(HostileHvle, ThatShrinksTheHiveGivesAStateThatItHad) {
  HvleRecorder recorder = recorded(5);
  ASSERT_GT(load_u32(small_states().at(5), 40), load_u32(small_states().at(1), 40));
  const Bytes before = recorder.state();
  recorder.commit(small_states().at(1));
  const Bytes after = recorder.state();
  const auto outcome = replayed(recorder.files());
  if (outcome.hive) {  // what the file has behind the bins is nobody's
    const bool shrunk = outcome.replay.bins_size == load_u32(after, 40);
    const Bytes& expected = shrunk ? after : before;
    const std::size_t size = base_block_size + load_u32(expected, 40);
    EXPECT_TRUE(std::equal(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(size),
                           outcome.hive->begin()));
  }
  recorder.commit(small_states().at(5));  // and back, with the pages that differ
  expect_sound_end(recorder.files());
  recorder.commit(small_states().at(5), {{0, 4096}});  // and without
  expect_sound_end(recorder.files());
}

TEST(HostileHvle, WithPagesThatOverlapIsNeverUnsound) {
  const auto size = load_u32(small_states().at(1), 40);
  const std::vector<std::vector<test::PageRange>> overlapping = {
      {{0, size}, {0, size}, {0x1000, 0x1000}},
      {{0x1000, 0x2000}, {0, 0x2000}, {0x2000, 0x1000}},
      {{size - 0x1000, 0x1000}, {0, size}, {0x1000, 0x1000}}};
  for (const auto& pages : overlapping) {
    HvleRecorder recorder(small_states().at(0));
    recorder.commit(small_states().at(1), {{0, size}});
    recorder.commit(small_states().at(1), pages);  // the same bytes, whichever is taken
    expect_refused_or(recorder.files(), {recorder.state(1), recorder.state(2)});
  }
}

TEST(HostileHvle, WithABadHeaderOfItsOnlyLogIsRefused) {
  const HvleRecorder recorder = recorded(3);
  const ForgedField table[] = {
      {"signature", 0, 0x67676572},
      {"first number", 4, 0x12345},
      {"second number", 8, 0x12345},
      {"numbers pass zero", 4, 0xFFFFFFFF},
      {"type of a primary", 28, 0},
      {"unknown type", 28, 3},
      {"unknown type", 28, 5},
      {"unknown type", 28, 7},
      {"type of a DIRT log", 28, 1},
      {"older type of a DIRT log", 28, 2},
      {"type of all ones", 28, 0xFFFFFFFF},
  };
  for (const ForgedField& row : table) {
    SCOPED_TRACE(row.what);
    HiveFiles files = recorder.files();
    test::forge_header(files.logs[0], row.field, row.value);
    expect_refused(files);
  }
  for (const std::size_t offset : {0U, 4U, 28U, 40U, 507U, 508U, 511U}) {
    HiveFiles files = recorder.files();
    test::spoil(files.logs[0], offset);
    expect_refused(files);
  }
}

TEST(HostileHvle, WithANumberInTheHeaderThatItsEntriesDoNotHaveIsRefused) {
  const HvleRecorder recorder = recorded(3);
  const std::uint32_t number = recorder.entries().front().number;
  for (const std::uint32_t wrong : {number - 1, number + 1, number ^ 0x80000000}) {
    HiveFiles files = recorder.files();
    test::set_sequence_numbers(files.logs[0], wrong, wrong);
    expect_refused(files);
  }
}

TEST(HostileHvle, CutWithinItsHeaderIsRefused) {
  for (const std::size_t size : {1U, 4U, 511U, 512U, 513U, 551U}) {
    HiveFiles files = recorded(3).files();
    files.logs[0].resize(size);
    expect_refused(files);
  }
}

TEST(HostileHvle, OfTwoLogsWithOneNumberGivesOneOfThemOrIsRefused) {
  HvleRecorder one(small_states().at(0));
  one.commit(small_states().at(1));
  HvleRecorder two(small_states().at(0));
  two.commit(small_states().at(2));
  expect_refused_or({one.files().primary, {one.files().logs[0], two.files().logs[0]}},
                    {one.state(), two.state()});
  // The same log twice.
  expect_refused_or({one.files().primary, {one.files().logs[0], one.files().logs[0]}},
                    {one.state()});
}

TEST(HostileHvle, WithAGapBetweenTheLogsNeverSkipsIt) {
  const HvleRecorder recorder = recorded_in_two_logs();
  HiveFiles files = recorder.files();
  // Every number of the second log one higher.
  const std::uint32_t number = load_u32(files.logs[1], 4) + 1;
  test::set_sequence_numbers(files.logs[1], number, number);
  for (const EntryPlace& entry : recorder.entries())
    if (entry.log == 1) forge(files.logs[1], entry, EntryField::number, entry.number + 1);
  expect_refused_or(files, {recorder.state(3)});
  expect_refused_or(swapped(files), {recorder.state(3)});
}

TEST(HostileHvle, WithMoreThanTwoLogsGivesTheLastStateOrIsRefused) {
  const HvleRecorder recorder = recorded_in_two_logs();
  HiveFiles files = recorder.files();
  files.logs.push_back(files.logs[0]);
  files.logs.push_back(files.logs[1]);
  expect_refused_or(files, {recorder.state()});
}

}  // namespace
}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// The replay of logs that somebody made to harm it. It ends in NotReplayable or in a state that the
// hive once had, never in a mixture, and reads and allocates no more than the logs are large. The
// cases are those of the section "Logs" in the notes on hostile hives.
#include <gtest/gtest.h>

#include <random>

#include "hive/base_block.h"
#include "hive/replay.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::DirtFlush;
using test::EntryField;
using test::EntryPlace;
using test::expect_refused;
using test::expect_refused_or;
using test::expect_state;
using test::flush_dirt;
using test::forge;
using test::HiveFiles;
using test::HvleRecorder;
using test::load_u32;
using test::recorded;
using test::recorded_in_two_logs;
using test::replayed;
using test::small_states;
using test::store_u32;
using test::swapped;

// A replay of anything: no crash, and a plan that is sound (see replayed()).
void expect_sound_end(const HiveFiles& files) {
  try {
    replayed(files);
  } catch (const Error&) {
  }
}

// --- HvLE entries ---

struct ForgedField {
  const char* what;
  std::size_t field;
  std::uint32_t value;
};

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

// --- HvLE log headers ---

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

// --- primaries ---

TEST(HostilePrimary, ThatIsNoHiveIsAnError) {
  const HiveFiles files = recorded(3).files();
  for (const std::size_t size : {0U, 1U, 511U, 512U, 4095U}) {
    const Bytes cut(files.primary.begin(),
                    files.primary.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(plan_replay(source_of(cut), test::sources_of(files.logs)), Error) << size;
  }
  const ForgedField table[] = {{"version", 24, 7}, {"NT 3.1", 24, 1}, {"type", 28, 1},
                               {"type", 28, 6},    {"format", 32, 0}, {"clustering", 44, 8}};
  for (const ForgedField& row : table) {
    HiveFiles forged = files;
    test::forge_header(forged.primary, row.field, row.value);
    EXPECT_THROW(replayed(forged), Error) << row.what;
  }
}

TEST(HostilePrimary, ThatIsShorterThanItsHeaderSaysIsNeverFilledWithNothing) {
  const HvleRecorder recorder = recorded(2);
  for (const std::size_t missing : {0x1000U, 0x2000U}) {
    HiveFiles files = recorder.files();
    files.primary.resize(files.primary.size() - missing);
    expect_refused(files);
  }
}

TEST(HostilePrimary, ThatAnEntryFillsAgainGivesThatState) {
  // The header may say the new size before the file has it.
  HvleRecorder recorder(small_states().at(0));
  const Bytes& next = small_states().at(2);
  ASSERT_GT(next.size(), small_states().at(0).size());
  recorder.commit(next);
  HiveFiles files = recorder.files();
  test::forge_header(files.primary, 40, load_u32(next, 40));
  expect_state(files, recorder.state());
}

TEST(HostilePrimary, WhoseBinsSizeIsNonsenseGivesTheStateOrIsRefused) {
  const HvleRecorder recorder = recorded(2);
  for (const std::uint32_t size : {0U, 1U, 0x7FFFF000U, 0xFFFFF000U, 0xFFFFFFFFU}) {
    HiveFiles files = recorder.files();
    test::forge_header(files.primary, 40, size);
    expect_refused_or(files, {recorder.state()});
  }
}

TEST(HostilePrimary, WhoseHeaderWouldStillBeDamagedIsAnError) {
  constexpr std::size_t root_cell = 36;
  HiveFiles files = recorded_in_two_logs().files();
  test::forge_header(files.primary, root_cell, 0x7FFFFFF0);
  EXPECT_THROW(plan_replay(source_of(files.primary), test::sources_of(files.logs)), Error);
  // The same in the header that comes from a log.
  files = recorded_in_two_logs().files();
  test::spoil(files.primary, 508);
  for (Bytes& log : files.logs) test::forge_header(log, root_cell, 0x7FFFFFF0);
  EXPECT_THROW(plan_replay(source_of(files.primary), test::sources_of(files.logs)), Error);
}

// --- DIRT ---

DirtFlush small_flush() {
  return flush_dirt(small_states().at(0), small_states().at(1));
}

TEST(HostileDirt, CutAnywhereIsRefused) {
  const DirtFlush flush = small_flush();
  for (std::size_t size = 0; size < flush.log.size(); size += size < 1100 ? 37 : 500) {
    Bytes log = flush.log;
    log.resize(size);
    SCOPED_TRACE(size);
    expect_refused({flush.primary, {log}});
    expect_refused_or({flush.primary, {log, flush.log}}, {flush.after});
  }
}

TEST(HostileDirt, WithABadHeaderOrSignatureIsRefused) {
  const DirtFlush flush = small_flush();
  for (const std::size_t offset : {0U, 4U, 8U, 12U, 28U, 40U, 508U, 512U, 515U}) {
    Bytes log = flush.log;
    test::spoil(log, offset);
    expect_refused({flush.primary, {log}});
  }
  // With the checksum right: the log was not written completely; a type that is none.
  const ForgedField table[] = {{"first number", 4, 77},
                               {"second number", 8, 77},
                               {"type", 28, 0},
                               {"type", 28, 3},
                               {"type", 28, 6}};
  for (const ForgedField& row : table) {
    SCOPED_TRACE(row.what);
    Bytes log = flush.log;
    test::forge_header(log, row.field, row.value);
    expect_refused({flush.primary, {log}});
  }
}

TEST(HostileDirt, WithABitmapWithoutABitGivesTheOldBinsOrIsRefused) {
  DirtFlush flush = small_flush();
  std::fill(flush.log.begin() + 516, flush.log.begin() + 1024, std::byte{0});
  const auto outcome = replayed({flush.primary, {flush.log}});
  if (!outcome.hive) return;
  Bytes expected = flush.primary;
  std::copy_n(outcome.hive->begin(), 512, expected.begin());
  EXPECT_EQ(test::difference(expected, *outcome.hive), "");
}

TEST(HostileDirt, WithEveryBitSetButNotThePagesIsRefused) {
  DirtFlush flush = small_flush();
  const std::size_t bitmap = load_u32(flush.log, 40) / 4096;
  std::fill_n(flush.log.begin() + 516, bitmap, std::byte{0xFF});
  expect_refused({flush.primary, {flush.log}});
}

TEST(HostileDirt, WithAnImpossibleBinsSizeIsRefused) {
  const DirtFlush flush = small_flush();
  for (const std::uint32_t size :
       {0U, 1U, 0x1001U, 0x7FFFF000U, 0x80000000U, 0xFFFFF000U, 0xFFFFFFFFU}) {
    Bytes log = flush.log;
    test::forge_header(log, 40, size);
    SCOPED_TRACE(size);
    expect_refused({flush.primary, {log}});
    log.resize(log.size() + 0x100000);  // room for a larger bitmap
    expect_refused({flush.primary, {log}});
  }
}

TEST(HostileDirt, ThatGrowsTheHiveWithoutFillingItIsRefused) {
  const DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(1));
  const auto size = load_u32(flush.log, 40);
  Bytes log = flush.log;
  test::forge_header(log, 40, size + 0x1000);
  expect_refused({flush.primary, {log}});
}

TEST(HostileDirt, AndHvleTogetherGiveOneOfTheirStatesOrAreRefused) {
  const HvleRecorder recorder = recorded(2);
  const HiveFiles files = recorder.files();
  test::DirtOptions options;
  options.time = std::uint64_t{load_u32(files.primary, 16)} << 32 | load_u32(files.primary, 12);
  const DirtFlush flush = flush_dirt(small_states().at(0), small_states().at(3), options);
  ASSERT_EQ(flush.primary, files.primary);
  const HiveFiles both{files.primary, {files.logs[0], flush.log}};
  expect_refused_or(both, {recorder.state(), flush.after});
  expect_refused_or(swapped(both), {recorder.state(), flush.after});
}

// --- any damage ---

using Generator = std::mt19937;

HiveFiles mutated(HiveFiles files, Generator& random) {
  for (unsigned i = random() % 4 + 1; i > 0; --i) {
    Bytes& log = files.logs[random() % files.logs.size()];
    if (log.size() < 4) continue;
    const std::uint32_t values[] = {0, 0xFFFFFFFF, 0x80000000, 0x1000,
                                    static_cast<std::uint32_t>(random())};
    const std::size_t near = random() % 2 == 0 ? 1024 : log.size();
    store_u32(log, random() % (std::min(near, log.size()) - 3), values[random() % 5]);
    if (random() % 8 == 0) log.resize(random() % log.size());
  }
  return files;
}

TEST(HostileLogs, WithRandomDamageGiveAStateThatTheHiveHadOrAreRefused) {
  const HvleRecorder recorder = recorded_in_two_logs();
  std::vector<Bytes> states;
  for (std::size_t i = 1; i <= 6; ++i) states.push_back(recorder.state(i));
  Generator random(4);  // the same sequence everywhere
  std::size_t applied = 0;
  for (int round = 0; round < 400; ++round) {
    const HiveFiles files = mutated(recorder.files(), random);
    const auto outcome = replayed(files);
    if (!outcome.hive) continue;
    ++applied;
    EXPECT_NE(std::find(states.begin(), states.end(), *outcome.hive), states.end()) << round;
  }
  EXPECT_GT(applied, 30U);
}

TEST(HostileLogs, WithRandomFieldsUnderRightHashesAreNeverUnsound) {
  const HvleRecorder recorder = recorded_in_two_logs();
  Generator random(5);
  const std::size_t fields[] = {4, 8, 12, 16, 20, 40, 44, 48, 52};
  const auto edge = [&random]() -> std::uint32_t {
    const std::uint32_t pages = random() % 16 * 4096;
    const std::uint32_t values[] = {pages, pages, 0U - pages, pages + 0x80000000,
                                    static_cast<std::uint32_t>(random())};
    return values[random() % 5];
  };
  for (int round = 0; round < 400; ++round) {
    HiveFiles files = recorder.files();
    for (int i = 0; i < 2; ++i) {
      const EntryPlace& entry = recorder.entries()[random() % recorder.entries().size()];
      forge(files.logs[entry.log], entry, fields[random() % 9], edge());
    }
    expect_sound_end(files);
  }
}

TEST(HostileLogs, InDirtWithRandomDamageAreNeverUnsound) {
  const DirtFlush flush = small_flush();
  Generator random(6);
  for (int round = 0; round < 400; ++round) {
    HiveFiles files = mutated({flush.primary, {flush.log, flush.log}}, random);
    for (Bytes& log : files.logs)
      if (log.size() >= 512 && random() % 2 == 0) test::update_checksum(log);
    expect_sound_end(files);
  }
}

// --- logs that are larger than they are ---

constexpr std::uint64_t tebibyte = std::uint64_t{1} << 40;
constexpr std::uint64_t enough = 16 << 20;  // bytes, for logs of some 100 KB

class TooMuch : public std::exception {};

// `start` and then zeros up to a tebibyte: sparse, so it costs a guest nothing.
Source sparse_file(const Bytes& start, std::uint64_t& transferred) {
  const auto read_at = [&](std::uint64_t offset, std::size_t size) {
    transferred += size;
    if (transferred > enough) throw TooMuch();
    Bytes bytes = source_of(start).read_at(offset, size);
    bytes.resize(std::min<std::uint64_t>(size, tebibyte - std::min(tebibyte, offset)));
    return bytes;
  };
  return {read_at, tebibyte};
}

TEST(HostileLogs, OfATebibyteOfZerosAreReadAsFarAsTheirEntriesGo) {
  const HvleRecorder recorder = recorded(3);
  const HiveFiles files = recorder.files();
  std::uint64_t transferred = 0;
  const std::vector<Source> logs = {sparse_file(files.logs[0], transferred)};
  const Source primary = source_of(files.primary);
  try {
    const Replay replay = plan_replay(primary, logs);
    const Source hive = recovered(replay, primary, logs);
    EXPECT_EQ(test::difference(recorder.state(), read_exactly(hive, 0, hive.size)), "");
  } catch (const NotReplayable&) {
  } catch (const TooMuch&) {
    FAIL() << "too much is read";
  }
}

TEST(HostileLogs, WithAnEntryOfGibibytesAreNotReadForIt) {
  for (const std::uint32_t size : {0x40000000U, 0x7FFFFE00U, 0xFFFFFE00U}) {
    const HvleRecorder recorder = recorded(1);
    HiveFiles files = recorder.files();
    forge(files.logs[0], recorder.entries().front(), EntryField::size, size);  // hash-2 is right
    std::uint64_t transferred = 0;
    const std::vector<Source> logs = {sparse_file(files.logs[0], transferred)};
    EXPECT_THROW(plan_replay(source_of(files.primary), logs), NotReplayable);
  }
}

TEST(HostileLogs, ThatEndBeforeTheyAnnounceAreAnErrorOrIgnored) {
  const HvleRecorder recorder = recorded(3);
  for (const std::size_t size : {0U, 100U, 512U, 600U, 5000U, 9000U}) {
    HiveFiles files = recorder.files();
    const std::uint64_t announced = files.logs[0].size();
    files.logs[0].resize(std::min<std::size_t>(size, announced));
    Source log = source_of(files.logs[0]);
    log.size = announced;
    const std::vector<Source> logs = {log};
    const Source primary = source_of(files.primary);
    try {
      const Replay replay = plan_replay(primary, logs);
      const Source hive = recovered(replay, primary, logs);
      const Bytes bytes = read_exactly(hive, 0, hive.size);
      EXPECT_TRUE(bytes == recorder.state(1) || bytes == recorder.state(2)) << size;
    } catch (const Error&) {
    }
  }
}

TEST(HighestSequence, OfDamagedLogsIsNeverACrash) {
  const HvleRecorder recorder = recorded_in_two_logs();
  Generator random(7);
  for (int round = 0; round < 300; ++round) {
    const HiveFiles files = mutated(recorder.files(), random);
    const std::uint32_t current = recorder.entries().back().number + 1;
    const std::uint32_t highest = highest_sequence(current, test::sources_of(files.logs));
    EXPECT_LT(highest - current, 0x80000000U);
  }
}

TEST(HighestSequence, IsNotMovedByEntriesWhoseHashesAreWrong) {
  const HvleRecorder recorder = recorded(3);
  HiveFiles files = recorder.files();
  const EntryPlace& last = recorder.entries().back();
  store_u32(files.logs[0], last.offset + EntryField::number, last.number + 1000);
  EXPECT_EQ(highest_sequence(1, test::sources_of(files.logs)), last.number - 1);
}

}  // namespace
}  // namespace kvmnet::hive

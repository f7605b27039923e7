// SPDX-License-Identifier: GPL-2.0-or-later
// The replay of logs that somebody made to harm it. It ends in NotReplayable or in a state that the
// hive once had, never in a mixture, and reads and allocates no more than the logs are large. The
// cases are those of the section "Logs" in the notes on hostile hives.
#include <gtest/gtest.h>

#include <random>

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
using test::expect_sound_end;
using test::expect_state;
using test::flush_dirt;
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

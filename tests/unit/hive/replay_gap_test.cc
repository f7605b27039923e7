// SPDX-License-Identifier: GPL-2.0-or-later
// Logs of 8.1 and later where something is missing: entries, or the header of the primary.
// The logs are those of tests/support/log_writer.h; replay_real_test.cc says what Windows
// confirmed.
#include <gtest/gtest.h>

#include "hive/replay.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/replay_fixture.h"

namespace kvmnet::hive {
namespace {

using test::expect_refused;
using test::expect_refused_or;
using test::expect_state;
using test::HiveFiles;
using test::HvleRecorder;
using test::load_u32;
using test::recorded;
using test::recorded_in_two_logs;
using test::recorded_with_gap;
using test::swapped;

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

}  // namespace
}  // namespace kvmnet::hive

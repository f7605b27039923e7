// SPDX-License-Identifier: GPL-2.0-or-later
// What a log is to a hive, above all one that kvmnet has made invalid.
#include <gtest/gtest.h>

#include <algorithm>

#include "hive/log_file.h"
#include "hive/replay.h"
#include "tests/support/log_writer.h"
#include "tests/support/minimal_hive.h"

namespace kvmnet::hive {
namespace {

// A hive with one entry in LOG1 that is not in place.
test::HiveFiles unclosed() {
  test::HvleRecorder recorder(test::minimal_hive());
  Bytes next = test::minimal_hive();
  next[4096 + 20] ^= std::byte{1};
  recorder.commit(next);
  return recorder.files();
}

Bytes made_invalid(Bytes log) {
  std::fill_n(log.begin(), 512, std::byte{});
  return log;
}

TEST(LogKind, IsToldFromTheHeader) {
  const test::HiveFiles files = unclosed();
  const Source hive = source_of(files.primary);
  const auto kind = [&hive](const Bytes& log) { return kind_of(source_of(log), hive); };
  EXPECT_EQ(kind(files.logs[0]), LogKind::own);
  EXPECT_EQ(kind({}), LogKind::blank);
  EXPECT_EQ(kind(made_invalid(files.logs[0])), LogKind::blank);
  EXPECT_EQ(kind(Bytes(1000, std::byte{'x'})), LogKind::not_a_log);
  EXPECT_EQ(kind(files.primary), LogKind::not_a_log);
  Bytes foreign = files.logs[0];
  test::set_rm_id(foreign, std::byte{7});
  EXPECT_EQ(kind(foreign), LogKind::foreign);
}

// A header that was not written whole comes from the log, if the other one leaves no doubt.
TEST(LogKind, OfOneThatWasMadeInvalidIsNoReasonToDoubtTheOther) {
  test::HiveFiles files = unclosed();
  const Bytes invalid = made_invalid(files.logs[0]);
  Bytes damaged = files.logs[0];
  damaged[508] ^= std::byte{1};
  test::spoil(files.primary, 300);
  const Source hive = source_of(files.primary);
  const std::vector<Source> good = {source_of(files.logs[0]), source_of(invalid)};
  EXPECT_EQ(plan_replay(hive, good).entries, 1U);
  const std::vector<Source> doubtful = {source_of(files.logs[0]), source_of(damaged)};
  EXPECT_THROW(plan_replay(hive, doubtful), NotReplayable);
}

TEST(LogsInUse, AreThoseOfTheNewestKind) {
  const auto count = [](const std::vector<std::string>& logs) { return count_in_use(logs); };
  EXPECT_EQ(count({}), 0U);
  EXPECT_EQ(count({"/config/SYSTEM.LOG1", "/config/SYSTEM.LOG2", "/config/SYSTEM.LOG"}), 2U);
  EXPECT_EQ(count({"SYSTEM.LOG1", "system.log"}), 1U);
  EXPECT_EQ(count({"SYSTEM.LOG1"}), 1U);
  EXPECT_EQ(count({"system.log"}), 1U);
}

}  // namespace
}  // namespace kvmnet::hive

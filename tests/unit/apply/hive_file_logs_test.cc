// SPDX-License-Identifier: GPL-2.0-or-later
// A bare hive file with transaction logs.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "src/apply/hive_lock.h"
#include "src/support/temp_dir.h"
#include "tests/support/log_writer.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/apply/hive_file_fixture.h"

namespace kvmnet {
namespace {

using test::fixture_hive;
using test::read_file;
using HiveFile = test::HiveFileTest;

// A hive that Windows has not closed: what is to become of its logs, and of it.
class HiveFileWithLogs : public HiveFile {
 protected:
  // As Windows 8.1 and later leave it, two changes of which are in LOG1 only.
  HiveFileWithLogs() {
    test::HvleRecorder recorder(fixture_hive("nt61.system"));
    recorder.commit(changed(fixture_hive("nt61.system"), "First"));
    recorder.commit(changed(recorder.state(), "Second"));
    files_ = recorder.files();
    state_ = recorder.state();
  }
  static hive::Bytes changed(const hive::Bytes& hive, const std::string& name) {
    const TempDir directory;
    const std::string file = directory.path() + "/hive";
    test::write_file(file, hive);
    test::merge(file, fmt::format("[\\Select]\n\"{}\"=dword:00000001\n", name));
    return read_file(file);
  }
  std::string put(const std::string& log1 = "SYSTEM.LOG1",
                  const std::string& log2 = "SYSTEM.LOG2") {
    test::write_file(path("SYSTEM"), files_.primary);
    test::write_file(path(log1), files_.logs[0]);
    test::write_file(path(log2), files_.logs[1]);
    return path("SYSTEM");
  }
  static bool is_valid(const std::string& log) {
    const hive::Bytes bytes = read_file(log);
    return !bytes.empty() && bytes[0] != std::byte{};
  }

  test::HiveFiles files_;
  hive::Bytes state_;
};

TEST_F(HiveFileWithLogs, IsReplayedAndItsLogsAreInvalidThen) {
  const std::string hive = put("system.log1", "System.Log2");
  const Outcome outcome = replay_hive_file(hive, {});
  EXPECT_EQ(outcome.status, Status::replayed) << outcome.error;
  EXPECT_EQ(read_file(hive), state_);
  EXPECT_FALSE(is_valid(path("system.log1")));
  EXPECT_EQ(replay_hive_file(hive, {}).status, Status::unchanged);
}

TEST_F(HiveFileWithLogs, IsReplayedBeforeItIsPatched) {
  const std::string hive = put();
  const Outcome outcome = test::patch_hive(hive);
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  ASSERT_FALSE(outcome.warnings.empty());
  EXPECT_NE(outcome.warnings.back().find("2 entries"), std::string::npos);
  const auto lines = test::listing(hive);
  for (const char* name : {"First", "Second"})
    EXPECT_EQ(
        std::count(lines.begin(), lines.end(), fmt::format("/Select/{},DWORD,0x00000001", name)),
        1);
  EXPECT_FALSE(is_valid(path("SYSTEM.LOG1")));
  // Above every number in the logs, so that Windows takes none of them even if it saw one.
  const hive::Bytes after = read_file(hive);
  EXPECT_GT(test::load_u32(after, 4), test::load_u32(state_, 4));
  EXPECT_EQ(test::load_u32(after, 4), test::load_u32(after, 8));
}

TEST_F(HiveFileWithLogs, IsOnlyReadByPlanAndCheck) {
  const std::string hive = put();
  EXPECT_EQ(test::patch_hive(hive, Mode::plan).status, Status::pending);
  const HiveCheck check = check_hive_file(hive, {});
  EXPECT_EQ(check.condition.replayed, 2U);
  EXPECT_TRUE(check.structure.sound());
  EXPECT_EQ(read_file(hive), files_.primary);
  EXPECT_EQ(read_file(path("SYSTEM.LOG1")), files_.logs[0]);
}

TEST_F(HiveFileWithLogs, TakesTheLogsThatItIsGiven) {
  std::filesystem::create_directory(path("logs"));
  const std::string hive = put("logs/a", "logs/b");
  EXPECT_EQ(replay_hive_file(hive, {}).refusal->reason, Reason::dirty_hive);
  HiveFileRequest request;
  request.logs = {path("logs/a"), path("logs/b")};
  EXPECT_EQ(replay_hive_file(hive, request).status, Status::replayed);
  EXPECT_EQ(read_file(hive), state_);
  EXPECT_FALSE(is_valid(path("logs/a")));
}

TEST_F(HiveFileWithLogs, IsRefusedWhereTheyDoNotApplyUnlessTheUserGivesThemUp) {
  test::spoil(files_.logs[0], 600);
  const std::string hive = put();
  for (const Outcome& outcome : {replay_hive_file(hive, {}), test::patch_hive(hive)}) {
    ASSERT_TRUE(outcome.refusal) << outcome.error;
    EXPECT_EQ(outcome.refusal->reason, Reason::dirty_hive);
  }
  EXPECT_EQ(read_file(hive), files_.primary);
  EXPECT_EQ(read_file(path("SYSTEM.LOG1")), files_.logs[0]);
  HiveFileRequest request;
  request.mode = Mode::patch;
  request.version = {6, 1, 0};
  request.settings = test::default_settings();
  request.dirty_hive = DirtyHive::use_primary;
  const Outcome outcome = patch_hive_file(hive, request);
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  EXPECT_NE(outcome.warnings.back().find("is lost"), std::string::npos);
  EXPECT_FALSE(is_valid(path("SYSTEM.LOG1")));
  const auto lines = test::listing(hive);
  EXPECT_TRUE(std::none_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.starts_with("/Select/First") || line.starts_with("/Select/Second");
  }));
}

TEST_F(HiveFileWithLogs, OfWhichNoneIsMuchTooLargeOrNoFile) {
  const std::string hive = put();
  std::filesystem::resize_file(path("SYSTEM.LOG1"), 1ULL << 40);
  EXPECT_EQ(test::patch_hive(hive).status, Status::failed);
  HiveFileRequest request;
  request.logs = {path("nothing")};
  EXPECT_EQ(replay_hive_file(hive, request).status, Status::failed);
  EXPECT_EQ(read_file(hive), files_.primary);
}

// What is named as a log is written to: it must be one.
TEST_F(HiveFileWithLogs, TakesNothingElseForALog) {
  const std::string hive = path("SYSTEM");
  test::write_file(hive, fixture_hive("nt61.system"));
  const std::string text = file("important.txt", std::string(1000, 'x'));
  hive::Bytes foreign_log = files_.logs[0];
  test::set_rm_id(foreign_log, std::byte{7});
  test::write_file(path("foreign"), foreign_log);
  for (const char* log : {"SYSTEM", "important.txt", "foreign"}) {
    const hive::Bytes before = read_file(path(log));
    HiveFileRequest request = {Mode::patch, {6, 1, 0}, test::default_settings()};
    request.logs = {path(log)};
    const Outcome outcome = patch_hive_file(hive, request);
    EXPECT_EQ(outcome.status, Status::failed) << log;
    EXPECT_NE(outcome.error.find("log"), std::string::npos) << outcome.error;
    EXPECT_EQ(read_file(path(log)), before) << log;
    EXPECT_EQ(read_file(hive), fixture_hive("nt61.system")) << log;
  }
}

// Another guest's log may be one of this hive, too: both come from one template.
TEST_F(HiveFileWithLogs, FollowsNoLinkToALogElsewhere) {
  const std::string hive = put();
  std::filesystem::create_directory(path("elsewhere"));
  for (const char* log : {"SYSTEM.LOG1", "SYSTEM.LOG2"}) {
    std::filesystem::rename(path(log), path("elsewhere") + "/" + log);
    std::filesystem::create_symlink(std::string("elsewhere/") + log, path(log));
  }
  const Outcome outcome = test::patch_hive(hive);
  EXPECT_EQ(outcome.status, Status::refused);
  EXPECT_EQ(code(outcome.refusal->reason), "dirty-hive");
  EXPECT_TRUE(is_valid(path("elsewhere") + "/SYSTEM.LOG1"));
  EXPECT_EQ(read_file(hive), files_.primary);
}

TEST_F(HiveFileWithLogs, LeavesTheOtherNamesOfALogAlone) {
  const std::string hive = put();
  std::filesystem::create_hard_link(path("SYSTEM.LOG1"), path("snapshot"));
  const Outcome planned = test::patch_hive(hive, Mode::plan);
  EXPECT_EQ(planned.status, Status::pending);
  EXPECT_NE(planned.warnings.back().find("hard link"), std::string::npos);
  EXPECT_EQ(test::patch_hive(hive).status, Status::failed);
  EXPECT_EQ(read_file(hive), files_.primary);
  EXPECT_EQ(read_file(path("snapshot")), files_.logs[0]);
}

TEST_F(HiveFileWithLogs, IsNotTouchedIfALogCannotBeMadeInvalid) {
  const std::string hive = put();
  ASSERT_EQ(::chmod(path(".").c_str(), 0777), 0);
  ASSERT_EQ(::chmod(path("SYSTEM.LOG1").c_str(), 0444), 0);
  ASSERT_TRUE(::geteuid() != 0 || ::chown(hive.c_str(), 65534, 65534) == 0);
  EXPECT_EQ(test::in_child_of_nobody([&] {
              const Outcome outcome = test::patch_hive(hive);
              return outcome.status == Status::failed &&
                             outcome.error.find("SYSTEM.LOG1: Permission denied") !=
                                 std::string::npos
                         ? 1
                         : 2;
            }),
            1);
  EXPECT_EQ(read_file(hive), files_.primary);
}

TEST_F(HiveFileWithLogs, CountsAndInvalidatesThoseBesideItToo) {
  std::filesystem::create_directory(path("given"));
  put("given/LOG1", "SYSTEM.LOG2");
  test::HvleRecorder recorder(fixture_hive("nt61.system"));
  for (int i = 1; i <= 9; ++i) recorder.commit(changed(recorder.state(), fmt::format("V{}", i)));
  recorder.reconcile();  // stale, with higher numbers than the one given
  test::write_file(path("SYSTEM.LOG2"), recorder.files().logs[0]);
  HiveFileRequest request = {Mode::patch, {6, 1, 0}, test::default_settings()};
  request.logs = {path("given/LOG1"), path("given/LOG1")};
  const Outcome outcome = patch_hive_file(path("SYSTEM"), request);
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  const std::vector<hive::Bytes>& logs = recorder.files().logs;
  EXPECT_GT(test::load_u32(read_file(path("SYSTEM")), 4), test::load_u32(logs[0], 4) + 8);
  EXPECT_FALSE(is_valid(path("SYSTEM.LOG2")));
  EXPECT_FALSE(is_valid(path("given/LOG1")));
}

TEST_F(HiveFileWithLogs, IsNotReplayedToWhatIsNotSound) {
  test::HvleRecorder recorder(fixture_hive("nt61.system"));
  hive::Bytes damaged = fixture_hive("nt61.system");
  test::store_u32(damaged, 4096 + 32, 0x80000000);
  recorder.commit(damaged);
  files_ = recorder.files();
  const std::string hive = put();
  const Outcome outcome = replay_hive_file(hive, {});
  ASSERT_TRUE(outcome.refusal) << outcome.error;
  EXPECT_EQ(outcome.refusal->reason, Reason::damaged_hive);
  EXPECT_EQ(read_file(hive), files_.primary);
  EXPECT_EQ(read_file(path("SYSTEM.LOG1")), files_.logs[0]);
}

// A run that is stopped between the hive and its logs: the hive is safe by its number, and whoever
// comes next makes the logs invalid.
TEST_F(HiveFileWithLogs, AreMadeInvalidByTheNextRunIfTheirOwnWasStopped) {
  const std::string hive = put();
  ASSERT_EQ(test::patch_hive(hive).status, Status::patched);
  const hive::Bytes patched = read_file(hive);
  const auto stop_before_the_logs = [&] {
    test::write_file(path("SYSTEM.LOG1"), files_.logs[0]);
    test::write_file(unfinished_path(hive), {});
  };
  const auto expect_finished = [&](const Outcome& outcome) {
    EXPECT_EQ(outcome.status, Status::unchanged) << outcome.error;
    EXPECT_FALSE(is_valid(path("SYSTEM.LOG1")));
    EXPECT_FALSE(std::filesystem::exists(unfinished_path(hive)));
    EXPECT_EQ(read_file(hive), patched);
  };
  stop_before_the_logs();
  EXPECT_EQ(test::patch_hive(hive, Mode::plan).status, Status::unchanged);
  EXPECT_TRUE(is_valid(path("SYSTEM.LOG1")));
  expect_finished(test::patch_hive(hive));
  stop_before_the_logs();
  expect_finished(replay_hive_file(hive, {}));
}

// As Windows leaves them beside every hive.
TEST_F(HiveFileWithLogs, StayWhereNobodyWasStopped) {
  const std::string hive = put();
  ASSERT_EQ(test::patch_hive(hive).status, Status::patched);
  test::write_file(path("SYSTEM.LOG1"), files_.logs[0]);
  EXPECT_EQ(test::patch_hive(hive).status, Status::unchanged);
  EXPECT_EQ(read_file(path("SYSTEM.LOG1")), files_.logs[0]);
}

// Windows has had the hive since: what its logs hold is needed.
TEST_F(HiveFileWithLogs, StayForAHiveThatIsDirtyWhoeverWasStopped) {
  const std::string hive = put();
  ASSERT_EQ(test::patch_hive(hive).status, Status::patched);
  test::HvleRecorder later(read_file(hive));
  later.commit(changed(later.state(), "Third"));
  test::write_file(hive, later.files().primary);
  test::write_file(path("SYSTEM.LOG1"), later.files().logs[0]);
  test::write_file(unfinished_path(hive), {});
  EXPECT_EQ(test::patch_hive(hive).status, Status::unchanged);
  EXPECT_EQ(read_file(path("SYSTEM.LOG1")), later.files().logs[0]);
}

}  // namespace
}  // namespace kvmnet

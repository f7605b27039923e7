// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "src/support/fd.h"
#include "src/support/temp_dir.h"
#include "tests/support/log_writer.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/apply/windows_guest.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet {
namespace {

using test::fixture_hive;
using test::read_file;
using test::Release;
using Names = std::vector<std::string>;

Outcome patch(const std::string& path, Mode mode = Mode::patch,
              WindowsVersion version = {6, 1, 0}) {
  return patch_hive_file(path, {mode, version, test::default_settings()});
}

class HiveFile : public test::DiskTest {
 protected:
  std::string fixture(const std::string& name, const std::string& as = "SYSTEM") {
    std::string where = path(as);
    test::write_file(where, fixture_hive(name));
    return where;
  }
  // Patching must refuse with `code`, and touch nothing.
  void expect_refused(const std::string& hive, const char* expected,
                      WindowsVersion version = {6, 1, 0}) {
    const hive::Bytes before = read_file(hive);
    const Outcome outcome = patch(hive, Mode::patch, version);
    EXPECT_EQ(outcome.status, Status::refused) << outcome.error;
    ASSERT_TRUE(outcome.refusal);
    EXPECT_EQ(code(outcome.refusal->reason), expected);
    EXPECT_EQ(read_file(hive), before);
    EXPECT_EQ(names(), Names{"SYSTEM"});
  }
};

class HiveFileOf : public HiveFile, public testing::WithParamInterface<Release> {};

TEST_P(HiveFileOf, IsPatchedOnceAndThenUnchanged) {
  const std::string hive = fixture(GetParam().system);
  const auto before = test::listing(hive);
  const Outcome first = patch(hive, Mode::patch, GetParam().version);
  EXPECT_EQ(first.status, Status::patched) << first.error;
  EXPECT_EQ(first.image, hive);
  EXPECT_FALSE(first.edits.empty());
  const auto after = test::listing(hive);
  EXPECT_GE(test::lines_added(before, after).size(), first.edits.size());
  EXPECT_TRUE(test::lines_added(after, before).empty());  // nothing is gone, nothing was set before

  const hive::Bytes bytes = read_file(hive);
  const Outcome second = patch(hive, Mode::patch, GetParam().version);
  EXPECT_EQ(second.status, Status::unchanged);
  EXPECT_TRUE(second.edits.empty());
  EXPECT_EQ(read_file(hive), bytes);
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_P(HiveFileOf, IsNotTouchedInPlanMode) {
  const std::string hive = fixture(GetParam().system);
  const Outcome outcome = patch(hive, Mode::plan, GetParam().version);
  EXPECT_EQ(outcome.status, Status::pending);
  EXPECT_FALSE(outcome.edits.empty());
  EXPECT_EQ(read_file(hive), fixture_hive(GetParam().system));
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_P(HiveFileOf, GetsNoServiceWithoutItsScript) {
  const std::string hive = fixture(GetParam().system);
  patch(hive, Mode::patch, GetParam().version);
  for (const std::string& line : test::listing(hive))
    EXPECT_EQ(line.find("kvmnet"), std::string::npos) << line;
}

INSTANTIATE_TEST_SUITE_P(HiveFile, HiveFileOf, testing::ValuesIn(test::releases),
                         [](const auto& instance) { return std::string(instance.param.label); });

TEST_F(HiveFile, KeepsItsModeAndOwner) {
  const mode_t before = ::umask(0);
  for (const mode_t mode : {0600U, 0640U, 0444U, 0666U}) {
    const std::string hive = fixture("nt61.system");
    const bool root = ::geteuid() == 0;
    ASSERT_TRUE(!root || ::chown(hive.c_str(), 1234, 5678) == 0);
    ASSERT_EQ(::chmod(hive.c_str(), mode), 0);
    EXPECT_EQ(patch(hive).status, Status::patched);
    struct stat st {};
    ASSERT_EQ(::stat(hive.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, mode);
    EXPECT_EQ(st.st_uid, root ? 1234U : ::geteuid());
    EXPECT_EQ(st.st_gid, root ? 5678U : ::getegid());
    ASSERT_EQ(::unlink(hive.c_str()), 0);
  }
  ::umask(before);
}

TEST_F(HiveFile, IsReplacedAsAWhole) {
  const std::string hive = fixture("nt61.system");
  const Fd open_before = open_file(hive, O_RDONLY);
  ASSERT_EQ(patch(hive).status, Status::patched);
  // Who had it open still has the old one, whole.
  EXPECT_EQ(read_whole(open_before), fixture_hive("nt61.system"));
  EXPECT_NE(read_file(hive), fixture_hive("nt61.system"));
}

TEST_F(HiveFile, IsTheOneThatALinkNames) {
  fixture("nt61.system");
  std::filesystem::create_directory(path("sub"));
  std::filesystem::create_symlink("../SYSTEM", path("sub/link"));
  EXPECT_EQ(patch(path("sub/link")).status, Status::patched);
  EXPECT_TRUE(std::filesystem::is_symlink(path("sub/link")));
  EXPECT_NE(read_file(path("SYSTEM")), fixture_hive("nt61.system"));
  EXPECT_EQ(names(), (Names{"SYSTEM", "sub"}));
}

TEST_F(HiveFile, IsRefusedWhenItIsNotClean) {
  const std::string hive = path("SYSTEM");
  const hive::Bytes& good = fixture_hive("nt61.system");
  test::write_file(hive, test::with_dirty_header(good));
  expect_refused(hive, "dirty-hive");
  hive::Bytes cut = good;
  cut.resize(cut.size() - 4096);
  for (const hive::Bytes& damaged : {cut, hive::Bytes(), hive::Bytes(8192)}) {
    test::write_file(hive, damaged);
    expect_refused(hive, "damaged-hive");
  }
}

TEST_F(HiveFile, IsRefusedWhenHivexWouldDamageIt) {
  const std::string hive = fixture("nt61.system");
  test::merge(hive, "[\\ControlSet001\\services\\Tcpip\\Parameters]\n\"Empty\"=hex(3):\n");
  expect_refused(hive, "hive-not-editable");
  // Also foretold.
  const Outcome plan = patch(hive, Mode::plan);
  ASSERT_TRUE(plan.refusal);
  EXPECT_EQ(code(plan.refusal->reason), "hive-not-editable");
}

TEST_F(HiveFile, IsRefusedForWhatThePlannerRefuses) {
  const std::string hive = fixture("no-tcpip.system");
  expect_refused(hive, "no-service-key", {10, 0, 19045});
  expect_refused(hive, "unsupported-version", {4, 0, 0});
  test::write_file(hive, fixture_hive("nt61.software"));
  expect_refused(hive, "no-control-set");
}

TEST_F(HiveFile, FailsWhereThereIsNone) {
  std::filesystem::create_directory(path("directory"));
  std::filesystem::create_symlink("nothing", path("dangling"));
  const Names before = names();
  for (const std::string& name : {path("nothing"), path("directory"), path("dangling"),
                                  std::string("/dev/null"), std::string()}) {
    const Outcome outcome = patch(name);
    EXPECT_EQ(outcome.status, Status::failed) << name;
    EXPECT_NE(outcome.error, "");
    EXPECT_EQ(outcome.image, name);
  }
  EXPECT_EQ(names(), before);
}

TEST_F(HiveFile, DoesNotWaitForAFifo) {
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0666), 0);
  ASSERT_EQ(::chmod(path("fifo").c_str(), 0666), 0);
  const int answer = test::in_child_of_nobody([&] {
    ::alarm(2);
    return patch(path("fifo")).status == Status::failed ? 1 : 2;
  });
  EXPECT_EQ(answer, 1);  // 99: the alarm
}

TEST_F(HiveFile, IsUnchangedWhereItsDirectoryCannotBeWritten) {
  const std::string hive = fixture("nt61.system");
  ASSERT_EQ(::chmod(path(".").c_str(), 0555), 0);
  const int answer =
      test::in_child_of_nobody([&] { return patch(hive).status == Status::failed ? 1 : 2; });
  ASSERT_EQ(::chmod(path(".").c_str(), 0755), 0);
  EXPECT_EQ(answer, 1);
  EXPECT_EQ(read_file(hive), fixture_hive("nt61.system"));
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_F(HiveFile, IsUnchangedWhereItsOwnerCannotBeKept) {
  const std::string hive = fixture("nt61.system");
  ASSERT_EQ(::chmod(path(".").c_str(), 0777), 0);
  const int answer =
      test::in_child_of_nobody([&] { return patch(hive).status == Status::failed ? 1 : 2; });
  ASSERT_EQ(::chmod(path(".").c_str(), 0755), 0);
  // Where we are not root the hive is our own.
  EXPECT_EQ(answer, ::geteuid() == 0 ? 1 : 2);
  EXPECT_EQ(read_file(hive) == fixture_hive("nt61.system"), ::geteuid() == 0);
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_F(HiveFile, IsNotCalledDamagedWhereALimitOfTheSessionStopsTheWork) {
  const std::string hive = fixture("nt61.system");
  const int answer = test::in_child_of_nobody([&] {
    struct rlimit limit {};
    limit.rlim_cur = limit.rlim_max = fixture_hive("nt61.system").size();
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
    const Outcome outcome = patch(hive, Mode::plan);
    return !outcome.refusal && outcome.status == Status::failed &&
                   outcome.error.find("ulimit") != std::string::npos
               ? 1
               : 2;
  });
  EXPECT_EQ(answer, 1);
}

// Of this process and those that it starts: a file system that is full soon.
bool mount_small(const std::string& directory, std::size_t size) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", directory.c_str(), "tmpfs", 0, fmt::format("size={}", size).c_str()) == 0;
}

TEST_F(HiveFile, IsUnchangedWhenItCannotBeWrittenWhole) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount a small file system";
  std::filesystem::create_directory(path("small"));
  const pid_t child = ::fork();
  if (child == 0) {
    const hive::Bytes& before = fixture_hive("nt61.system");
    const std::string hive = path("small/SYSTEM");
    if (!mount_small(path("small"), before.size() + 8192)) ::_exit(3);
    test::write_file(hive, before);
    const Outcome outcome = patch(hive);
    const bool failed = outcome.status == Status::failed &&
                        outcome.error.find("No space left") != std::string::npos;
    const auto files = std::filesystem::directory_iterator(path("small"));
    const bool alone = std::distance(begin(files), end(files)) == 1;
    ::_exit(failed && alone && read_file(hive) == before ? 1 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

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
  const Outcome outcome = patch(hive);
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
  EXPECT_EQ(patch(hive, Mode::plan).status, Status::pending);
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
  for (const Outcome& outcome : {replay_hive_file(hive, {}), patch(hive)}) {
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
  EXPECT_EQ(patch(hive).status, Status::failed);
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

TEST_F(HiveFileWithLogs, LeavesTheOtherNamesOfALogAlone) {
  const std::string hive = put();
  std::filesystem::create_hard_link(path("SYSTEM.LOG1"), path("snapshot"));
  const Outcome planned = patch(hive, Mode::plan);
  EXPECT_EQ(planned.status, Status::pending);
  EXPECT_NE(planned.warnings.back().find("hard link"), std::string::npos);
  EXPECT_EQ(patch(hive).status, Status::failed);
  EXPECT_EQ(read_file(hive), files_.primary);
  EXPECT_EQ(read_file(path("snapshot")), files_.logs[0]);
}

TEST_F(HiveFileWithLogs, IsNotTouchedIfALogCannotBeMadeInvalid) {
  const std::string hive = put();
  ASSERT_EQ(::chmod(path(".").c_str(), 0777), 0);
  ASSERT_EQ(::chmod(path("SYSTEM.LOG1").c_str(), 0444), 0);
  ASSERT_TRUE(::geteuid() != 0 || ::chown(hive.c_str(), 65534, 65534) == 0);
  EXPECT_EQ(test::in_child_of_nobody([&] {
              const Outcome outcome = patch(hive);
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

}  // namespace
}  // namespace kvmnet

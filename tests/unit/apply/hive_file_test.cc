// SPDX-License-Identifier: GPL-2.0-or-later
// A bare hive file that is patched.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "src/support/fd.h"
#include "tests/unit/apply/hive_file_fixture.h"

namespace kvmnet {
namespace {

using test::fixture_hive;
using test::read_file;
using test::Release;
using HiveFile = test::HiveFileTest;
using Names = std::vector<std::string>;

class HiveFileOf : public HiveFile, public testing::WithParamInterface<Release> {};

TEST_P(HiveFileOf, IsPatchedOnceAndThenUnchanged) {
  const std::string hive = fixture(GetParam().system);
  const auto before = test::listing(hive);
  const Outcome first = test::patch_hive(hive, Mode::patch, GetParam().version);
  EXPECT_EQ(first.status, Status::patched) << first.error;
  EXPECT_EQ(first.image, hive);
  EXPECT_FALSE(first.edits.empty());
  const auto after = test::listing(hive);
  EXPECT_GE(test::lines_added(before, after).size(), first.edits.size());
  EXPECT_TRUE(test::lines_added(after, before).empty());  // nothing is gone, nothing was set before

  const hive::Bytes bytes = read_file(hive);
  const Outcome second = test::patch_hive(hive, Mode::patch, GetParam().version);
  EXPECT_EQ(second.status, Status::unchanged);
  EXPECT_TRUE(second.edits.empty());
  EXPECT_EQ(read_file(hive), bytes);
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_P(HiveFileOf, IsNotTouchedInPlanMode) {
  const std::string hive = fixture(GetParam().system);
  const Outcome outcome = test::patch_hive(hive, Mode::plan, GetParam().version);
  EXPECT_EQ(outcome.status, Status::pending);
  EXPECT_FALSE(outcome.edits.empty());
  EXPECT_EQ(read_file(hive), fixture_hive(GetParam().system));
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_P(HiveFileOf, GetsNoServiceWithoutItsScript) {
  const std::string hive = fixture(GetParam().system);
  test::patch_hive(hive, Mode::patch, GetParam().version);
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
    EXPECT_EQ(test::patch_hive(hive).status, Status::patched);
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
  ASSERT_EQ(test::patch_hive(hive).status, Status::patched);
  // Who had it open still has the old one, whole.
  EXPECT_EQ(read_whole(open_before), fixture_hive("nt61.system"));
  EXPECT_NE(read_file(hive), fixture_hive("nt61.system"));
}

TEST_F(HiveFile, IsTheOneThatALinkNames) {
  fixture("nt61.system");
  std::filesystem::create_directory(path("sub"));
  std::filesystem::create_symlink("../SYSTEM", path("sub/link"));
  EXPECT_EQ(test::patch_hive(path("sub/link")).status, Status::patched);
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
  const Outcome plan = test::patch_hive(hive, Mode::plan);
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
    const Outcome outcome = test::patch_hive(name);
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
    return test::patch_hive(path("fifo")).status == Status::failed ? 1 : 2;
  });
  EXPECT_EQ(answer, 1);  // 99: the alarm
}

TEST_F(HiveFile, IsUnchangedWhereItsDirectoryCannotBeWritten) {
  const std::string hive = fixture("nt61.system");
  ASSERT_EQ(::chmod(path(".").c_str(), 0555), 0);
  const int answer = test::in_child_of_nobody(
      [&] { return test::patch_hive(hive).status == Status::failed ? 1 : 2; });
  ASSERT_EQ(::chmod(path(".").c_str(), 0755), 0);
  EXPECT_EQ(answer, 1);
  EXPECT_EQ(read_file(hive), fixture_hive("nt61.system"));
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_F(HiveFile, IsUnchangedWhereItsOwnerCannotBeKept) {
  const std::string hive = fixture("nt61.system");
  ASSERT_EQ(::chmod(path(".").c_str(), 0777), 0);
  const int answer = test::in_child_of_nobody(
      [&] { return test::patch_hive(hive).status == Status::failed ? 1 : 2; });
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
    const Outcome outcome = test::patch_hive(hive, Mode::plan);
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
    const Outcome outcome = test::patch_hive(hive);
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

}  // namespace
}  // namespace kvmnet

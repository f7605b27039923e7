// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "src/support/fd.h"
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

TEST_F(HiveFile, IsUnchangedWhenItCannotBeWrittenWhole) {
  const std::string hive = fixture("nt61.system");
  ASSERT_EQ(::chmod(path(".").c_str(), 0777), 0);
  ASSERT_TRUE(::geteuid() != 0 || ::chown(hive.c_str(), 65534, 65534) == 0);
  const int answer = test::in_child_of_nobody([&] {
    // As on a full disk: the copy in memory has room, the file has not.
    struct rlimit limit {};
    ::signal(SIGXFSZ, SIG_IGN);
    limit.rlim_cur = limit.rlim_max = fixture_hive("nt61.system").size();
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
    return patch(hive).status == Status::failed ? 1 : 2;
  });
  EXPECT_EQ(answer, 1);
  EXPECT_EQ(read_file(hive), fixture_hive("nt61.system"));
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

}  // namespace
}  // namespace kvmnet

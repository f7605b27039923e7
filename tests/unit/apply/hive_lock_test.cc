// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <filesystem>

#include "src/apply/bare_hive.h"
#include "src/support/error.h"
#include "src/support/refusal.h"
#include "tests/unit/apply/hive_file_fixture.h"

namespace kvmnet {
namespace {

using test::patch_hive;
using test::read_file;
using Names = std::vector<std::string>;

class HiveLock : public test::HiveFileTest {
 protected:
  // A descriptor of its own is to flock(2) what another process would be.
  Fd held(const std::string& path, int kind) {
    Fd fd = open_file(path, O_RDONLY);
    EXPECT_EQ(::flock(fd.get(), kind | LOCK_NB), 0);
    return fd;
  }
};

void expect_in_use(const Outcome& outcome) {
  ASSERT_EQ(outcome.status, Status::refused) << outcome.error;
  EXPECT_EQ(code(outcome.refusal->reason), std::string("image-in-use"));
}

TEST_F(HiveLock, OfAnotherRunIsARefusal) {
  const std::string hive = fixture("nt61.system");
  {
    const Fd other = held(hive, LOCK_EX);
    expect_refused(hive, "image-in-use");
    expect_in_use(patch_hive(hive, Mode::plan));
    EXPECT_THROW(check_hive_file(hive, {}), Refused);
  }
  EXPECT_EQ(patch_hive(hive).status, Status::patched);
}

TEST_F(HiveLock, OfAReaderKeepsWritersAwayAndNoReaders) {
  const std::string hive = fixture("nt61.system");
  const Fd other = held(hive, LOCK_SH);
  EXPECT_EQ(patch_hive(hive, Mode::plan).status, Status::pending);
  expect_refused(hive, "image-in-use");
}

TEST_F(HiveLock, IsHeldOnTheOldFileAndOnTheNewOne) {
  const std::string path = fixture("nt61.system");
  const Fd old_file = open_file(path, O_RDONLY);
  {
    BareHive hive(path, {}, disk::Use::write);
    hive.begin_replacing();
    EXPECT_THROW(lock_hive(old_file, path, disk::Use::read), Refused);
    hive.replace({});
    const Fd new_file = open_file(path, O_RDONLY);
    EXPECT_THROW(lock_hive(new_file, path, disk::Use::read), Refused);
  }
  EXPECT_NO_THROW(lock_hive(open_file(path, O_RDONLY), path, disk::Use::write));
}

TEST_F(HiveLock, TellsWhatADeadRunHasLeft) {
  const std::string hive = fixture("nt61.system");
  test::write_file(successor_path(hive), hive::Bytes(100));
  // It is not his who only reads.
  EXPECT_EQ(patch_hive(hive, Mode::plan).status, Status::pending);
  EXPECT_EQ(names(), (Names{"SYSTEM", "SYSTEM.kvmnet-new"}));
  EXPECT_EQ(patch_hive(hive).status, Status::patched);
  EXPECT_EQ(names(), Names{"SYSTEM"});
  // Also where there is nothing to do.
  test::write_file(successor_path(hive), hive::Bytes(100));
  EXPECT_EQ(patch_hive(hive).status, Status::unchanged);
  EXPECT_EQ(names(), Names{"SYSTEM"});
}

TEST_F(HiveLock, LeavesToOthersWhatIsTheirs) {
  const std::string hive = fixture("nt61.system");
  const hive::Bytes before = read_file(hive);
  const std::string successor = successor_path(hive);
  test::write_file(successor, hive::Bytes(100));
  {
    const Fd other = held(successor, LOCK_EX);
    expect_in_use(patch_hive(hive));
  }
  std::filesystem::remove(successor);
  std::filesystem::create_symlink(hive, successor);
  const Outcome outcome = patch_hive(hive);
  EXPECT_EQ(outcome.status, Status::failed);
  EXPECT_NE(outcome.error.find("SYSTEM.kvmnet-new: is in the way"), std::string::npos)
      << outcome.error;
  EXPECT_TRUE(std::filesystem::is_symlink(successor));
  EXPECT_EQ(read_file(hive), before);
}

}  // namespace
}  // namespace kvmnet

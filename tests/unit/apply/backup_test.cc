// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/backup.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "src/apply/patch_guest.h"
#include "src/support/error.h"
#include "tests/unit/apply/windows_guest.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet {
namespace {

namespace fs = std::filesystem;
using test::FakeGuest;
using test::Release;
using Names = std::vector<std::string>;

const std::string config = "/Windows/System32/config/";
constexpr std::uint64_t most_for_a_log = 256 << 20;

// Says of a log that it has another size than it has.
class LyingGuest : public FakeGuest {
 public:
  std::uint64_t log_size = 0;
  std::uint64_t size(const std::string& path) override {
    return path.ends_with(".LOG1") ? log_size : FakeGuest::size(path);
  }
};

// Looks at the host when the first byte in the guest is about to change.
class WatchingGuest : public FakeGuest {
 public:
  std::function<void()> look;
  void make_directory(const std::string& path) override {
    look();
    FakeGuest::make_directory(path);
  }
  void write_at(const std::string& path, std::uint64_t offset,
                std::span<const std::byte> bytes) override {
    look();
    FakeGuest::write_at(path, offset, bytes);
  }
};

// Looks at the host when the guest's file `of` is about to be read into a file of the host.
class WatchedLog : public FakeGuest {
 public:
  std::string of;
  std::function<void()> look;
  void download(const std::string& path, int fd) override {
    if (path == of) look();
    FakeGuest::download(path, fd);
  }
};

class BackupTest : public test::DiskTest {
 protected:
  BackupTest() { fs::create_directory(backups()); }
  std::string backups() const { return path("backups"); }

  // The guest's own files, with its logs in the letter case that Windows uses.
  static FakeGuest::Volume& install(FakeGuest& guest, const Release& release = test::seven) {
    FakeGuest::Volume& volume = guest.add("/dev/sda1");
    test::install(volume, release);
    volume.files[config + "SYSTEM.LOG1"] = std::string("one\0\xff", 5);
    volume.files[config + "SYSTEM.LOG2"] = "";
    volume.files[config + "SAM.LOG1"] = "of another hive";
    return volume;
  }

  Outcome patch(FakeGuest& guest, Mode mode = Mode::patch) const {
    Outcome outcome;
    patch_into(guest, outcome, backups(), mode);
    return outcome;
  }
  static void patch_into(FakeGuest& guest, Outcome& outcome, const std::string& directory,
                         Mode mode = Mode::patch) {
    const GuestRequest request = {mode, to_patch(test::default_settings()), "single", directory,
                                  "w7.img"};
    PhaseClock clock({}, outcome.phases);
    patch_guest(guest, request, clock, outcome);
  }

  // Patching must fail, touch nothing in the guest and leave nothing behind; what it says.
  std::string failure(FakeGuest& guest, const std::string& directory) const {
    const auto before = guest.volume("/dev/sda1").files;
    Outcome outcome;
    std::string message;
    try {
      patch_into(guest, outcome, directory);
      ADD_FAILURE() << "no error";
    } catch (const Error& e) {
      message = e.what();
    } catch (const Refused& e) {
      message = e.refusal.message;
    }
    EXPECT_NE(outcome.status, Status::patched);
    EXPECT_EQ(outcome.backup, "");
    EXPECT_EQ(guest.changes(), Names{"mount-rw /dev/sda1"});
    EXPECT_EQ(guest.volume("/dev/sda1").files, before);
    EXPECT_TRUE(fs::is_empty(backups()));
    return message;
  }

  static Names names_in(const std::string& directory) {
    Names names;
    for (const auto& entry : fs::directory_iterator(directory))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
};

mode_t mode_of(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

TEST_F(BackupTest, NeedsItsDirectory) {
  FakeGuest guest;
  install(guest);
  const std::string missing = path("no/such");
  const std::string message = failure(guest, missing);
  EXPECT_NE(message.find(missing + ": No such file or directory"), std::string::npos) << message;
  EXPECT_NE(message.find("create it first"), std::string::npos) << message;
  EXPECT_FALSE(fs::exists(path("no")));

  FakeGuest other;
  install(other);
  EXPECT_NE(failure(other, file("file", "x")).find("Not a directory; a backup needs"),
            std::string::npos);
}

TEST_F(BackupTest, NeedsADirectoryThatItMayWriteTo) {
  fs::permissions(backups(), static_cast<fs::perms>(0555));
  FakeGuest guest;
  install(guest);
  EXPECT_EQ(test::in_child_of_nobody([&] {
              try {
                Backup(backups(), "w7.img");
              } catch (const Error& e) {
                return std::string(e.what()).find("Permission denied") == std::string::npos ? 2 : 1;
              }
              return 0;
            }),
            1);
  EXPECT_TRUE(fs::is_empty(backups()));
}

TEST_F(BackupTest, RefusesLogsThatNoWindowsWrites) {
  LyingGuest guest;
  install(guest);
  guest.log_size = most_for_a_log + 1;
  EXPECT_NE(failure(guest, backups()).find("SYSTEM.LOG1: is larger"), std::string::npos);
  for (const bool junction : {true, false}) {
    FakeGuest other;
    FakeGuest::Volume& volume = install(other);
    volume.files.erase(config + "SYSTEM.LOG1");
    (junction ? volume.others : volume.directories).insert(config + "System.log1");
    EXPECT_NE(failure(other, backups()).find("System.log1: a log of the hive is no plain file"),
              std::string::npos);
  }
}

TEST_F(BackupTest, TakesALogOfTheLargestSize) {
  LyingGuest guest;
  install(guest);
  guest.log_size = most_for_a_log;
  EXPECT_EQ(patch(guest).status, Status::patched);
}

TEST_F(BackupTest, FailsWholeWhereTheHostsDiskIsFull) {
  ASSERT_EQ(::chmod(backups().c_str(), 0777), 0);
  // Room for nothing, for less than the hive, and for the hive but not for its log.
  for (const rlim_t room : {0UL, 4096UL, 1UL << 20}) {
    EXPECT_EQ(test::in_child_of_nobody([&] {
                FakeGuest guest;
                install(guest).files[config + "SYSTEM.LOG1"] = std::string(2 << 20, 'x');
                // Now, because the fixtures are files, too.
                const hive::Bytes hive =
                    test::bytes_of(guest.volume("/dev/sda1").files.at(config + "SYSTEM"));
                guest.mount("/dev/sda1", guestfs::Access::read_only);
                ::signal(SIGXFSZ, SIG_IGN);
                const rlimit limit = {room, room};
                if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 3;
                try {
                  Backup(backups(), "w7.img").save(guest, config + "SYSTEM", hive);
                } catch (const Error&) {
                  return fs::is_empty(backups()) ? 1 : 2;
                }
                return 0;
              }),
              1)
        << room;
  }
}

TEST_F(BackupTest, HasTheHiveAsItWasAndTheLogs) {
  FakeGuest guest;
  FakeGuest::Volume& volume = install(guest);
  const auto before = volume.files;
  const Outcome outcome = patch(guest);
  EXPECT_EQ(outcome.status, Status::patched);
  EXPECT_EQ(outcome.backup, backups() + "/w7.img");
  EXPECT_EQ(names_in(backups()), Names{"w7.img"});
  EXPECT_EQ(names_in(outcome.backup), (Names{"SYSTEM", "SYSTEM.LOG1", "SYSTEM.LOG2"}));
  for (const char* name : {"SYSTEM", "SYSTEM.LOG1", "SYSTEM.LOG2"})
    EXPECT_EQ(test::text_of(outcome.backup + "/" + name) == before.at(config + name), true) << name;
  EXPECT_NE(volume.files.at(config + "SYSTEM"), before.at(config + "SYSTEM"));
}

TEST_F(BackupTest, FindsTheLogOfEachWindowsInAnyLetterCase) {
  FakeGuest guest;
  FakeGuest::Volume& volume = guest.add("/dev/sda1");
  const std::string old_config = "/WINDOWS/system32/config/";
  volume.files[old_config + "software"] = test::text_of(test::fixture_hive("nt51.software"));
  volume.files[old_config + "system"] = test::text_of(test::fixture_hive("nt51.system"));
  volume.files[old_config + "system.LOG"] = "log";
  const Outcome outcome = patch(guest);
  EXPECT_EQ(names_in(outcome.backup), (Names{"SYSTEM", "SYSTEM.LOG"}));
  EXPECT_EQ(test::text_of(outcome.backup + "/SYSTEM.LOG"), "log");
}

TEST_F(BackupTest, IsThereBeforeTheGuestChanges) {
  for (const Release* release : {&test::releases[0], &test::ten}) {
    WatchingGuest guest;
    const auto before = install(guest, *release).files;
    bool looked = false;
    guest.look = [&] {
      const std::string directory = backups() + "/" + names_in(backups()).back();
      EXPECT_EQ(test::text_of(directory + "/SYSTEM") == before.at(config + "SYSTEM"), true);
      EXPECT_EQ(names_in(directory).size(), 3U);
      looked = true;
    };
    EXPECT_EQ(patch(guest).status, Status::patched);
    EXPECT_TRUE(looked);
  }
}

// A run that is killed there leaves nothing that looks whole.
TEST_F(BackupTest, HasItsNameOnlyWhenAllIsInIt) {
  WatchedLog guest;
  install(guest);
  guest.of = config + "SYSTEM.LOG2";
  std::set<Names> seen;  // the guest's logs are read before the backup and after it, too
  guest.look = [&] { seen.insert(names_in(backups())); };
  patch(guest);
  EXPECT_EQ(seen.count({"w7.img.kvmnet-unfinished"}), 1U);
  EXPECT_EQ(names_in(backups()), Names{"w7.img"});
}

TEST_F(BackupTest, IsPrivateWhateverTheUmask) {
  for (const mode_t mask : {0U, 022U, 0777U}) {
    FakeGuest guest;
    install(guest);
    const mode_t old = ::umask(mask);
    const Outcome outcome = patch(guest);
    ::umask(old);
    EXPECT_EQ(mode_of(outcome.backup), 0700U) << std::oct << mask;
    for (const std::string& name : names_in(outcome.backup))
      EXPECT_EQ(mode_of(outcome.backup + "/" + name), 0600U) << name << std::oct << mask;
  }
}

TEST_F(BackupTest, IsPrivateFromTheFirstMoment) {
  const mode_t old = ::umask(0);
  Backup backup(backups(), "w7.img");
  ::umask(old);
  EXPECT_EQ(mode_of(backup.keep()), 0700U);
}

TEST_F(BackupTest, NeverTouchesAnEarlierOne) {
  fs::create_directory(backups() + "/w7.img");
  fs::create_symlink("nowhere", backups() + "/w7.img.1");
  file("backups/w7.img.2", "precious");
  for (const char* expected : {"/w7.img.3", "/w7.img.4"}) {
    FakeGuest guest;
    install(guest);
    EXPECT_EQ(patch(guest).backup, backups() + expected);
  }
  EXPECT_TRUE(fs::is_empty(backups() + "/w7.img"));
  EXPECT_EQ(test::text_of(backups() + "/w7.img.2"), "precious");
  EXPECT_EQ(names_in(backups()), (Names{"w7.img", "w7.img.1", "w7.img.2", "w7.img.3", "w7.img.4"}));
}

TEST_F(BackupTest, GoesWhereThePatchFails) {
  FakeGuest counting;
  install(counting);
  fs::create_directory(path("counting"));
  Outcome ignored;
  patch_into(counting, ignored, path("counting"));
  for (std::size_t n = 0; n < counting.calls().size(); ++n) {
    FakeGuest guest;
    install(guest);
    guest.fail_at(n);
    Outcome outcome;
    EXPECT_ANY_THROW(patch_into(guest, outcome, backups())) << counting.calls()[n];
    EXPECT_EQ(outcome.backup, "") << counting.calls()[n];
    EXPECT_TRUE(fs::is_empty(backups())) << counting.calls()[n];
  }
  FakeGuest guest;
  install(guest).garble_writes = true;
  EXPECT_THROW(patch(guest), Error);
  EXPECT_TRUE(fs::is_empty(backups()));
}

TEST_F(BackupTest, IsMadeOnlyWhereSomethingIsPatched) {
  FakeGuest guest;
  install(guest);
  EXPECT_EQ(patch(guest, Mode::plan).backup, "");
  guest.unmount();
  Outcome outcome;
  patch_into(guest, outcome, "");
  EXPECT_EQ(outcome.status, Status::patched);
  EXPECT_EQ(outcome.backup, "");
  guest.unmount();
  const Outcome again = patch(guest);
  EXPECT_EQ(again.status, Status::unchanged);
  EXPECT_EQ(again.backup, "");
  EXPECT_EQ(names(), Names{"backups"});
  EXPECT_TRUE(fs::is_empty(backups()));
}

}  // namespace
}  // namespace kvmnet

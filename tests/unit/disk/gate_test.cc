// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/gate.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "src/disk/qemu_commit.h"
#include "src/disk/served_disk.h"
#include "src/support/error.h"
#include "src/support/temp_dir.h"
#include "tests/unit/disk/commit_fixture.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using test::text_of;

// Far longer than a program takes to come to its gate.
constexpr auto long_enough = std::chrono::milliseconds(300);

class GateTest : public CommitTest {
 protected:
  // An overlay with what write_changes() writes, over an image of that format.
  std::string overlay_over(const std::string& image, const std::string& format) {
    const std::string overlay = path("overlay");
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", format, overlay});
    write_changes(overlay, "qcow2");
    return overlay;
  }

  const TempDir gates_;
};

TEST_F(GateTest, ACommitThatWasStartedDoesNothingBeforeItIsToBeDone) {
  for (const Format format : {Format::raw, Format::qcow2}) {
    const std::string name(to_string(format));
    const std::string now = image("now", name);
    const std::string then = path("then");
    const std::string before = text_of(now);
    QemuCommit commit(overlay_over(now, name), then, format);
    commit.start(now, gates_.path());
    std::this_thread::sleep_for(long_enough);
    EXPECT_EQ(text_of(now) == before, true) << name;
    fs::rename(now, then);  // it is to be done under another name
    EXPECT_FALSE(commit.write()) << "space is lost";
    EXPECT_TRUE(is_after(then, name)) << name;
    fs::remove(then);
  }
}

TEST_F(GateTest, OfAStarterThatIsKilledNothingIsDone) {
  const std::string path = image("disk", "raw");
  const std::string overlay = overlay_over(path, "raw");
  const std::string before = text_of(path);
  for (int round = 0; round < 5; ++round) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      QemuCommit commit(overlay, path, Format::raw);
      const TempDir gates;
      commit.start(path, gates.path());
      std::this_thread::sleep_for(long_enough / 3);
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(pid, nullptr, 0);
  }
  std::this_thread::sleep_for(long_enough);
  EXPECT_EQ(text_of(path) == before, true);
}

TEST_F(GateTest, ACommitThatIsNotDoneLeavesNothing) {
  const std::string path = image("disk", "qcow2");
  const std::string before = text_of(path);
  {
    QemuCommit commit(overlay_over(path, "qcow2"), path, Format::qcow2);
    commit.start(path, gates_.path());
  }
  EXPECT_EQ(text_of(path) == before, true);
  EXPECT_TRUE(fs::is_empty(gates_.path()));
}

TEST_F(GateTest, WhatAProgramThatCannotDoItSaysIsTold) {
  const std::string path = image("disk", "raw");
  QemuCommit commit(overlay_over(path, "raw"), this->path("nowhere"), Format::raw);
  commit.start(path, gates_.path());
  try {
    commit.write();
    ADD_FAILURE() << "there is no such file";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("No such file"), std::string::npos) << e.what();
  }
}

TEST_F(GateTest, IsOfNoUseForAProgramThatHasEnded) {
  const Gate gate(gates_.path(), "gate");
  Running program({"true"});
  EXPECT_FALSE(gate.open(program));
  EXPECT_EQ(program.wait().status, 0);
}

// As the kernel does where memory is short: they had done nothing, and others can do it.
TEST_F(GateTest, ProgramsThatWereKilledWhileTheyWaitedAreStartedAgain) {
  for (const char* victim : {"commit", "check"}) {
    const std::string path = image("disk", "qcow2");
    QemuCommit commit(overlay_over(path, "qcow2"), path, Format::qcow2);
    commit.start(path, gates_.path());
    const std::string pattern = std::string("events=") + gates_.path() + "/" + victim;
    ASSERT_EQ(run({"pkill", "-KILL", "-f", pattern}).status, 0) << victim;
    std::this_thread::sleep_for(long_enough);
    EXPECT_FALSE(commit.write()) << victim;
    EXPECT_TRUE(is_after(path, "qcow2")) << victim;
    fs::remove(path);
  }
}

// Where others can write, Landlock holds for the programs.
TEST_F(GateTest, InADirectoryOfOthersAnImageIsCommittedUnderItsNewName) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs files of two users";
  for (const char* format : {"raw", "qcow2"}) {
    const std::string now = image("now", format);
    const std::string then = path("then");
    ASSERT_EQ(::chown(path("").c_str(), 1234, 0), 0);
    QemuCommit commit(overlay_over(now, format), then,
                      std::string(format) == "raw" ? Format::raw : Format::qcow2);
    commit.start(now, gates_.path());
    fs::rename(now, then);
    EXPECT_FALSE(commit.write()) << format;
    EXPECT_TRUE(is_after(then, format)) << format;
    fs::remove(then);
    ASSERT_EQ(::chown(path("").c_str(), 0, 0), 0);
  }
}

TEST_F(GateTest, ItsDirectoryMayHaveAnyName) {
  const std::string directory = gates_.path() + "/a,b c";
  fs::create_directory(directory);
  const std::string path = image("disk", "raw");
  QemuCommit commit(overlay_over(path, "raw"), path, Format::raw);
  commit.start(path, directory);
  commit.write();
  EXPECT_TRUE(is_after(path, "raw"));
}

// The overlay of a patch is made while its server starts.
TEST_F(GateTest, AServerThatWaitsOpensNothingBeforeItsFirstCall) {
  const std::string path = this->path("late");
  const std::vector<std::string> options = {image_options(path, Format::raw)};
  file("late", "");
  for (const bool confined : {true, false}) {
    const ServerStart how = {gates_.path(), true};
    const auto disk =
        confined ? std::make_unique<ServedDisk>(
                       options.front(), ServedDisk::Writes::kept,
                       std::vector<landlock::Rule>{{path, landlock::Access::read_write}}, how)
                 : ServedDisk::unconfined(options.front(), ServedDisk::Writes::kept, how);
    std::this_thread::sleep_for(long_enough);
    fs::resize_file(path, confined ? 1 << 20 : 2 << 20);
    EXPECT_EQ(disk->size(), confined ? 1U << 20 : 2U << 20);
  }
}

}  // namespace
}  // namespace kvmnet::disk

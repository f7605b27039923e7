// SPDX-License-Identifier: GPL-2.0-or-later
// The user's own work at the first boot.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;

const Lines ten_sets = {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal"};
const Lines nothing_but_reports = {"firstboot-01.log", "firstboot-02.log", "firstboot-before.txt",
                                   "firstboot.log",    "firstboot.ran",    "firstboot.result"};

SettingOptions with(std::vector<UserWork> work) {
  SettingOptions options;
  options.work = std::move(work);
  return options;
}

// Two pieces of work, which write down that they run: the second what it finds of the first.
const std::vector<UserWork> two = {
    work_of_command("echo first>>C:\\ran.txt& exit /b 7"),
    work_of_script("second.cmd", "@echo off\necho out of second\necho second>>C:\\ran.txt\n")};

// What the work has written, in its order.
std::string ran(const Machine& machine) {
  return machine.text_of_file("C:\\ran.txt");
}

TEST(FirstBootWork, RunsInItsOrderAfterTheSettingsAndItsExitCodesAreNoted) {
  Machine machine(patch(ten, with(two)), "10.0.19045 client");
  machine.boot();
  EXPECT_EQ(machine.sets(), ten_sets);
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_EQ(machine.result().work,
            (Lines{"begun command", "exit 7", "begun second.cmd", "exit 0"}));
  EXPECT_EQ(machine.text_of_file("C:\\windows\\kvmnet\\firstboot-02.log"), "out of second\r\n");
  EXPECT_FALSE(machine.has_service());
  EXPECT_EQ(machine.files(), nothing_but_reports);
  machine.boot();
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
}

TEST(FirstBootWork, IsNotRepeatedWhereTheSettingsAre) {
  Machine machine(patch(ten, with(two)), "10.0.19045 client");
  machine.play("fail 1 1 5 set global autotuninglevel\n");
  machine.boot();
  EXPECT_EQ(machine.result().status, "retry");
  machine.boot();
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
  EXPECT_EQ(machine.result().work.size(), 4U);
  EXPECT_EQ(machine.files(), nothing_but_reports);
}

TEST(FirstBootWork, ThatLosesItsPowerIsNotBegunAgainAndTheNextGoesOn) {
  const UserWork hangs =
      work_of_command("echo first>>C:\\ran.txt& %SystemRoot%\\System32\\ping -n 300 127.0.0.1");
  Machine machine(patch(ten, with({hangs, two.at(1)})), "10.0.19045 client");
  machine.boot_and_lose_power_when([&] { return ran(machine).ends_with("\n"); });
  machine.boot();
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_EQ(machine.result().work, (Lines{"begun command", "begun second.cmd", "exit 0"}));
  EXPECT_EQ(machine.files(), nothing_but_reports);
}

// A restart that work begins comes some seconds after the work has ended.
TEST(FirstBootWork, ThatRestartsWindowsByItselfLosesNothingOfWhatFollows) {
  const UserWork restarts = work_of_command("echo first>>C:\\ran.txt");
  Machine machine(patch(ten, with({restarts, two.at(1)})), "10.0.19045 client");
  machine.boot_and_lose_power_when([&] {
    return machine.log().find("code 0\r\n") != std::string::npos && ran(machine).ends_with("\n");
  });
  EXPECT_EQ(ran(machine), "first\r\n");
  machine.boot();
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
  EXPECT_EQ(machine.result().status, "done");
}

TEST(FirstBootWork, ThatEndsWith1641LetsWhatFollowsBeginAtTheNextBoot) {
  const UserWork restarts = work_of_command("echo first>>C:\\ran.txt& exit /b 1641");
  Machine machine(patch(ten, with({restarts, two.at(1)})), "10.0.19045 client");
  machine.boot();
  EXPECT_EQ(ran(machine), "first\r\n");
  EXPECT_EQ(machine.result().status, "retry");
  EXPECT_EQ(machine.result().work, (Lines{"begun command", "exit 1641"}));
  EXPECT_TRUE(machine.has_service());
  machine.boot();
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_EQ(machine.files(), nothing_but_reports);
}

TEST(FirstBootWork, ThatCannotBeNotedIsNotBegun) {
  Machine machine(patch(ten, with(two)), "10.0.19045 client");
  std::filesystem::create_directory(machine.host_file("kvmnet/firstboot.ran"));
  machine.boot();
  EXPECT_EQ(machine.sets(), ten_sets);
  EXPECT_EQ(ran(machine), "");
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_EQ(machine.result().work, Lines());
  EXPECT_NE(machine.log().find("not begun"), std::string::npos) << machine.log();
  EXPECT_FALSE(machine.has_service());
  EXPECT_FALSE(machine.has_script());
}

TEST(FirstBootWork, RunsThoughItsLogCannotBeWritten) {
  Machine machine(patch(ten, with(two)), "10.0.19045 client");
  std::filesystem::create_directory(machine.host_file("kvmnet/firstboot-01.log"));
  machine.boot();
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
  EXPECT_EQ(machine.result().work,
            (Lines{"begun command", "exit 7", "begun second.cmd", "exit 0"}));
}

TEST(FirstBootWork, ThatEndsWith3010RestartsWindowsOnceAfterAllWork) {
  const UserWork wants_restart = work_of_command("echo first>>C:\\ran.txt& exit /b 3010");
  Machine machine(patch(ten, with({wants_restart, two.at(1)})), "10.0.19045 client");
  machine.stand_in("shutdown.exe", "");
  machine.boot();
  EXPECT_EQ(ran(machine), "first\r\nsecond\r\n");
  EXPECT_EQ(machine.result().work,
            (Lines{"begun command", "exit 3010", "begun second.cmd", "exit 0"}));
  EXPECT_EQ(machine.calls_of("shutdown.exe"), Lines{"0 /r /t 20"});
  EXPECT_EQ(machine.files(), nothing_but_reports);
  machine.boot();
  EXPECT_EQ(machine.calls_of("shutdown.exe").size(), 1U);
}

TEST(FirstBootWork, ThatLeavesAProgramRunningIsOverWhenItHasEnded) {
  const UserWork leaves_one = work_of_command(
      "start \"\" /b %SystemRoot%\\System32\\cmd.exe /d /c \"%SystemRoot%\\System32\\ping -n 8 "
      "127.0.0.1 & echo late>>C:\\ran.txt\"");
  Machine machine(patch(ten, with({leaves_one, two.at(1)})), "10.0.19045 client");
  machine.boot();
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_EQ(machine.result().work,
            (Lines{"begun command", "exit 0", "begun second.cmd", "exit 0"}));
  EXPECT_FALSE(machine.has_service());
  EXPECT_FALSE(machine.has_script());
  EXPECT_NE(ran(machine).find("late"), std::string::npos);
}

}  // namespace
}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// The first boot of a generalised image: Windows Setup calls the script at its end, while the
// service, which starts at every boot, waits for that end.
#include <gtest/gtest.h>

#include <fstream>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;

const std::string setup_complete = "Setup/Scripts/SetupComplete.cmd";
const Lines sets = {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal"};

Release generalised() {
  Release release = ten;
  release.system = "nt100.system+generalised.system";
  return release;
}

// `theirs`: what SetupComplete.cmd has already; empty: there is none.
Machine generalised_with(const std::string& theirs, const SettingOptions& options = {}) {
  std::map<std::string, std::string> there;
  if (!theirs.empty()) there[setup_complete] = theirs;
  return Machine(patch(generalised(), options, there), "10.0.19045 client");
}

void set_setup_in_progress(Machine& machine, bool is) {
  machine.wine().add_to_registry(
      "System\\Setup", std::string("\"SystemSetupInProgress\"=dword:0000000") + (is ? "1" : "0"));
}

void expect_done(Machine& machine) {
  EXPECT_EQ(machine.sets(), sets);
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_NE(machine.log().find("boot 1"), std::string::npos);
  EXPECT_FALSE(machine.has_service());
  EXPECT_FALSE(machine.has_script());
}

TEST(FirstBootOfSetup, RunsAtTheEndOfSetupAndOnlyThere) {
  Machine machine = generalised_with("");
  set_setup_in_progress(machine, true);
  machine.boot();  // one of Setup's own
  EXPECT_EQ(machine.commands(), 0U);
  machine.boot_to_the_end_of_setup();
  expect_done(machine);
  EXPECT_EQ(machine.files(), (Lines{"firstboot-before.txt", "firstboot.log", "firstboot.result"}));
  const std::size_t commands = machine.commands();
  machine.boot_to_the_end_of_setup();
  EXPECT_EQ(machine.commands(), commands);
}

// Behind what comes to its end, in front of what may not.
TEST(FirstBootOfSetup, RunsBesideWhatSetupCompleteHasAlready) {
  for (const std::string theirs :
       {"@echo theirs>>C:\\ran.txt", "@echo theirs>>C:\\ran.txt\r\n@exit\r\n"}) {
    Machine machine = generalised_with(theirs);
    set_setup_in_progress(machine, true);
    machine.boot_to_the_end_of_setup();
    expect_done(machine);
    EXPECT_EQ(machine.text_of_file("C:\\ran.txt"), "theirs\r\n") << theirs;
  }
}

// The work writes its line seconds later than what stands behind the call. Here it ends Setup, too:
// until then there is no restart.
TEST(FirstBootOfSetup, DoesNotWaitForWork) {
  SettingOptions options;
  options.work = {work_of_command(
      "echo work>>C:\\ran.txt& %SystemRoot%\\System32\\reg add HKLM\\SYSTEM\\Setup /v "
      "SystemSetupInProgress /t REG_DWORD /d 0 /f & exit /b 3010")};
  Machine machine = generalised_with("@echo theirs>>C:\\ran.txt\r\n@exit\r\n", options);
  set_setup_in_progress(machine, true);
  machine.stand_in("shutdown.exe", "");
  machine.boot_to_the_end_of_setup();
  expect_done(machine);
  EXPECT_EQ(machine.text_of_file("C:\\ran.txt"), "theirs\r\nwork\r\n");
  EXPECT_EQ(machine.result().work, (Lines{"begun command", "exit 3010"}));
  EXPECT_EQ(machine.calls_of("shutdown.exe"), Lines{"0 /r /t 20"});
}

// Nobody could log on before netsh comes to its end.
TEST(FirstBootOfSetup, DoesNotWaitForNetsh) {
  Machine machine = generalised_with("");
  set_setup_in_progress(machine, true);
  machine.play("hang 1 99 0 show global\n");
  const std::string script = machine.host_file(setup_complete);
  std::ofstream(script, std::ios::app) << "@echo goes on>>C:\\ran.txt\r\n";
  machine.end_setup_and_lose_power_when([&] {
    return machine.commands() == 1 && machine.text_of_file("C:\\ran.txt") == "goes on\r\n";
  });
  EXPECT_TRUE(machine.has_script());
}

// Setup has ended before the service looks, and calls the script while that waits for netsh.
void start_twice(Machine& machine) {
  set_setup_in_progress(machine, false);
  machine.play("fail 1 1 1 show global\n");
  machine.boot_to_the_end_of_setup();
}

TEST(FirstBootOfSetup, RunsOnceWhereServiceAndSetupStartItAtTheSameTime) {
  Machine machine = generalised_with("");
  start_twice(machine);
  expect_done(machine);
  const std::string log = machine.log();
  EXPECT_EQ(log.find("kvmnet: script"), log.rfind("kvmnet: script")) << log;
  EXPECT_EQ(machine.files(), (Lines{"firstboot-before.txt", "firstboot.log", "firstboot.result"}));
}

// That the two do meet.
TEST(FirstBootOfSetup, WouldRunTwiceWithoutTheLock) {
  PatchedGuest guest = patch(generalised());
  std::string& script = guest.files.at("kvmnet/firstboot.cmd");
  const std::string lock = " 2>\"%DIR%\\firstboot.lock\"";
  ASSERT_NE(script.find(lock), std::string::npos);
  script.erase(script.find(lock), lock.size());
  Machine machine(guest, "10.0.19045 client");
  start_twice(machine);
  EXPECT_GT(machine.sets().size(), sets.size());
}

}  // namespace
}  // namespace kvmnet::test

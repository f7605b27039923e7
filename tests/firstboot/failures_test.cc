// SPDX-License-Identifier: GPL-2.0-or-later
// A first boot at which something goes wrong: Windows 7, because each of its commands but one is
// mandatory.
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;

const Lines all_good = {"0 set heuristics disabled", "1 set heuristics forcews=enabled",
                        "0 set global autotuninglevel=normal",
                        "0 set global congestionprovider=ctcp"};

Lines with(std::size_t index, const std::string& line) {
  Lines lines = all_good;
  lines.at(index) = line;
  return lines;
}

Lines operator+(Lines first, const Lines& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// What the recorder says of its settings when it has accepted none yet.
const Lines original = {"pushd interface tcp", "reset", "popd"};

class FirstBoot : public testing::Test {
 protected:
  Machine& machine() { return machine_; }

  // Nothing is left but what is to be read, and another boot runs nothing.
  void expect_over(const std::string& status) {
    EXPECT_EQ(machine_.result().status, status);
    EXPECT_FALSE(machine_.has_service());
    EXPECT_EQ(machine_.files(),
              (Lines{"firstboot-before.txt", "firstboot.log", "firstboot.result"}));
    const std::size_t commands = machine_.commands();
    machine_.boot();
    EXPECT_EQ(machine_.commands(), commands);
  }
  void expect_pending() {
    EXPECT_TRUE(machine_.has_service());
    EXPECT_TRUE(machine_.has_script());
  }
  void expect_in_log(const std::string& text) {
    EXPECT_NE(machine_.log().find(text), std::string::npos) << machine_.log();
  }
  void set_setup_flag(const std::string& name, int value) {
    machine_.wine().add_to_registry("System\\Setup",
                                    "\"" + name + "\"=dword:0000000" + std::to_string(value));
  }

 private:
  Machine machine_{patch(seven), "6.1.7601 client"};
};

TEST_F(FirstBoot, LogsACommandThatFailsRunsTheOthersAndTriesAllAgainAtTheNext) {
  machine().play("fail 1 1 5 set global autotuninglevel\n");
  machine().boot();
  EXPECT_EQ(machine().sets(), with(2, "5 set global autotuninglevel=normal"));
  EXPECT_EQ(machine().result().status, "retry");
  EXPECT_EQ(machine().result().commands, with(2, "5 set global autotuninglevel=normal"));
  expect_in_log("kvmnet: exit code 5");
  expect_in_log("'forcews' is not a valid argument");  // netsh's own words
  expect_pending();
  machine().boot();
  EXPECT_EQ(machine().before(), original);  // not what the first boot has set
  EXPECT_EQ(machine().sets(), with(2, "5 set global autotuninglevel=normal") + all_good);
  EXPECT_EQ(machine().result().commands, all_good);
  expect_over("done");
}

TEST_F(FirstBoot, GivesUpAfterThreeBoots) {
  machine().play("fail 1 99 1 set global congestionprovider\n");
  const Lines once = with(3, "1 set global congestionprovider=ctcp");
  machine().boot();
  machine().boot();
  EXPECT_EQ(machine().result().status, "retry");
  expect_pending();
  machine().boot();
  EXPECT_EQ(machine().sets(), once + once + once);
  EXPECT_EQ(machine().result().commands, once);
  expect_in_log("kvmnet: status failed");
  expect_over("failed");
}

TEST_F(FirstBoot, DoesNothingWhileSetupIsInProgressAndThatDoesNotCount) {
  const Lines before = machine().files();
  for (const char* flag : {"SystemSetupInProgress", "OOBEInProgress"}) {
    set_setup_flag(flag, 1);
    for (int boot = 0; boot < 2; ++boot) machine().boot();
    EXPECT_EQ(machine().commands(), 0U) << flag;
    EXPECT_EQ(machine().files(), before) << flag;
    expect_pending();
    set_setup_flag(flag, 0);
  }
  machine().boot();
  EXPECT_EQ(machine().sets(), all_good);
  expect_in_log("boot 1");
  expect_over("done");
}

TEST_F(FirstBoot, WithoutNetshFailsAfterThreeBootsAndRemovesItself) {
  machine().remove_netsh();
  machine().boot();
  EXPECT_EQ(machine().result().status, "retry");
  machine().boot();
  machine().boot();
  const Lines commands = machine().result().commands;
  ASSERT_EQ(commands.size(), all_good.size());
  for (const std::string& command : commands) EXPECT_FALSE(command.starts_with("0 ")) << command;
  expect_over("failed");
}

TEST_F(FirstBoot, RunsItsCommandsThoughItsLogCannotBeWritten) {
  std::filesystem::create_directory(machine().host_file("kvmnet/firstboot.log"));
  machine().boot();
  EXPECT_EQ(machine().sets(), all_good);
  EXPECT_EQ(machine().result().commands, all_good);
  expect_over("done");
}

TEST_F(FirstBoot, RunsItsCommandsThoughItsResultCannotBeWritten) {
  std::filesystem::create_directory(machine().host_file("kvmnet/firstboot.new"));
  machine().boot();
  EXPECT_EQ(machine().sets(), all_good);
  EXPECT_FALSE(machine().has_service());
  EXPECT_FALSE(machine().has_script());
}

TEST_F(FirstBoot, WaitsForANetworkStoreThatIsStillStarting) {
  machine().play("fail 1 1 1 show global\n");
  machine().boot();
  EXPECT_EQ(machine().sets(), all_good);
  // Asked twice before, then what is there is saved; the outcome is shown in two parts.
  EXPECT_EQ(machine().commands(), all_good.size() + 5);
  expect_over("done");
}

// Power is lost while the command of this number runs: those before it have run to their end.
class FirstBootLosingPower : public FirstBoot, public testing::WithParamInterface<std::size_t> {};

TEST_P(FirstBootLosingPower, EndsCleanlyAtTheNext) {
  const std::size_t number = GetParam();
  const std::string at = std::to_string(number + 1);
  machine().play("hang " + at + " " + at + " 0 tcp set\n");
  machine().boot_and_lose_power();
  const Lines cut(all_good.begin(), all_good.begin() + static_cast<std::ptrdiff_t>(number));
  const Lines hanging = {"hang" + all_good.at(number).substr(1)};
  EXPECT_EQ(machine().sets(), cut + hanging);
  EXPECT_EQ(machine().result().status, "");
  expect_pending();
  machine().boot();
  EXPECT_EQ(machine().sets(), cut + hanging + all_good);
  EXPECT_EQ(machine().result().commands, all_good);
  expect_over("done");
}

INSTANTIATE_TEST_SUITE_P(AtCommand, FirstBootLosingPower, testing::Values(0U, 1U, 2U, 3U));

TEST_F(FirstBoot, LosingPowerAfterTheLastCommandEndsCleanlyAtTheNext) {
  machine().play("hang 2 2 0 show global\n");
  machine().boot_and_lose_power();
  EXPECT_EQ(machine().sets(), all_good);
  expect_pending();
  machine().boot();
  EXPECT_EQ(machine().sets(), all_good + all_good);
  expect_over("done");
}

TEST_F(FirstBoot, LosingPowerWhileItSavesWhatIsThereSavesItAtTheNext) {
  machine().play("hang 1 1 0 tcp dump\n");
  machine().boot_and_lose_power();
  EXPECT_EQ(machine().sets(), Lines());
  EXPECT_EQ(machine().before(), Lines());
  machine().boot();
  EXPECT_EQ(machine().before(), original);
  expect_over("done");
}

TEST_F(FirstBoot, DoesNotSaveItsOwnSettingsAfterItCouldNotSaveWhatWasThere) {
  machine().play("fail 1 1 1 tcp dump\nfail 1 1 5 set global autotuninglevel\n");
  machine().boot();
  EXPECT_EQ(machine().before(), Lines());
  expect_pending();
  machine().boot();
  EXPECT_EQ(machine().before(), Lines());
  expect_over("done");
}

TEST_F(FirstBoot, LosingPowerBeforeItRemovesItselfOnlyRemovesItselfAtTheNext) {
  machine().stand_in("sc.exe", "hang 1 9 0 delete\n");
  machine().boot_and_lose_power();
  EXPECT_EQ(machine().sets(), all_good);
  EXPECT_EQ(machine().result().status, "done");
  expect_pending();
  machine().put_back("sc.exe");
  machine().boot();
  EXPECT_EQ(machine().sets(), all_good);
  expect_over("done");
}

TEST_F(FirstBoot, LosingPowerThreeTimesReportsFailureAndRemovesItself) {
  machine().play("hang 1 9 0 set global autotuninglevel\n");
  for (int boot = 0; boot < 3; ++boot) machine().boot_and_lose_power();
  const Lines before = machine().sets();
  expect_pending();
  machine().boot();
  EXPECT_EQ(machine().sets(), before);
  expect_in_log("three boots did not finish");
  expect_over("failed");
}

// It must not ask the netsh that hangs what has come of it.
TEST_F(FirstBoot, LosingPowerThreeTimesInNetshThatNeverAnswersRemovesItself) {
  machine().play("hang 1 99 0 show\n");
  for (int boot = 0; boot < 3; ++boot) machine().boot_and_lose_power();
  expect_pending();
  machine().boot();
  EXPECT_EQ(machine().sets(), Lines());
  EXPECT_EQ(machine().result().status, "failed");
  EXPECT_FALSE(machine().has_service());
  EXPECT_EQ(machine().files(), (Lines{"firstboot.log", "firstboot.result"}));
}

// The power may go after the script is gone and before the registry is on disk.
TEST_F(FirstBoot, OfAServiceThatHasComeBackWithoutItsScriptRemovesTheService) {
  std::filesystem::remove(machine().host_file("kvmnet/firstboot.cmd"));
  machine().boot();
  EXPECT_EQ(machine().commands(), 0U);
  EXPECT_EQ(machine().files(), Lines());
  EXPECT_FALSE(machine().has_service());
}

TEST_F(FirstBoot, RemovesItselfWithRegWhereScCannot) {
  machine().stand_in("sc.exe", "fail 1 9 5 delete\n");
  machine().boot();
  EXPECT_EQ(machine().sets(), all_good);
  expect_over("done");
}

}  // namespace
}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// A revert after the first boot: the script that lets the guest put its settings back, from the
// bytes that kvmnet writes then, to the revert that leaves nothing of ours.
#include <gtest/gtest.h>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;

// What netsh was told between two moments.
Lines since(const Lines& before, const Lines& now) {
  return {now.begin() + static_cast<std::ptrdiff_t>(before.size()), now.end()};
}

// A guest that is patched, boots, is reverted, and boots again.
class Restored {
 public:
  Restored(const Release& release, std::string_view played, const SettingOptions& options = {})
      : release_(release), patched_(patch(release, options)), machine_(patched_, played) {}

  Machine& machine() { return machine_; }

  void boot_and_revert() {
    machine_.boot();
    reverted_ = revert(release_, patched_, machine_.our_files());
    machine_.change_to(reverted_);
    before_ = machine_.sets();
  }
  // What a boot since then has told netsh.
  Lines boot() {
    machine_.boot();
    return since(before_, machine_.sets());
  }
  RevertedGuest revert_again() { return revert(release_, reverted_, machine_.our_files()); }

  void expect_waiting() {
    EXPECT_TRUE(machine_.has_service());
    EXPECT_TRUE(machine_.has_script());
  }
  // The script has removed itself, and a revert leaves the guest as it was before the patch.
  void expect_over() {
    EXPECT_FALSE(machine_.has_service());
    EXPECT_EQ(machine_.files(),
              (Lines{"firstboot-before.txt", "firstboot.log", "firstboot.result"}));
    const RevertedGuest after = revert_again();
    EXPECT_EQ(after.files, (std::map<std::string, std::string>()));
    EXPECT_EQ(exported(after.system_hive), exported(text_of(fixture_hive(release_.system))));
  }

 private:
  Release release_;
  PatchedGuest patched_;
  Machine machine_;
  RevertedGuest reverted_;
  Lines before_;
};

TEST(FirstBootRestore, GoesBackToWhatNetshSaidBeforeThePatchElseToWindowsDefaults) {
  Restored guest(seven, "6.1.7601 client");
  guest.machine().netsh_has_set("set global autotuninglevel=highlyrestricted");
  guest.machine().netsh_has_set("set heuristics enabled");
  guest.boot_and_revert();
  guest.expect_waiting();
  // Windows 7 does not know forcews: it has refused it at the first boot, too.
  const Lines expected = {"0 set heuristics enabled", "1 set heuristics forcews=default",
                          "0 set global autotuninglevel=highlyrestricted",
                          "0 set global congestionprovider=default"};
  EXPECT_EQ(guest.boot(), expected);
  EXPECT_EQ(guest.machine().result().status, "done");
  EXPECT_EQ(guest.machine().result().commands, expected);
  EXPECT_EQ(guest.boot(), expected) << "a second boot runs nothing";
  guest.expect_over();
}

TEST(FirstBootRestore, RunsTheOtherCommandsWhereOneFailsAndTheNextRevertSaysSo) {
  Restored guest(ten, "10.0.19045 client");
  guest.machine().play("fail 2 9 5 set global autotuninglevel\n");
  guest.boot_and_revert();
  const Lines expected = {"0 set heuristics forcews=default",
                          "5 set global autotuninglevel=normal"};
  EXPECT_EQ(guest.boot(), expected);
  EXPECT_EQ(guest.machine().result().commands, expected);
  EXPECT_NE(guest.machine().log().find("kvmnet: exit code 5"), std::string::npos);
  EXPECT_EQ(guest.revert_again().warnings,
            Lines{"the guest's netsh has refused to put this back (exit code 5): netsh interface "
                  "tcp set global autotuninglevel=normal"});
  guest.expect_over();
}

TEST(FirstBootRestore, LosingPowerRunsAllAgainAtTheNextBoot) {
  Restored guest(ten, "10.0.19045 client");
  guest.boot_and_revert();
  guest.machine().play("hang 2 2 0 set global autotuninglevel\n");
  guest.machine().boot_and_lose_power();
  guest.expect_waiting();
  EXPECT_EQ(guest.boot(),
            (Lines{"0 set heuristics forcews=default", "hang set global autotuninglevel=normal",
                   "0 set heuristics forcews=default", "0 set global autotuninglevel=normal"}));
  EXPECT_EQ(guest.machine().result().status, "done");
  guest.expect_over();
}

// A guest without netsh has run nothing: the dump is empty, and there is nothing to run it with
// now.
TEST(FirstBootRestore, WithoutNetshRemovesItselfAllTheSame) {
  Restored guest(ten, "10.0.19045 client");
  guest.boot_and_revert();
  guest.machine().remove_netsh();
  EXPECT_EQ(guest.boot(), Lines());
  for (const std::string& command : guest.machine().result().commands)
    EXPECT_FALSE(command.starts_with("0 ")) << command;
  EXPECT_EQ(guest.revert_again().warnings.size(), 2U);
  guest.expect_over();
}

TEST(FirstBootRestore, GivesUpTheCustomTemplateThatAPatchHasMadeTheDefault) {
  SettingOptions options;
  options.congestion_provider = "ctcp";
  Restored guest(releases[4], "6.2.9200 client", options);
  guest.boot_and_revert();
  EXPECT_EQ(guest.boot(), (Lines{"0 set heuristics default", "1 set heuristics forcews=default",
                                 "0 set global autotuninglevel=normal",
                                 "1 set supplemental template=internet congestionprovider=default",
                                 "0 set supplemental template=custom congestionprovider=default",
                                 "0 set supplemental template=automatic"}));
  EXPECT_EQ(guest.machine().result().status, "done");
  guest.expect_over();
}

}  // namespace
}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/guest_status.h"

#include <gtest/gtest.h>

#include <array>

#include "src/plan/firstboot.h"
#include "src/plan/plan_revert.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::any_has;
using plan_tests::applied;
using plan_tests::guest;
using plan_tests::plan_of;
using plan_tests::values;
using State = ValueStatus::State;

constexpr WindowsVersion version = plan_tests::windows_7;

Facts patched(const Facts& facts) {
  return applied(facts, plan_of(facts, make_settings({})).edits);
}

TEST(GuestStatus, OfAGuestWithoutAPatchIsEmpty) {
  const GuestStatus status = status_of(guest(version));
  EXPECT_EQ(status.patch, PatchState::none);
  EXPECT_EQ(status.firstboot, FirstBootState::none);
  EXPECT_TRUE(status.values.empty());
  EXPECT_FALSE(status.is_pending());
}

TEST(GuestStatus, FollowsAPatchThroughItsFirstBoot) {
  Facts facts = patched(guest(version));
  GuestStatus status = status_of(facts);
  EXPECT_EQ(status.patch, PatchState::patched);
  EXPECT_EQ(status.profile, "kvm");
  EXPECT_FALSE(status.version.empty());
  EXPECT_EQ(status.firstboot, FirstBootState::pending);
  EXPECT_TRUE(status.is_pending());
  EXPECT_TRUE(status.waits());
  EXPECT_FALSE(status.has_changed());
  plan_tests::put_file(facts, "kvmnet/firstboot.boot1", "");
  EXPECT_EQ(status_of(facts).firstboot, FirstBootState::begun);
  plan_tests::boot(facts);
  status = status_of(facts);
  EXPECT_EQ(status.firstboot, FirstBootState::done);
  EXPECT_FALSE(status.is_pending());
  ASSERT_EQ(status.values.size(), 1U);
  EXPECT_EQ(status.values[0].state, State::as_patched);
}

TEST(GuestStatus, TellsHowAFirstBootHasFailed) {
  Facts facts = patched(guest(version));
  plan_tests::put_file(facts, std::string(firstboot::result_path),
                       "kvmnet-firstboot-result 1\r\nid 0123456789abcdef\r\nboot 1\r\n"
                       "status retry\r\n");
  EXPECT_EQ(status_of(facts).firstboot, FirstBootState::retry);
  facts = patched(guest(version));
  plan_tests::boot(facts, "failed");
  EXPECT_EQ(status_of(facts).firstboot, FirstBootState::failed);
  facts = patched(guest(version));
  plan_tests::boot(facts);
  plan_tests::put_file(facts, std::string(firstboot::result_path), "\x1b[2J");
  EXPECT_EQ(status_of(facts).firstboot, FirstBootState::unknown);
  EXPECT_TRUE(any_has(status_of(facts).warnings, "has not the form"));
}

// The registry may have been written to disk, and the file system not; or somebody has removed it.
TEST(GuestStatus, DoesNotWaitForAScriptThatNothingStarts) {
  const Facts facts = patched(guest(version));
  EXPECT_FALSE(any_has(status_of(facts).warnings, "nothing starts"));
  Facts gone = facts;
  gone.control_sets[0].keys[plan_tests::our_service_key] = std::nullopt;
  Facts marked = facts;
  values(marked.control_sets[0], plan_tests::our_service_key)
      .push_back({"DeleteFlag", hive::dword(1)});
  for (Facts& without : std::array{gone, marked}) {
    for (const char* trace : {"", "kvmnet/firstboot.boot1"}) {
      if (*trace != '\0') plan_tests::put_file(without, trace, "");
      EXPECT_EQ(status_of(without).firstboot, FirstBootState::unknown) << trace;
      EXPECT_TRUE(any_has(status_of(without).warnings, "nothing starts"));
    }
    plan_tests::put_file(without, std::string(firstboot::result_path),
                         "kvmnet-firstboot-result 1\r\nid 0123456789abcdef\r\nboot 1\r\n"
                         "status retry\r\n");
    EXPECT_EQ(status_of(without).firstboot, FirstBootState::unknown);
  }
  EXPECT_EQ(status_of(patched(gone)).firstboot, FirstBootState::pending);
}

// Windows Setup does, where the service has gone.
TEST(GuestStatus, WaitsForAScriptThatSetupStarts) {
  Facts facts = guest(version);
  facts.setup_unfinished = true;
  facts = patched(facts);
  facts.control_sets[0].keys[plan_tests::our_service_key] = std::nullopt;
  EXPECT_EQ(status_of(facts).firstboot, FirstBootState::pending);
}

TEST(GuestStatus, FindsTheDriftOfEachValue) {
  Facts facts = patched(guest(plan_tests::server_2003));
  auto& tcpip = values(facts.control_sets[0], plan_tests::tcpip_key);
  for (hive::NamedValue& value : tcpip)
    if (value.name == "TcpWindowSize") value.value = hive::dword(1);
  std::erase_if(tcpip, [](const hive::NamedValue& v) { return v.name == "Tcp1323Opts"; });
  const GuestStatus status = status_of(facts);
  ASSERT_EQ(status.values.size(), 5U);
  EXPECT_EQ(status.values[0].state, State::as_patched);
  EXPECT_EQ(status.values[3].state, State::as_before);
  EXPECT_EQ(status.values[4].state, State::changed);
  EXPECT_EQ(status.values[4].present, hive::dword(1));
  EXPECT_TRUE(status.is_pending());
  EXPECT_TRUE(status.has_changed());
  EXPECT_FALSE(status.waits());
  facts.control_sets.clear();
  EXPECT_EQ(status_of(facts).values[0].state, State::set_is_gone);
}

TEST(GuestStatus, IsPendingWhereAFirstBootHasNotEndedWell) {
  Facts facts = patched(guest(version));
  plan_tests::boot(facts, "failed");
  EXPECT_EQ(status_of(facts).firstboot, FirstBootState::failed);
  EXPECT_TRUE(status_of(facts).is_pending());
  facts = patched(guest(version));
  plan_tests::remove_file(facts, "kvmnet/firstboot.cmd");
  EXPECT_EQ(status_of(facts).firstboot, FirstBootState::unknown);
  EXPECT_TRUE(status_of(facts).is_pending());
}

TEST(GuestStatus, WarnsOfARecordThatOthersHaveAccessTo) {
  Facts facts = patched(guest(version));
  facts.open_paths.insert("kvmnet/record.json");
  const auto warnings = status_of(facts).warnings;
  EXPECT_TRUE(plan_tests::any_has(warnings, "others than SYSTEM and Administrators have access"));
}

TEST(GuestStatus, LooksWhereWindowsStartsFrom) {
  Facts facts = patched(guest(plan_tests::server_2003));
  ControlSet other = guest(plan_tests::server_2003).control_sets[0];
  other.name = "ControlSet002";
  facts.other_sets = facts.control_sets;
  facts.control_sets = {other};
  GuestStatus status = status_of(facts);
  ASSERT_EQ(status.values.size(), 10U);
  EXPECT_EQ(status.values[0].state, State::as_patched);
  EXPECT_EQ(status.values[5].recorded.key.elements().front(), "ControlSet002");
  EXPECT_EQ(status.values[5].state, State::as_before);
  EXPECT_TRUE(status.is_pending());
  facts.control_sets[0].keys = facts.other_sets[0].keys;
  status = status_of(facts);
  ASSERT_EQ(status.values.size(), 10U);
  EXPECT_EQ(status.values[5].state, State::as_patched);
  EXPECT_FALSE(status.is_pending());
}

TEST(GuestStatus, WarnsOfAHiveThatItCannotSeeWholly) {
  Facts facts = patched(guest(version));
  EXPECT_TRUE(status_of(facts).warnings.empty());
  facts.system.logs_given_up = true;
  EXPECT_TRUE(any_has(status_of(facts).warnings, "may be old"));
  facts.control_sets.clear();
  EXPECT_TRUE(any_has(status_of(facts).warnings, "which is not there"));
}

TEST(GuestStatus, DoesNotCallAServicePendingThatSomebodyHasChanged) {
  for (const hive::NamedValue& changed :
       {hive::NamedValue{"Start", hive::dword(4)},
        hive::NamedValue{"ImagePath", hive::expand_sz("C:\\other.exe")}}) {
    Facts facts = patched(guest(version));
    for (hive::NamedValue& value :
         values(facts.control_sets[0], std::string(firstboot_service_key)))
      if (value.name == changed.name) value.value = changed.value;
    EXPECT_EQ(status_of(facts).firstboot, FirstBootState::unknown) << changed.name;
  }
}

TEST(GuestStatus, WarnsOfWindowsThatWin) {
  Facts facts = patched(guest(plan_tests::server_2003));
  facts.control_sets[0].interfaces_with_window = {"{1}\x1b[31m"};
  values(facts.control_sets[0], plan_tests::tcpip_key)
      .push_back({"GlobalMaxTcpWindowSize", hive::dword(0x8000)});
  const GuestStatus status = status_of(facts);
  EXPECT_TRUE(any_has(status.warnings, "{1}\\x1b[31m has a TcpWindowSize of its own"));
  EXPECT_TRUE(any_has(status.warnings, "GlobalMaxTcpWindowSize=0x8000 limits"));
  facts.control_sets[0].interfaces_with_window.assign(6000, "{1}");
  EXPECT_EQ(status_of(facts).warnings.size(), 18U);
  EXPECT_TRUE(any_has(status_of(facts).warnings, "5984 more interfaces"));
}

TEST(GuestStatus, WarnsOfOtherFirstBootServices) {
  Facts facts = patched(guest(version));
  facts.control_sets[0].keys["Services\\cloudbase-init"].emplace();
  EXPECT_TRUE(any_has(status_of(facts).warnings, "cloudbase-init"));
}

TEST(GuestStatus, KnowsAPatchWithoutARecord) {
  Facts facts = patched(guest(version));
  plan_tests::remove_file(facts, std::string(record_path));
  EXPECT_EQ(status_of(facts).patch, PatchState::unknown);
  Facts damaged = guest(version);
  damaged.record_damage = "cut off";
  EXPECT_EQ(status_of(damaged).patch, PatchState::unknown);
  EXPECT_EQ(status_of(damaged).damage, "cut off");
}

TEST(GuestStatus, KnowsARevertThatWaitsForABoot) {
  Facts facts = patched(guest(version));
  plan_tests::boot(facts);
  const auto plan = make_revert(facts, {});
  facts = applied(facts, std::get<Plan>(plan).edits);
  EXPECT_EQ(status_of(facts).patch, PatchState::restoring);
  EXPECT_TRUE(status_of(facts).is_pending());
  EXPECT_FALSE(any_has(status_of(facts).warnings, "revert it again"));
  plan_tests::boot(facts);
  EXPECT_TRUE(any_has(status_of(facts).warnings, "revert it again, to remove"));
}

}  // namespace
}  // namespace kvmnet

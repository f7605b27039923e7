// SPDX-License-Identifier: GPL-2.0-or-later
// What is chosen to start the first-boot script, and what the guest already has for its first boot.
#include <gtest/gtest.h>

#include "src/plan/firstboot.h"
#include "src/plan/netsh.h"
#include "src/plan/plan.h"
#include "src/plan/setup_complete.h"
#include "src/support/error.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using firstboot::with_setup_call;
using plan_tests::any_has;
using plan_tests::applied;
using plan_tests::guest;
using plan_tests::lines;
using plan_tests::plan_of;
using plan_tests::values;
using Lines = std::vector<std::string>;

const std::string setup_complete(firstboot::setup_complete_path);
const std::string write_setup_complete = "write Setup/Scripts/SetupComplete.cmd";
const std::string write_script = "write kvmnet/firstboot.cmd";

Settings choice(const std::string& word) {
  SettingOptions options;
  options.firstboot = word;
  return make_settings(options);
}
Settings automatic() {
  return choice("auto");
}

Facts generalised(const WindowsVersion& version = plan_tests::windows_10_22h2) {
  Facts facts = guest(version);
  facts.setup_unfinished = true;
  return facts;
}

FirstBoot chosen(const Facts& facts, const Settings& settings) {
  const Plan plan = plan_of(facts, settings);
  if (plan.firstboot) return *plan.firstboot;
  ADD_FAILURE() << "nothing is said of the first boot";
  return {};
}

// Plans once more: nothing may be left.
void expect_settled(const Facts& facts, const Settings& settings) {
  const Facts after = applied(facts, plan_of(facts, settings).edits);
  EXPECT_EQ(lines(plan_of(after, settings).edits), Lines());
  EXPECT_EQ(chosen(after, settings).mechanism, chosen(facts, settings).mechanism);
}

bool edits_service(const Plan& plan) {
  return any_has(lines(plan.edits), plan_tests::our_service_key);
}

TEST(PlanMechanism, AnInstalledWindowsGetsTheService) {
  const Facts facts = guest(plan_tests::windows_10_22h2);
  for (const std::string word : {"auto", "service"}) {
    const Plan plan = plan_of(facts, choice(word));
    EXPECT_TRUE(edits_service(plan));
    EXPECT_FALSE(any_has(lines(plan.edits), "SetupComplete"));
    EXPECT_EQ(plan.firstboot->mechanism, Mechanism::service);
    expect_settled(facts, choice(word));
  }
  EXPECT_EQ(chosen(facts, automatic()).why, "this Windows is installed");
  EXPECT_EQ(chosen(facts, choice("service")).why, "--firstboot service");
}

TEST(PlanMechanism, TheCommandsAreThoseOfTheScript) {
  for (const WindowsVersion& version : plan_tests::netsh_releases) {
    const Facts facts = guest(version);
    const auto netsh = plan_netsh(version, *facts.product_type, automatic());
    const auto& steps = std::get<NetshPlan>(netsh).steps;
    ASSERT_FALSE(steps.empty());
    EXPECT_EQ(chosen(facts, automatic()).steps, steps);
    EXPECT_TRUE(chosen(facts, choice("none")).steps.empty());
  }
}

TEST(PlanMechanism, AGeneralisedImageGetsSetupCompleteToo) {
  for (const WindowsVersion& version : plan_tests::netsh_releases) {
    const Facts facts = generalised(version);
    const Plan plan = plan_of(facts, automatic());
    const Lines edits = lines(plan.edits);
    EXPECT_EQ(edits.at(0), write_script);
    EXPECT_EQ(edits.at(1), write_setup_complete);
    EXPECT_TRUE(edits_service(plan));
    EXPECT_EQ(plan.firstboot->mechanism, Mechanism::service_and_setup_complete);
    EXPECT_EQ(plan.firstboot->why, "Windows Setup has still to run in this guest");
    EXPECT_EQ(applied(facts, plan.edits).files.at(setup_complete), with_setup_call(std::nullopt));
    expect_settled(facts, automatic());
  }
}

TEST(PlanMechanism, WhatIsInSetupCompleteIsKept) {
  for (const std::string content : {"", "echo a", "@echo off\r\nexit /b 0\r\n"}) {
    Facts facts = generalised();
    facts.files[setup_complete] = content;
    const Plan plan = plan_of(facts, automatic());
    EXPECT_EQ(applied(facts, plan.edits).files.at(setup_complete), with_setup_call(content));
    for (const Edit& edit : plan.edits)
      if (const auto* written = std::get_if<WriteFile>(&edit)) {
        EXPECT_EQ(written->make_private, written->path != setup_complete);
      }
    expect_settled(facts, automatic());
  }
}

TEST(PlanMechanism, ASetupCompleteThatCannotBeReadIsLeftAlone) {
  Facts facts = generalised();
  facts.unreadable_files.insert(setup_complete);
  const Plan plan = plan_of(facts, automatic());
  EXPECT_FALSE(any_has(lines(plan.edits), "SetupComplete"));
  EXPECT_EQ(plan.firstboot->mechanism, Mechanism::service);
  EXPECT_NE(plan.firstboot->why.find("not one plain file"), std::string::npos);
  expect_settled(facts, automatic());
}

TEST(PlanMechanism, ASetupCompleteThatWouldBecomeTooLargeIsLeftAlone) {
  Facts facts = generalised();
  facts.files[setup_complete] = std::string(firstboot::largest_setup_complete - 10, '\n');
  const Plan plan = plan_of(facts, automatic());
  EXPECT_FALSE(any_has(lines(plan.edits), "SetupComplete"));
  EXPECT_EQ(plan.firstboot->mechanism, Mechanism::service);
}

TEST(PlanMechanism, TheServiceAloneTakesAnEarlierPatchOutOfSetupComplete) {
  for (const std::optional<std::string>& content :
       {std::optional<std::string>(), std::optional<std::string>("echo a")}) {
    Facts facts = generalised();
    if (content) facts.files[setup_complete] = *content;
    facts = applied(facts, plan_of(facts, automatic()).edits);
    const Plan plan = plan_of(facts, choice("service"));
    EXPECT_EQ(lines(plan.edits),
              Lines{content ? write_setup_complete : "remove Setup/Scripts/SetupComplete.cmd"});
    const Facts after = applied(facts, plan.edits);
    EXPECT_EQ(after.files.contains(setup_complete), content.has_value());
    if (content) {
      EXPECT_EQ(after.files.at(setup_complete), *content);
    }
    expect_settled(facts, choice("service"));
  }
}

TEST(PlanMechanism, AfterSetupOurPartOfSetupCompleteStays) {
  Facts facts = generalised();
  facts = applied(facts, plan_of(facts, automatic()).edits);
  facts.setup_unfinished = false;
  EXPECT_EQ(lines(plan_of(facts, automatic()).edits), Lines());
}

TEST(PlanMechanism, NoneWritesTheRegistryPartOnly) {
  for (const bool unfinished : {false, true}) {
    Facts facts = guest(plan_tests::windows_7);
    facts.setup_unfinished = unfinished;
    const Plan plan = plan_of(facts, choice("none"));
    EXPECT_EQ(lines(plan.edits),
              Lines{"set ControlSet001\\Services\\Tcpip\\Parameters\\EnableWsd: absent -> "
                    "dword:0x00000000"});
    EXPECT_EQ(*plan.firstboot, (FirstBoot{Mechanism::none, "--firstboot none", {}, {}}));
    EXPECT_TRUE(plan.warnings.empty());
  }
}

TEST(PlanMechanism, NoneSaysWhatItLeavesOutAndAlone) {
  SettingOptions options = plan_tests::wiki_options();
  options.firstboot = "none";
  const Facts facts = guest(plan_tests::windows_7);
  EXPECT_TRUE(any_has(plan_of(facts, make_settings(options)).warnings, "profile wiki"));
  const Facts patched = applied(facts, plan_of(facts, automatic()).edits);
  const Plan plan = plan_of(patched, choice("none"));
  EXPECT_EQ(lines(plan.edits), Lines());
  EXPECT_TRUE(any_has(plan.warnings, "still waits"));
}

TEST(PlanMechanism, NoneTakesNoSettingThatNeedsTheScript) {
  for (SettingOptions options :
       {plan_tests::autotuning_option("normal"), plan_tests::provider_option("auto"),
        plan_tests::forcews_option("enabled")}) {
    options.firstboot = "none";
    EXPECT_THROW(make_settings(options), UsageError);
  }
  SettingOptions options = plan_tests::keep_options();
  options.firstboot = "none";
  options.heuristics = "enabled";
  EXPECT_NO_THROW(make_settings(options));
  options.firstboot = "None";
  EXPECT_THROW(make_settings(options), UsageError);
}

TEST(PlanMechanism, NothingChangesOnNt5) {
  for (const WindowsVersion& version : {plan_tests::xp, plan_tests::server_2003})
    for (const std::string word : {"auto", "none"}) {
      const Plan plan = plan_of(generalised(version), choice(word));
      EXPECT_EQ(lines(plan.edits), lines(plan_of(guest(version), automatic()).edits));
      EXPECT_EQ(plan.firstboot->mechanism, Mechanism::none);
      EXPECT_EQ(plan.firstboot->why, "this Windows has all its settings in the registry");
    }
}

TEST(PlanMechanism, TheServiceIsRefusedOnNt5WhereItIsAskedFor) {
  for (const WindowsVersion& version : {plan_tests::xp, plan_tests::server_2003}) {
    const Refusal refusal = plan_tests::refusal_of(guest(version), choice("service"));
    EXPECT_EQ(refusal.reason, Reason::option_unsupported);
    EXPECT_NE(refusal.message.find("--firstboot service"), std::string::npos);
  }
}

TEST(PlanMechanism, SaysWhyThereIsNoScript) {
  EXPECT_EQ(chosen(guest(plan_tests::windows_7), make_settings(plan_tests::keep_options())).why,
            "no setting needs one");
}

TEST(PlanMechanism, OfABareHiveNothingIsSaid) {
  EXPECT_FALSE(
      plan_of(guest(plan_tests::windows_7), automatic(), Scope::bare_hive).firstboot.has_value());
}

void add_service(Facts& facts, const std::string& name, const std::string& image_path) {
  values(facts.control_sets.back(), "Services\\" + name) = {
      {"Start", hive::dword(2)}, {"ImagePath", hive::expand_sz(image_path)}};
}

TEST(PlanMechanism, OtherFirstBootServicesAreNoticedAndLeftAlone) {
  const OtherFirstBoot virt = {"firstboot", "virt-v2v or virt-customize"};
  const OtherFirstBoot cloudbase = {"cloudbase-init", "cloudbase-init"};
  const std::string rhsrvany = "C:\\Program Files\\Guestfs\\Firstboot\\rhsrvany.exe -s firstboot";
  Facts facts = guest(plan_tests::windows_10_22h2);
  plan_tests::add_current_set(facts, 2);  // only in this one
  const Lines edits = lines(plan_of(facts, automatic()).edits);
  add_service(facts, "firstboot", rhsrvany);
  EXPECT_EQ(chosen(facts, automatic()).beside, std::vector{virt});
  add_service(facts, "cloudbase-init", "C:\\Cloudbase-Init\\bin\\OpenStackService.exe");
  const Plan plan = plan_of(facts, automatic());
  EXPECT_EQ(plan.firstboot->beside, (std::vector{virt, cloudbase}));
  EXPECT_EQ(lines(plan.edits), edits);
  EXPECT_TRUE(any_has(plan.warnings, "virt-v2v or virt-customize (service firstboot)"));
  EXPECT_TRUE(any_has(plan.warnings, "cloudbase-init (service cloudbase-init)"));
  // Where there is no script of ours they are named, without a warning.
  EXPECT_EQ(chosen(facts, choice("none")).beside.size(), 2U);
  EXPECT_FALSE(any_has(plan_of(facts, choice("none")).warnings, "service"));
}

TEST(PlanMechanism, AServiceIsOfVirtV2vByItsWrapper) {
  const struct {
    std::string image_path;
    bool is_virt;
  } table[] = {{"\"C:\\Program Files\\Guestfs\\Firstboot\\RHSRVANY.EXE\" -s firstboot", true},
               {"C:\\Program Files\\Guestfs\\Firstboot\\pvvxsvc.exe -s firstboot", true},
               {"C:\\Windows\\System32\\svchost.exe -k firstboot", false},
               {"", false}};
  for (const auto& row : table) {
    Facts facts = guest(plan_tests::windows_7);
    add_service(facts, "firstboot", row.image_path);
    EXPECT_EQ(chosen(facts, automatic()).beside.size(), row.is_virt ? 1U : 0U) << row.image_path;
  }
}

}  // namespace
}  // namespace kvmnet

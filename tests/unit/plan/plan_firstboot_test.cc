// SPDX-License-Identifier: GPL-2.0-or-later
// When the first-boot script and its service are put into a guest, and when again.
#include <gtest/gtest.h>

#include "src/plan/firstboot.h"
#include "src/plan/firstboot_service.h"
#include "src/plan/plan.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::any_has;
using plan_tests::applied;
using plan_tests::guest;
using plan_tests::lines;
using plan_tests::plan_of;
using plan_tests::values;
using Lines = std::vector<std::string>;

constexpr WindowsVersion version = plan_tests::windows_7;

std::string id_of(const Settings& settings) {
  return firstboot::script_id(plan_tests::netsh_of(version, ProductType::client, settings).steps);
}

std::string result_file(const std::string& id, const std::string& status) {
  return "kvmnet-firstboot-result 1\r\nid " + id + "\r\nboot 1\r\nstatus " + status + "\r\n";
}

// A patched guest, before its first boot.
Facts patched(const Settings& settings) {
  const Facts facts = guest(version);
  return applied(facts, plan_of(facts, settings).edits);
}

// A patched guest after a first boot that removed the script and the service.
Facts booted(const Settings& settings, const std::string& status) {
  Facts facts = patched(settings);
  facts.files.erase(std::string(firstboot::script_path));
  facts.files[std::string(firstboot::result_path)] = result_file(id_of(settings), status);
  facts.control_sets[0].keys[plan_tests::our_service_key] = std::nullopt;
  return facts;
}

// The edits of files only, in their order.
Lines file_edits(const Plan& plan) {
  Lines all = lines(plan.edits);
  std::erase_if(all, [](const std::string& line) { return line.rfind("set ", 0) == 0; });
  return all;
}

std::size_t service_edits(const Plan& plan) {
  Lines all = lines(plan.edits);
  return std::erase_if(all, [](const std::string& line) {
    return line.find(plan_tests::our_service_key) != std::string::npos;
  });
}

const std::size_t all_service_values = firstboot::service_values(true).size();

TEST(PlanFirstBoot, WritesTheScriptOfTheNetshCommands) {
  const Settings settings = make_settings({});
  const Facts facts = patched(settings);
  EXPECT_EQ(facts.files.size(), 2U);  // and the record
  EXPECT_EQ(facts.files.at("kvmnet/firstboot.cmd"),
            firstboot::script(plan_tests::netsh_of(version, ProductType::client, settings)));
}

TEST(PlanFirstBoot, TheServiceDependsOnNsiOnlyWhereTheControlSetHasIt) {
  Facts facts = guest(version);
  plan_tests::add_current_set(facts, 2);
  facts.control_sets[1].keys["Services\\nsi"] = std::nullopt;
  const Lines edits = lines(plan_of(facts, make_settings({})).edits);
  EXPECT_TRUE(any_has(edits, "ControlSet001\\Services\\kvmnet-firstboot\\DependOnService"));
  EXPECT_FALSE(any_has(edits, "ControlSet002\\Services\\kvmnet-firstboot\\DependOnService"));
}

TEST(PlanFirstBoot, NothingIsPutInWhereEverythingIsKept) {
  EXPECT_EQ(lines(plan_of(guest(version), make_settings(plan_tests::keep_options())).edits),
            Lines());
}

TEST(PlanFirstBoot, AScriptThatWaitsIsReplacedWhereNothingIsWantedAnyMore) {
  const Settings keep = make_settings(plan_tests::keep_options());
  const Facts facts = patched(make_settings(plan_tests::wiki_options()));
  const Plan plan = plan_of(facts, keep);
  EXPECT_EQ(file_edits(plan), (Lines{"write kvmnet/firstboot.cmd"}));
  const std::string& script = std::get<WriteFile>(plan.edits.at(0)).content;
  EXPECT_EQ(script.find("call :mandatory"), std::string::npos);
  EXPECT_EQ(lines(plan_of(applied(facts, plan.edits), keep).edits), Lines());
}

TEST(PlanFirstBoot, WhatRunsAsSystemIsNobodyElsesToChange) {
  const Settings settings = make_settings({});
  const Plan first = plan_of(guest(version), settings);
  EXPECT_TRUE(std::get<WriteFile>(first.edits.at(0)).make_private);
  Facts facts = patched(settings);
  facts.files["kvmnet/firstboot.boot1"] = "started\r\n";  // it stays: the script is the same
  facts.open_paths.insert("kvmnet/firstboot.cmd");
  const Plan plan = plan_of(facts, settings);
  ASSERT_EQ(lines(plan.edits), (Lines{"write kvmnet/firstboot.cmd"}));
  EXPECT_TRUE(std::get<WriteFile>(plan.edits.at(0)).make_private);
  EXPECT_EQ(lines(plan_of(applied(facts, plan.edits), settings).edits), Lines());
  SettingOptions none;
  none.firstboot = "none";
  EXPECT_TRUE(any_has(plan_of(facts, make_settings(none)).warnings, "have access"));
}

TEST(PlanFirstBoot, AServiceThatIsMarkedForDeletionDoesNotCountAndIsNotArmed) {
  const Settings settings = make_settings({});
  Facts facts = booted(settings, "done");
  values(facts.control_sets[0], plan_tests::our_service_key) = {{"DeleteFlag", hive::dword(1)}};
  EXPECT_EQ(lines(plan_of(facts, settings).edits), Lines());
  const Settings other = make_settings(plan_tests::wiki_options());
  EXPECT_EQ(plan_tests::refusal_of(facts, other).reason, Reason::service_marked_for_deletion);
}

TEST(PlanFirstBoot, AGuestThatHasDoneItIsLeftAlone) {
  const Settings settings = make_settings({});
  EXPECT_EQ(lines(plan_of(booted(settings, "done"), settings).edits), Lines());
}

TEST(PlanFirstBoot, AnyOtherResultPutsTheScriptInAgainAndRemovesTheResult) {
  const Settings settings = make_settings({});
  const std::string id = id_of(settings);
  const std::string other_id = id_of(make_settings(plan_tests::wiki_options()));
  for (const std::string& content :
       {result_file(id, "failed"), result_file(id, "retry"), result_file(other_id, "done"),
        result_file(id, "done").substr(5), std::string(), std::string(1 << 20, 'x')}) {
    Facts facts = booted(settings, "done");
    facts.files[std::string(firstboot::result_path)] = content;
    const Plan plan = plan_of(facts, settings);
    EXPECT_EQ(file_edits(plan),
              (Lines{"remove kvmnet/firstboot.result", "write kvmnet/firstboot.cmd"}))
        << content.substr(0, 100);
    EXPECT_EQ(service_edits(plan), all_service_values);
  }
}

TEST(PlanFirstBoot, ADoneResultCountsOnlyOnceTheServiceIsGone) {
  const Settings settings = make_settings({});
  Facts facts = booted(settings, "done");
  values(facts.control_sets[0], plan_tests::our_service_key).push_back({"Type", hive::dword(0x10)});
  const Plan plan = plan_of(facts, settings);
  EXPECT_EQ(file_edits(plan),
            (Lines{"remove kvmnet/firstboot.result", "write kvmnet/firstboot.cmd"}));
  EXPECT_EQ(service_edits(plan), all_service_values - 1);
}

TEST(PlanFirstBoot, OtherCommandsReplaceTheScriptAndRemoveItsState) {
  Facts facts = patched(make_settings(plan_tests::wiki_options()));
  Lines expected;
  for (const std::string& path : firstboot::state_paths()) {
    facts.files[path] = "x";
    expected.push_back("remove " + path);
  }
  facts.files["kvmnet/firstboot.log"] = "kept";
  expected.push_back("write kvmnet/firstboot.cmd");
  const std::string before = facts.files.at("kvmnet/firstboot.cmd");
  const Plan plan = plan_of(facts, make_settings({}));
  EXPECT_EQ(lines(plan.edits), expected);
  EXPECT_EQ(std::get<WriteFile>(plan.edits.at(plan.edits.size() - 2)).old, before);
  EXPECT_EQ(applied(facts, plan.edits).files.size(), 3U);  // the script, the record and the log
}

TEST(PlanFirstBoot, AScriptThatWaitsOrTriesAgainIsLeftAlone) {
  const Settings settings = make_settings({});
  Facts facts = patched(settings);
  facts.files["kvmnet/firstboot.boot1"] = "started\r\n";
  facts.files[std::string(firstboot::result_path)] = result_file(id_of(settings), "retry");
  EXPECT_EQ(lines(plan_of(facts, settings).edits), Lines());
}

// Such a script only removes itself at the next boot, so it must start afresh.
TEST(PlanFirstBoot, AScriptThatGaveUpButCouldNotRemoveItselfStartsAfresh) {
  const Settings settings = make_settings({});
  Facts facts = patched(settings);
  for (const std::string& path : firstboot::state_paths()) facts.files[path] = "x";
  facts.files.erase("kvmnet/firstboot.new");
  facts.files[std::string(firstboot::result_path)] = result_file(id_of(settings), "failed");
  const Facts after = applied(facts, plan_of(facts, settings).edits);
  for (const std::string& path : firstboot::state_paths())
    EXPECT_FALSE(after.files.contains(path)) << path;
}

TEST(PlanFirstBoot, AScriptThatSomebodyChangedIsReplaced) {
  const Settings settings = make_settings({});
  Facts facts = patched(settings);
  std::string& script = facts.files.at("kvmnet/firstboot.cmd");
  script.back() = ' ';
  EXPECT_EQ(lines(plan_of(facts, settings).edits), Lines{"write kvmnet/firstboot.cmd"});
}

TEST(PlanFirstBoot, ServiceValuesThatSomebodyChangedAreSetAgain) {
  const Settings settings = make_settings({});
  Facts facts = patched(settings);
  for (hive::NamedValue& v : values(facts.control_sets[0], plan_tests::our_service_key))
    if (v.name == "Start") v = {"START", hive::dword(4)};
  EXPECT_EQ(lines(plan_of(facts, settings).edits),
            Lines{"set ControlSet001\\Services\\kvmnet-firstboot\\Start: dword:0x00000004 -> "
                  "dword:0x00000002"});
}

TEST(PlanFirstBoot, WarningsOfTheNetshPlanArePassedOn) {
  const Settings settings = make_settings(plan_tests::wiki_options());
  EXPECT_TRUE(any_has(plan_of(guest(version), settings).warnings, "64 KiB"));
  EXPECT_FALSE(any_has(plan_of(guest(plan_tests::xp), settings).warnings, "64 KiB"));
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/plan_revert.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "src/plan/firstboot.h"
#include "src/plan/setup_complete.h"
#include "tests/unit/plan/guests.h"
#include "tests/unit/plan/script_rules.h"

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

Facts patched(const Facts& facts, const SettingOptions& options = {}) {
  return applied(facts, plan_of(facts, make_settings(options)).edits);
}

Plan revert_of(const Facts& facts, const RevertOptions& options = {}) {
  const auto plan = make_revert(facts, options);
  if (const auto* refusal = std::get_if<Refusal>(&plan)) {
    ADD_FAILURE() << "was refused: " << refusal->message;
    return {};
  }
  return std::get<Plan>(plan);
}

Refusal refusal_of(const Facts& facts) {
  const auto plan = make_revert(facts, {});
  if (std::holds_alternative<Plan>(plan)) {
    ADD_FAILURE() << "was not refused";
    return {};
  }
  return std::get<Refusal>(plan);
}

Facts reverted(const Facts& facts, const RevertOptions& options = {}) {
  return applied(facts, revert_of(facts, options).edits);
}

const SettingOptions all_options[] = {{}, plan_tests::wiki_options()};

TEST(PlanRevert, LeavesAGuestAsItWasBeforeAnyPatch) {
  for (const WindowsVersion& release :
       {plan_tests::xp, plan_tests::server_2003, plan_tests::vista, version, plan_tests::windows_8,
        plan_tests::windows_10_1607, plan_tests::windows_11_24h2})
    for (const bool generalised : {false, true})
      for (const bool has_parameters : {false, true}) {
        Facts facts = guest(release);
        facts.setup_unfinished = generalised;
        if (!has_parameters) facts.control_sets[0].keys[plan_tests::afd_key] = std::nullopt;
        plan_tests::add_current_set(facts, 2);
        values(facts.control_sets[1], plan_tests::tcpip_key)
            .insert(values(facts.control_sets[1], plan_tests::tcpip_key).begin(),
                    {"TcpWindowSize", hive::sz("x")});
        Facts patched_twice = facts;
        for (const SettingOptions& options : all_options)
          patched_twice = patched(patched_twice, options);
        EXPECT_NE(patched_twice, facts);
        EXPECT_EQ(reverted(patched_twice), facts) << plan_tests::name_of(release);
        EXPECT_TRUE(revert_of(reverted(patched_twice)).edits.empty());
      }
}

TEST(PlanRevert, HasNothingToDoInAGuestWithoutAPatch) {
  EXPECT_TRUE(revert_of(guest(version)).edits.empty());
}

TEST(PlanRevert, KeepsWhatIsInSetupCompleteBesideOurPart) {
  Facts facts = guest(version);
  facts.setup_unfinished = true;
  const std::string path(firstboot::setup_complete_path);
  plan_tests::put_file(facts, path, "echo a");
  EXPECT_EQ(reverted(patched(facts)), facts);
  EXPECT_EQ(facts.files.at(path), "echo a");
}

TEST(PlanRevert, RefusesWithAListOfWhatSomebodyHasChanged) {
  Facts facts = patched(guest(plan_tests::server_2003));
  auto& tcpip = values(facts.control_sets[0], plan_tests::tcpip_key);
  for (hive::NamedValue& value : tcpip)
    if (value.name == "TcpWindowSize") value.value = hive::dword(1);
  std::erase_if(tcpip, [](const hive::NamedValue& v) { return v.name == "Hostname"; });
  const Refusal refusal = refusal_of(facts);
  EXPECT_EQ(refusal.reason, Reason::changed_since_patch);
  EXPECT_NE(refusal.message.find("TcpWindowSize is dword:0x00000001"), std::string::npos)
      << refusal.message;
  EXPECT_EQ(refusal.message.find("Tcp1323Opts"), std::string::npos);
  const Facts forced = reverted(facts, {true, true});
  EXPECT_EQ(value_of(forced.control_sets[0], plan_tests::tcpip_key, "TcpWindowSize"), std::nullopt);
  EXPECT_FALSE(forced.record);
}

TEST(PlanRevert, DoesNotMindWhatSomebodyHasPutBackAlready) {
  Facts facts = patched(guest(version));
  std::erase_if(values(facts.control_sets[0], plan_tests::tcpip_key),
                [](const hive::NamedValue& v) { return v.name == "EnableWsd"; });
  EXPECT_EQ(reverted(facts), guest(version));
}

TEST(PlanRevert, LeavesAKeyThatSomethingElseIsInNow) {
  Facts facts = guest(plan_tests::server_2003);
  facts.control_sets[0].keys[plan_tests::afd_key] = std::nullopt;
  Facts with_value = patched(facts);
  values(with_value.control_sets[0], plan_tests::afd_key).push_back({"Other", hive::dword(1)});
  const Plan plan = revert_of(with_value);
  EXPECT_TRUE(any_has(plan.warnings, "stays"));
  EXPECT_EQ(applied(with_value, plan.edits).control_sets[0].keys.at(plan_tests::afd_key)->size(),
            1U);
  Facts with_key = patched(facts);
  with_key.control_sets[0].with_subkeys.insert(plan_tests::afd_key);
  EXPECT_FALSE(any_has(lines(revert_of(with_key).edits),
                       "delete ControlSet001\\Services\\AFD\\Parameters\n"));
  EXPECT_TRUE(any_has(revert_of(with_key).warnings, "stays"));
}

TEST(PlanRevert, PutsBackWhatIsInAControlSetThatIsNotUsedAnyMore) {
  Facts facts = guest(version);
  plan_tests::add_current_set(facts, 2);
  facts = patched(facts);
  facts.other_sets = {facts.control_sets[1]};
  facts.control_sets.pop_back();
  const Lines edits = lines(revert_of(facts).edits);
  EXPECT_TRUE(any_has(edits, "delete ControlSet002\\Services\\Tcpip\\Parameters\\EnableWsd"));
  EXPECT_TRUE(any_has(edits, "delete ControlSet002\\Services\\kvmnet-firstboot"));
  facts.other_sets.clear();
  EXPECT_TRUE(any_has(revert_of(facts).warnings, "ControlSet002 is not there any more"));
}

// Windows has copied the control set since, and may start from the copy.
TEST(PlanRevert, PutsBackWhatIsInACopyOfAControlSet) {
  for (const WindowsVersion& release : {plan_tests::server_2003, version})
    for (const bool original_is_gone : {false, true}) {
      const Facts before = guest(release);
      Facts facts = patched(before);
      ControlSet copy = facts.control_sets[0];
      copy.name = "ControlSet002";
      facts.other_sets = facts.control_sets;
      facts.control_sets = {copy};
      facts.select.default_set = 2;
      if (original_is_gone) facts.other_sets.clear();
      const Facts after = reverted(facts);
      EXPECT_EQ(after.control_sets[0].keys, before.control_sets[0].keys);
      for (const ControlSet& original : after.other_sets)
        EXPECT_EQ(original.keys, before.control_sets[0].keys);
      EXPECT_FALSE(after.record);
      // Another patch notes the copy, with what was before the first.
      EXPECT_EQ(reverted(patched(facts, plan_tests::wiki_options())), after);
    }
}

TEST(PlanRevert, LeavesAControlSetThatIsNoCopyAndSaysSo) {
  Facts facts = patched(guest(plan_tests::server_2003));
  ControlSet other = facts.control_sets[0];
  other.name = "ControlSet002";
  std::erase_if(values(other, plan_tests::tcpip_key),
                [](const hive::NamedValue& v) { return v.name == "Tcp1323Opts"; });
  facts.other_sets = {other};
  const Plan plan = revert_of(facts);
  EXPECT_TRUE(any_has(plan.warnings, "ControlSet002\\Services\\Tcpip\\Parameters\\TcpWindowSize"));
  EXPECT_FALSE(any_has(plan.warnings, "Tcp1323Opts"));
  EXPECT_EQ(applied(facts, plan.edits).other_sets[0], other);
}

// As the guest's own EnableWsd = 0 in a control set that nothing starts from.
TEST(PlanRevert, DoesNotTakeOneValueForACopy) {
  Facts before = guest(version);
  ControlSet other = before.control_sets[0];
  other.name = "ControlSet002";
  values(other, plan_tests::tcpip_key).push_back({"EnableWsd", hive::dword(0)});
  before.other_sets = {other};
  const Plan plan = revert_of(patched(before));
  EXPECT_EQ(reverted(patched(before)), before);
  EXPECT_TRUE(any_has(plan.warnings, "stays as it is"));
}

// What has been patched may still be there, under a name that nothing leads to.
TEST(PlanRevert, IsRefusedWhereTheControlSetThatBootsIsMissing) {
  for (const bool has_record : {true, false}) {
    Facts facts = patched(guest(version));
    facts.other_sets = facts.control_sets;
    facts.control_sets.clear();
    facts.select.default_set = 7;
    if (!has_record) facts.record.reset();
    EXPECT_EQ(refusal_of(facts).reason, Reason::no_control_set);
  }
}

TEST(PlanRevert, IsRefusedWhereItsPartOfSetupCompleteIsOutOfReach) {
  Facts facts = guest(version);
  facts.setup_unfinished = true;
  facts = patched(facts);
  const std::string path(firstboot::setup_complete_path);
  facts.files.erase(path);
  facts.unreadable_files.insert(path);
  EXPECT_EQ(refusal_of(facts).reason, Reason::changed_since_patch);
  EXPECT_TRUE(any_has(revert_of(facts, {true, true}).warnings, "cannot be taken out"));
  Facts never_ours = patched(guest(version));
  never_ours.unreadable_files.insert(path);
  EXPECT_FALSE(revert_of(never_ours).edits.empty());
}

// A generalised guest, with directories that the patch finds there.
Facts with_directories(std::map<std::string, std::size_t> directories) {
  Facts facts = guest(version);
  facts.setup_unfinished = true;
  facts.directories = std::move(directories);
  return facts;
}

TEST(PlanRevert, LeavesDirectoriesThatAPatchHasNotMade) {
  for (const Facts& facts :
       {with_directories({{"Setup", 1}}), with_directories({{"Setup", 1}, {"Setup/Scripts", 0}}),
        with_directories({{"kvmnet", 0}}), with_directories({{"kvmnet", 3}})}) {
    EXPECT_EQ(reverted(patched(facts)), facts);
    EXPECT_FALSE(any_has(revert_of(patched(facts)).warnings, "stays"));
  }
}

TEST(PlanRevert, LeavesDirectoriesToWhatIsNotOurs) {
  Facts facts = patched(with_directories({}));
  EXPECT_EQ(facts.record->directories, (Lines{"Setup", "Setup/Scripts", "kvmnet"}));
  ++facts.directories.at("Setup");
  ++facts.directories.at("kvmnet");
  const Plan plan = revert_of(facts);
  EXPECT_EQ(applied(facts, plan.edits), with_directories({{"Setup", 1}, {"kvmnet", 1}}));
  EXPECT_TRUE(any_has(plan.warnings, "\\kvmnet stays"));
  EXPECT_TRUE(any_has(plan.warnings, "\\Setup stays"));
  --facts.directories.at("Setup");
  ++facts.directories.at("Setup/Scripts");
  EXPECT_TRUE(any_has(revert_of(facts).warnings, "\\Setup\\Scripts stays"));
}

// Also where the part in SetupComplete.cmd has gone with a later patch.
TEST(PlanRevert, RemovesDirectoriesThatALaterPatchHasEmptied) {
  SettingOptions service;
  service.firstboot = "service";
  const Facts facts = patched(patched(with_directories({})), service);
  EXPECT_EQ(facts.directories.at("Setup/Scripts"), 0U);
  EXPECT_EQ(reverted(facts), with_directories({}));
}

TEST(PlanRevert, TrustsARecordThatOthersHaveAccessToOnlyIfItIsForced) {
  for (const std::string path : {"kvmnet", "kvmnet/record.json"}) {
    Facts facts = patched(guest(version));
    facts.open_paths.insert(path);
    EXPECT_EQ(refusal_of(facts).reason, Reason::record_damaged);
    EXPECT_EQ(lines(revert_of(facts, {true, true}).edits),
              lines(revert_of(patched(guest(version))).edits));
  }
}

TEST(PlanRevert, SaysWhatBecomesOfTheLogs) {
  Facts facts = patched(guest(version));
  EXPECT_TRUE(revert_of(facts).warnings.empty());
  facts.system.logs_given_up = true;
  EXPECT_TRUE(any_has(revert_of(facts).warnings, "what is only in them is lost"));
  facts.system.logs_given_up = false;
  facts.system.replayed = 2;
  EXPECT_TRUE(any_has(revert_of(facts).warnings, "2 entries from its transaction logs come first"));
}

TEST(PlanRevert, IsForAnInstalledWindows) {
  Facts facts = patched(guest(version));
  facts.setup_in_progress = true;
  EXPECT_EQ(refusal_of(facts).reason, Reason::setup_in_progress);
}

// What was there has not been saved: no command has been given.
TEST(PlanRevert, OnlyRemovesAScriptThatWasCutOffBeforeItsFirstCommand) {
  const Facts original = guest(version);
  Facts facts = patched(original);
  for (const char* path :
       {"kvmnet/firstboot.boot1", "kvmnet/firstboot.lock", "kvmnet/firstboot.new"})
    plan_tests::put_file(facts, path, "");
  const Plan plan = revert_of(facts);
  EXPECT_EQ(applied(facts, plan.edits), original);
  EXPECT_TRUE(plan.restored.empty());
  plan_tests::put_file(facts, std::string(firstboot::before_path), "");
  EXPECT_FALSE(revert_of(facts).restored.empty());
}

TEST(PlanRevert, SaysHowMuchElseHasChanged) {
  Facts facts = patched(guest(version));
  for (int i = 0; i < 30; ++i)
    facts.record->reg_values.push_back(
        {hive::KeyPath::parse("A"), fmt::format("v{}", i), hive::dword(0), hive::dword(1)});
  const Refusal refusal = refusal_of(facts);
  EXPECT_NE(refusal.message.find("v19"), std::string::npos);
  EXPECT_TRUE(refusal.message.ends_with("; and 10 more")) << refusal.message;
  ASSERT_EQ(refusal.details.size(), 30U);
  EXPECT_NE(refusal.details.back().find("v29"), std::string::npos);
}

TEST(PlanRevert, NeedsARecordOfAPatchThatIsThere) {
  Facts facts = patched(guest(version));
  plan_tests::remove_file(facts, std::string(record_path));
  EXPECT_EQ(refusal_of(facts).reason, Reason::record_missing);
  facts.record_damage = "cut off";
  EXPECT_EQ(refusal_of(facts).reason, Reason::record_damaged);
  facts.record_is_newer = true;
  EXPECT_EQ(refusal_of(facts).reason, Reason::record_newer);
}

// A guest whose first boot has set everything, and whose netsh had something to say before.
Facts booted(const std::string& dump = "set global autotuninglevel=restricted\r\n") {
  Facts facts = patched(guest(version));
  plan_tests::put_file(facts, std::string(firstboot::before_path), dump);
  plan_tests::boot(facts);
  return facts;
}

TEST(PlanRevert, LetsTheNextBootUndoWhatTheFirstHasSet) {
  const Plan plan = revert_of(booted());
  const Facts facts = applied(booted(), plan.edits);
  const std::string& script = facts.files.at(std::string(firstboot::script_path));
  EXPECT_NE(script.find("set global autotuninglevel=restricted\r\n"), std::string::npos);
  EXPECT_NE(script.find("set global congestionprovider=default\r\n"), std::string::npos);
  // What netsh would save now is kvmnet's own.
  EXPECT_EQ(script.find("interface tcp dump"), std::string::npos);
  EXPECT_EQ(plan_tests::broken_rules(script), Lines());
  EXPECT_TRUE(has_key(facts.control_sets[0], plan_tests::our_service_key));
  EXPECT_FALSE(value_of(facts.control_sets[0], plan_tests::tcpip_key, "EnableWsd"));
  EXPECT_EQ(facts.record->state, Record::State::restoring);
  ASSERT_EQ(plan.restored.size(), 4U);
  EXPECT_TRUE(plan.restored[2].from_dump);
  EXPECT_FALSE(plan.restored[3].from_dump);
  ASSERT_TRUE(plan.firstboot);
  EXPECT_EQ(plan.firstboot->mechanism, Mechanism::service);
  EXPECT_EQ(plan.firstboot->steps.size(), 4U);
}

TEST(PlanRevert, RemovesSetupsDirectoriesBeforeThatBootAndOursAfterIt) {
  Facts facts = patched(with_directories({}));
  plan_tests::boot(facts);
  facts.setup_unfinished = false;
  facts = reverted(facts);
  EXPECT_FALSE(facts.directories.contains("Setup"));
  EXPECT_EQ(facts.record->directories, Lines{"kvmnet"});
  plan_tests::boot(facts);
  EXPECT_EQ(reverted(facts), guest(version));
}

TEST(PlanRevert, WaitsForThatBootAndThenRemovesTheRest) {
  Facts facts = reverted(booted());
  EXPECT_TRUE(revert_of(facts).edits.empty());
  plan_tests::put_file(facts, "kvmnet/firstboot.boot1", "started");
  EXPECT_TRUE(revert_of(facts).edits.empty()) << "in the middle of that boot";
  plan_tests::boot(facts);
  EXPECT_EQ(reverted(facts), guest(version));
}

TEST(PlanRevert, SaysWhatTheGuestCouldNotPutBack) {
  Facts facts = reverted(booted());
  plan_tests::boot(facts);
  EXPECT_TRUE(revert_of(facts).warnings.empty());
  std::string& result = facts.files.at(std::string(firstboot::result_path));
  result.insert(result.find("status "), "soft -5 netsh interface tcp set heuristics default\r\n");
  EXPECT_EQ(revert_of(facts).warnings,
            Lines{"the guest's netsh has refused to put this back (exit code -5): netsh interface "
                  "tcp set heuristics default"});
}

TEST(PlanRevert, TriesAgainWhereThatBootHasFailedUnlessForced) {
  Facts facts = reverted(booted());
  plan_tests::boot(facts, "failed");
  EXPECT_TRUE(any_has(lines(revert_of(facts).edits), "write kvmnet/firstboot.cmd"));
  EXPECT_EQ(reverted(facts, {true, true}), guest(version));
}

// A template that no boot may touch: what docs/reasons.md says of it.
TEST(PlanRevert, WithoutABootFreesAServiceThatIsMarkedForDeletion) {
  Facts facts = patched(guest(version));
  facts.setup_unfinished = true;
  values(facts.control_sets[0], plan_tests::our_service_key)
      .push_back({"DeleteFlag", hive::dword(1)});
  EXPECT_EQ(plan_tests::refusal_of(facts, make_settings(plan_tests::wiki_options())).reason,
            Reason::service_marked_for_deletion);
  facts = reverted(facts, {false, false});
  EXPECT_FALSE(has_key(facts.control_sets[0], plan_tests::our_service_key));
  EXPECT_FALSE(plan_of(facts, make_settings({})).edits.empty());
}

TEST(PlanRevert, CanDoWithoutABoot) {
  const Plan plan = revert_of(booted(), {false, false});
  EXPECT_EQ(applied(booted(), plan.edits), guest(version));
  EXPECT_TRUE(any_has(plan.warnings, "keeps what its first boot has set: congestion provider"));
}

// Whatever the first boot has left behind: the settings may have been made.
TEST(PlanRevert, TakesABootThatWasCutOffForOneThatHasRun) {
  for (const char* trace : {"kvmnet/firstboot-before.txt", "kvmnet/firstboot.done"}) {
    Facts facts = patched(guest(version));
    plan_tests::put_file(facts, trace, "");
    EXPECT_FALSE(revert_of(facts).restored.empty()) << trace;
  }
  Facts gone = patched(guest(version));
  plan_tests::remove_file(gone, std::string(firstboot::script_path));
  EXPECT_FALSE(revert_of(gone).restored.empty());
}

TEST(PlanRevert, RemembersABootBeforeALaterPatch) {
  Facts facts = patched(guest(version));
  plan_tests::boot(facts);
  facts = patched(facts, plan_tests::wiki_options());  // which removes the result
  EXPECT_FALSE(revert_of(facts).restored.empty());
}

TEST(PlanRevert, IsUndoneByAnotherPatch) {
  Facts facts = reverted(booted());
  facts = patched(facts);
  EXPECT_EQ(facts.record->state, Record::State::patched);
  EXPECT_TRUE(plan_of(facts, make_settings({})).edits.empty());
  plan_tests::boot(facts);
  EXPECT_FALSE(revert_of(facts).restored.empty());
}

TEST(PlanRevert, SaysThatTheUsersWorkStays) {
  Facts facts = patched(guest(version));
  plan_tests::put_file(facts, std::string(firstboot::begun_path), "work 1 begun command\r\n");
  EXPECT_TRUE(any_has(revert_of(facts, {false, false}).warnings, "own first-boot work"));
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The user's own first-boot work in a guest: put in, begun once, and not planned again.
#include <gtest/gtest.h>

#include "src/plan/firstboot.h"
#include "src/plan/plan.h"
#include "src/support/error.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::any_has;
using plan_tests::applied;
using plan_tests::guest;
using plan_tests::lines;
using plan_tests::plan_of;
using Lines = std::vector<std::string>;
using Work = std::vector<UserWork>;

constexpr WindowsVersion version = plan_tests::windows_7;
const UserWork a = work_of_command("a");
const UserWork b = work_of_script("b.cmd", "echo b\n");
const UserWork c = work_of_command("c");

Settings with(const Work& work, SettingOptions options = {}) {
  options.work = work;
  return make_settings(options);
}

// Edits of files only.
Lines file_edits(const Facts& facts, const Settings& settings) {
  Lines all = lines(plan_of(facts, settings).edits);
  std::erase_if(all, [](const std::string& line) { return line.starts_with("set "); });
  return all;
}

Facts patched(Facts facts, const Settings& settings) {
  const Plan plan = plan_of(facts, settings);
  facts = applied(std::move(facts), plan.edits);
  EXPECT_EQ(lines(plan_of(facts, settings).edits), Lines());
  return facts;
}

// What the guest notes when it begins work.
void begin(Facts& facts, const Work& work) {
  for (const std::string& id : work_ids(work))
    facts.files[std::string(firstboot::begun_path)] += "work " + id + " begun x\r\n";
}

// A first boot that went well.
Facts booted(Facts facts, const Settings& settings) {
  begin(facts, settings.work);
  const auto steps = plan_tests::netsh_of(version, ProductType::client, settings).steps;
  facts.files.erase(std::string(firstboot::script_path));
  for (std::size_t number = 1; number <= settings.work.size(); ++number)
    facts.files.erase(firstboot::work_path(number));
  facts.files[std::string(firstboot::result_path)] = "kvmnet-firstboot-result 1\r\nid " +
                                                     firstboot::script_id(steps) +
                                                     "\r\nboot 1\r\nstatus done\r\n";
  facts.control_sets[0].keys[plan_tests::our_service_key] = std::nullopt;
  return facts;
}

TEST(PlanWork, EachPieceIsAFileBesideTheScript) {
  const Settings settings = with({a, b});
  const Facts facts = patched(guest(version), settings);
  EXPECT_EQ(facts.files.at("kvmnet/firstboot-01.cmd"), a.content);
  EXPECT_EQ(facts.files.at("kvmnet/firstboot-02.cmd"), b.content);
  const NetshPlan netsh = plan_tests::netsh_of(version, ProductType::client, settings);
  EXPECT_EQ(facts.files.at("kvmnet/firstboot.cmd"), firstboot::script(netsh, {a, b}));
  EXPECT_EQ(file_edits(guest(version), settings),
            (Lines{"write kvmnet/firstboot-01.cmd", "write kvmnet/firstboot-02.cmd",
                   "write kvmnet/firstboot.cmd"}));
}

TEST(PlanWork, NeedsNoSettings) {
  const Settings settings = with({a}, plan_tests::keep_options());
  const Facts facts = patched(guest(version), settings);
  EXPECT_EQ(plan_of(facts, settings).firstboot->mechanism, Mechanism::service);
  EXPECT_EQ(lines(plan_of(booted(facts, settings), settings).edits), Lines());
}

TEST(PlanWork, OfAnEarlierPatchIsReplacedWhereItIsNotWantedAnyMore) {
  const Facts facts = patched(guest(version), with({a, b}));
  EXPECT_EQ(file_edits(facts, with({})),
            (Lines{"remove kvmnet/firstboot-01.cmd", "remove kvmnet/firstboot-02.cmd",
                   "write kvmnet/firstboot.cmd"}));
  EXPECT_EQ(file_edits(facts, with({b})),
            (Lines{"write kvmnet/firstboot-01.cmd", "remove kvmnet/firstboot-02.cmd",
                   "write kvmnet/firstboot.cmd"}));
  for (const Work& work : {Work{}, Work{b}, Work{b, a, c}}) {
    const Facts after = patched(facts, with(work));
    EXPECT_EQ(after.files.contains("kvmnet/firstboot-02.cmd"), work.size() > 1);
  }
}

TEST(PlanWork, ThatTheGuestHasBegunIsNotPlannedAgain) {
  const Settings settings = with({a, b});
  const Facts facts = booted(patched(guest(version), settings), settings);
  EXPECT_EQ(lines(plan_of(facts, settings).edits), Lines());
  EXPECT_EQ(lines(plan_of(facts, with({b})).edits), Lines());
  EXPECT_EQ(lines(plan_of(facts, with({b, a})).edits), Lines());
  EXPECT_EQ(lines(plan_of(facts, with({})).edits), Lines());
}

TEST(PlanWork, NewWorkIsPlannedAndOnlyThat) {
  const Settings first = with({a, b});
  Facts facts = booted(patched(guest(version), first), first);
  const Settings second = with({a, c, b, b});
  EXPECT_EQ(file_edits(facts, second),
            (Lines{"write kvmnet/firstboot-02.cmd", "write kvmnet/firstboot-04.cmd",
                   "remove kvmnet/firstboot.result", "write kvmnet/firstboot.cmd"}));
  facts = booted(patched(facts, second), second);
  EXPECT_EQ(lines(plan_of(facts, second).edits), Lines());
  EXPECT_EQ(lines(plan_of(facts, first).edits), Lines());
}

TEST(PlanWork, AScriptThatIsAtWorkIsLeftAlone) {
  const Settings settings = with({a, b});
  Facts facts = patched(guest(version), settings);
  facts.files["kvmnet/firstboot.boot1"] = "started\r\n";
  begin(facts, {a});
  EXPECT_EQ(lines(plan_of(facts, settings).edits), Lines());
  facts.files.erase("kvmnet/firstboot-01.cmd");
  EXPECT_EQ(lines(plan_of(facts, settings).edits), Lines());
}

TEST(PlanWork, IsNotRepeatedWhereTheSettingsAre) {
  const Settings first = with({a});
  const Facts facts = booted(patched(guest(version), first), first);
  const Settings second = with({a}, plan_tests::wiki_options());
  EXPECT_EQ(file_edits(facts, second),
            (Lines{"remove kvmnet/firstboot.result", "write kvmnet/firstboot.cmd"}));
  const Facts after = patched(facts, second);
  EXPECT_TRUE(after.files.contains(std::string(firstboot::begun_path)));
}

TEST(PlanWork, ThatOthersCanChangeIsWrittenAgain) {
  const Settings settings = with({a, b});
  Facts facts = patched(guest(version), settings);
  facts.open_paths.insert("kvmnet/firstboot-02.cmd");
  EXPECT_EQ(file_edits(facts, settings), Lines{"write kvmnet/firstboot-02.cmd"});
  patched(facts, settings);
  begin(facts, {b});  // it is not run again
  EXPECT_EQ(file_edits(facts, settings), Lines());
}

TEST(PlanWork, ThatIsNotBegunAgainIsNamed) {
  const Settings settings = with({a, b});
  Facts facts = patched(guest(version), settings);
  EXPECT_FALSE(any_has(plan_of(facts, settings).warnings, "begun"));
  begin(facts, {b});
  EXPECT_TRUE(any_has(plan_of(facts, settings).warnings, "comment): b.cmd"));
  facts = booted(facts, settings);
  EXPECT_TRUE(any_has(plan_of(facts, settings).warnings, "comment): command, b.cmd"));
  EXPECT_FALSE(any_has(plan_of(facts, with({})).warnings, "begun"));
}

// What a template has done before it was generalised is not done in its clones.
TEST(PlanWork, OfATemplateIsBegunAnewByItsClones) {
  const Settings settings = with({a});
  Facts facts = booted(patched(guest(version), settings), settings);
  facts.setup_unfinished = true;
  for (const Settings& wanted : {settings, with({})}) {
    Lines expected = {"remove kvmnet/firstboot.result", "remove kvmnet/firstboot.ran",
                      "write kvmnet/firstboot.cmd", "write Setup/Scripts/SetupComplete.cmd"};
    if (!wanted.work.empty()) expected.insert(expected.begin(), "write kvmnet/firstboot-01.cmd");
    EXPECT_EQ(file_edits(facts, wanted), expected);
    EXPECT_FALSE(any_has(plan_of(facts, wanted).warnings, "begun"));
    patched(facts, wanted);
  }
}

// GeneralizationState alone stays at its number in guests that were not installed to the letter.
TEST(PlanWork, OfAGuestThatSaysItIsInstalledIsNotBegunAgain) {
  const Settings settings = with({a});
  Facts facts = booted(patched(guest(version), settings), settings);
  facts.setup_unfinished = true;
  facts.is_complete = true;
  EXPECT_TRUE(any_has(plan_of(facts, settings).warnings, "begun"));
  for (const std::string& edit : file_edits(facts, settings))
    EXPECT_EQ(edit.find("firstboot-01.cmd"), std::string::npos) << edit;
}

// The notes are those of the script itself, which Setup may have started.
TEST(PlanWork, OfAScriptThatWaitsInAGeneralisedImageIsNotBegunAgain) {
  const Settings settings = with({a});
  Facts facts = guest(version);
  facts.setup_unfinished = true;
  facts = patched(facts, settings);
  facts.files["kvmnet/firstboot.boot1"] = "started\r\n";
  begin(facts, {a});
  EXPECT_EQ(file_edits(facts, settings), Lines());
  EXPECT_TRUE(any_has(plan_of(facts, settings).warnings, "begun"));
}

TEST(PlanWork, IsRefusedWhereItCannotBeNoted) {
  Facts facts = guest(version);
  facts.unreadable_files.insert(std::string(firstboot::begun_path));
  const Refusal refusal = plan_tests::refusal_of(facts, with({a}));
  EXPECT_EQ(refusal.reason, Reason::option_unsupported);
  EXPECT_NE(refusal.message.find("firstboot.ran"), std::string::npos);
  EXPECT_TRUE(any_has(file_edits(facts, with({})), "write"));
}

TEST(PlanWork, IsRefusedOnNt5) {
  for (const WindowsVersion& legacy : {plan_tests::xp, plan_tests::server_2003}) {
    const Refusal refusal = plan_tests::refusal_of(guest(legacy), with({a}));
    EXPECT_EQ(refusal.reason, Reason::option_unsupported);
    EXPECT_NE(refusal.message.find("--firstboot-command"), std::string::npos);
  }
}

TEST(PlanWork, NeedsTheScript) {
  SettingOptions options;
  options.firstboot = "none";
  EXPECT_THROW(with({a}, options), UsageError);
}

TEST(PlanWork, HasTwoDigits) {
  EXPECT_NO_THROW(with(Work(99, a)));
  EXPECT_THROW(with(Work(100, a)), UsageError);
  const Facts facts = patched(guest(version), with(Work(99, a)));
  EXPECT_TRUE(facts.files.contains("kvmnet/firstboot-99.cmd"));
  const std::vector<std::string> asked = asked_files();
  for (const auto& [path, content] : facts.files)
    EXPECT_NE(std::find(asked.begin(), asked.end(), path), asked.end()) << path;
}

}  // namespace
}  // namespace kvmnet

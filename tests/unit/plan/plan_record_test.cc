// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/plan_record.h"

#include <gtest/gtest.h>

#include "src/plan/firstboot.h"
#include "src/plan/guest_status.h"
#include "src/plan/plan.h"
#include "src/plan/plan_revert.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::applied;
using plan_tests::guest;
using plan_tests::plan_of;

constexpr WindowsVersion version = plan_tests::windows_7;

Facts patched(const Facts& facts, const SettingOptions& options = {}) {
  return applied(facts, plan_of(facts, make_settings(options)).edits);
}

TEST(PlanRecord, NotesEachValueAsItWasBefore) {
  Facts facts = guest(plan_tests::server_2003);
  plan_tests::values(facts.control_sets[0], plan_tests::tcpip_key)
      .push_back({"tcpwindowsize", hive::sz("64k")});
  facts.control_sets[0].keys[plan_tests::afd_key] = std::nullopt;
  const Record record = patched(facts).record.value();
  EXPECT_EQ(record.state, Record::State::patched);
  EXPECT_EQ(record.profile, "kvm");
  EXPECT_FALSE(record.version.empty());
  ASSERT_EQ(record.values.size(), 5U);
  EXPECT_EQ(record.values[4],
            (RecordedValue{"ControlSet001", plan_tests::tcpip_key, "TcpWindowSize", hive::sz("64k"),
                           hive::dword(0x100000)}));
  EXPECT_EQ(record.values[3].before, std::nullopt);
  EXPECT_EQ(record.keys, (std::vector<RecordedKey>{{"ControlSet001", plan_tests::afd_key}}));
  EXPECT_TRUE(record.files.empty());
  EXPECT_TRUE(record.commands.empty());
}

// They are as the patch wants them, and status is to see it when they are not any more; but revert
// has nothing to put back.
TEST(PlanRecord, NotesWhatIsRightAlready) {
  Facts original = guest(plan_tests::server_2003);
  plan_tests::values(original.control_sets[0], plan_tests::tcpip_key)
      .push_back({"tcp1323opts", hive::dword(1)});
  Facts facts = patched(original);
  const Record record = facts.record.value();
  ASSERT_EQ(record.values.size(), 5U);
  EXPECT_EQ(record.values.back(), (RecordedValue{"ControlSet001", plan_tests::tcpip_key,
                                                 "Tcp1323Opts", hive::dword(1), hive::dword(1)}));
  EXPECT_TRUE(plan_of(facts, make_settings({})).edits.empty());
  for (hive::NamedValue& value : plan_tests::values(facts.control_sets[0], plan_tests::tcpip_key))
    if (value.name == "tcp1323opts") value.value = hive::dword(0);
  const GuestStatus status = status_of(facts);
  EXPECT_EQ(status.values.back().state, ValueStatus::State::changed);
  EXPECT_TRUE(status.is_pending());
  const auto reverted = make_revert(facts, {});
  ASSERT_TRUE(std::holds_alternative<Plan>(reverted));
  for (const std::string& line : plan_tests::lines(std::get<Plan>(reverted).edits))
    EXPECT_EQ(line.find("Tcp1323Opts"), std::string::npos) << line;
  EXPECT_TRUE(plan_tests::any_has(std::get<Plan>(reverted).warnings, "it stays as it is"));
}

TEST(PlanRecord, NotesTheScriptItsServiceAndItsCommands) {
  const Record record = patched(guest(version)).record.value();
  EXPECT_EQ(record.files, std::vector<std::string>{std::string(firstboot::script_path)});
  EXPECT_EQ(record.keys,
            (std::vector<RecordedKey>{{"ControlSet001", plan_tests::our_service_key}}));
  ASSERT_EQ(record.values.size(), 1U);
  EXPECT_EQ(record.values[0].name, "EnableWsd");
  EXPECT_EQ(record.commands.size(), 4U);
  EXPECT_FALSE(record.begun);
}

// It removes itself when it has run: after a patch has put it in again nothing else tells that.
TEST(PlanRecord, KnowsThatAScriptWhichHasGoneMayHaveRun) {
  Facts facts = patched(guest(version));
  plan_tests::remove_file(facts, std::string(firstboot::script_path));
  facts = patched(facts);
  EXPECT_TRUE(facts.our_files.contains(std::string(firstboot::script_path)));
  EXPECT_TRUE(facts.record.value().begun);
  const auto reverted = make_revert(facts, {});
  ASSERT_TRUE(std::holds_alternative<Plan>(reverted));
  EXPECT_EQ(std::get<Plan>(reverted).restored.size(), 4U);
}

TEST(PlanRecord, ThatIsNotThereIsSaidWhereNothingIsToBeDone) {
  Facts facts = patched(guest(version));
  const auto settings = make_settings({});
  EXPECT_EQ(plan_of(facts, settings).warnings, std::vector<std::string>{});
  plan_tests::remove_file(facts, std::string(record_path));
  const Plan plan = plan_of(facts, settings);
  EXPECT_TRUE(plan.edits.empty());
  EXPECT_TRUE(plan_tests::any_has(plan.warnings, "no record of a patch"));
}

TEST(PlanRecord, KeepsWhatWasThereBeforeTheFirstPatch) {
  Facts facts = guest(version);
  plan_tests::values(facts.control_sets[0], plan_tests::tcpip_key)
      .push_back({"EnableWsd", hive::dword(7)});
  facts = patched(facts);
  plan_tests::boot(facts);
  facts = patched(facts, plan_tests::heuristics_option("enabled"));
  const Record record = facts.record.value();
  ASSERT_EQ(record.values.size(), 1U);
  EXPECT_EQ(record.values[0].before, hive::dword(7));
  EXPECT_EQ(record.values[0].after, hive::dword(1));
  EXPECT_TRUE(record.begun);
  EXPECT_EQ(record.commands.size(), 5U);  // four of the first patch, one of the second
  EXPECT_EQ(record.keys.size(), 1U);
}

TEST(PlanRecord, IsNotWrittenAgainWithoutAnotherChange) {
  const Facts facts = patched(guest(version));
  EXPECT_TRUE(plan_of(facts, make_settings({})).edits.empty());
  Facts by_older = facts;
  by_older.record->version = "0.0.1";
  EXPECT_TRUE(plan_of(by_older, make_settings({})).edits.empty());
}

TEST(PlanRecord, IsNotWrittenWhereNothingChanges) {
  const Facts facts = guest(version);
  EXPECT_TRUE(plan_of(facts, make_settings(plan_tests::keep_options())).edits.empty());
}

TEST(PlanRecord, IsNoPartOfABareHive) {
  const auto plan = plan_of(guest(version), make_settings({}), Scope::bare_hive);
  for (const std::string& line : plan_tests::lines(plan.edits))
    EXPECT_EQ(line.rfind("set ", 0), 0U) << line;
}

TEST(PlanRecord, ThatCannotBeTrustedIsARefusal) {
  Facts facts = guest(version);
  facts.record_damage = "not a record of kvmnet: too long";
  const Refusal refusal = plan_tests::refusal_of(facts, make_settings({}));
  EXPECT_EQ(refusal.reason, Reason::record_damaged);
  EXPECT_NE(refusal.message.find("too long"), std::string::npos);
}

// What a patch overwrites or makes private there, no revert could give back.
TEST(PlanRecord, IsNotPutIntoADirectoryOfSomebodyElse) {
  Facts open = guest(version);
  open.directories["kvmnet"] = 0;
  open.open_paths.insert("kvmnet");
  Facts with_file = guest(version);
  plan_tests::put_file(with_file, "kvmnet/firstboot.log", "theirs");
  for (const Facts& facts : {open, with_file}) {
    const Refusal refusal = plan_tests::refusal_of(facts, make_settings({}));
    EXPECT_EQ(refusal.reason, Reason::record_missing);
    EXPECT_NE(refusal.message.find("%SystemRoot%\\kvmnet"), std::string::npos);
    EXPECT_TRUE(plan_of(facts, make_settings(plan_tests::keep_options())).edits.empty());
  }
}

// Who can write the record says what revert does, and which values it sets.
TEST(PlanRecord, ThatOthersHaveAccessToIsNotTrusted) {
  for (const std::string path : {"kvmnet", "kvmnet/record.json"}) {
    Facts facts = patched(guest(version));
    facts.open_paths.insert(path);
    const Refusal refusal = plan_tests::refusal_of(facts, make_settings({}));
    EXPECT_EQ(refusal.reason, Reason::record_damaged);
    EXPECT_NE(refusal.message.find("have access to it"), std::string::npos);
  }
}

TEST(PlanRecord, IsNotMadeForAServiceOfSomebodyElse) {
  for (const bool boots : {true, false}) {
    Facts facts = guest(version);
    ControlSet other = facts.control_sets[0];
    other.name = "ControlSet002";
    facts.other_sets.push_back(other);
    (boots ? facts.control_sets[0] : facts.other_sets[0]).keys[plan_tests::our_service_key] = {
        {"Start", hive::dword(3)}};
    EXPECT_EQ(plan_tests::refusal_of(facts, make_settings({})).reason, Reason::record_missing);
  }
}

TEST(PlanRecord, CannotHoldATypeThatWindowsDoesNotName) {
  Facts facts = guest(version);
  plan_tests::values(facts.control_sets[0], plan_tests::tcpip_key)
      .push_back({"EnableWsd", {static_cast<hive::Type>(99), {}}});
  EXPECT_EQ(plan_tests::refusal_of(facts, make_settings({})).reason, Reason::hive_not_editable);
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// .reg files in plans, records, reverts and reports. What the hive answers is made here; the real
// one is asked in tests/unit/apply/reg_guest_test.cc.
#include "src/plan/plan_reg.h"

#include <gtest/gtest.h>

#include "src/plan/guest_status.h"
#include "src/plan/plan_record.h"
#include "src/plan/plan_revert.h"
#include "src/support/error.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using hive::KeyPath;
using plan_tests::any_has;
using plan_tests::applied;
using plan_tests::guest;
using plan_tests::lines;
using plan_tests::plan_of;
using What = hive::Change::What;
using Lines = std::vector<std::string>;

RegInput input(const std::string& text) {
  const std::string file = "REGEDIT4\n" + text;
  RegInput input;
  input.add("a.reg", std::as_bytes(std::span(file)), std::nullopt,
            {"HKEY_LOCAL_MACHINE", "SYSTEM"});
  return input;
}

Settings settings_with(const std::string& reg, const SettingOptions& options = {}) {
  Settings settings = make_settings(options);
  settings.reg = input(reg);
  return settings;
}

std::string complaint(const std::string& text) {
  try {
    require_revertible(input(text));
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

KeyPath key(const std::string& path) {
  return KeyPath::parse("ControlSet001\\" + path);
}

TEST(RequireRevertible, NamesTheLineOfWhatAPatchCouldNotTakeBack) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"[-HKLM\\SYSTEM\\A]\n", "a.reg, line 2, column 3: a key cannot be removed as a whole"},
           {"[HKLM\\SYSTEM\\Select]\n\"Default\"=dword:2\n",
            "a.reg, line 2, column 2: Select is left alone"},
           {"[HKLM\\SYSTEM\\CurrentControlSet\\services\\KVMNET-firstboot\\x]\n", "left alone"},
           {"[HKLM\\SYSTEM\\A]\n\"a\"=dword:1\n  \"b\"=hex:\n",
            "a.reg, line 4, column 3: a value of 0 bytes"},
           {"[HKLM\\SYSTEM\\A]\n\"a\"=hex(c):01\n", "a.reg, line 3, column 1: a value of type 12"},
           {"[HKLM\\SYSTEM\\A\tb]\n", "a.reg, line 2, column 2: a key with control characters"},
           {"[HKLM\\SYSTEM]\n\"a\"=dword:1\n",
            "a.reg, line 3, column 1: a value of the hive's root"}})
    EXPECT_NE(complaint(text).find(why), std::string::npos) << complaint(text);
  std::string large = "[HKLM\\SYSTEM\\A]\n\"a\"=hex:00";
  for (int i = 0; i < 16344; ++i) large += ",00";
  EXPECT_NE(complaint(large + "\n").find("16345 bytes"), std::string::npos);
  EXPECT_EQ(complaint(large.substr(0, large.size() - 3) + "\n"), "");
  EXPECT_EQ(complaint("[HKLM\\SYSTEM]\n[HKLM\\SYSTEM\\A]\n\"a\"=-\n\"b\"=hex(b):01\n"), "");
}

TEST(Resolved, CurrentControlSetStandsForEverySetThatIsEdited) {
  Facts facts = guest(plan_tests::windows_7);
  plan_tests::add_current_set(facts, 3);
  const auto sections = resolved(
      input("[HKLM\\SYSTEM\\currentcontrolset\\A]\n[HKLM\\SYSTEM\\ControlSet002\\A]\n").sections(),
      facts.control_sets);
  ASSERT_EQ(sections.size(), 3U);
  EXPECT_EQ(sections[0].key, (Lines{"ControlSet001", "A"}));
  EXPECT_EQ(sections[1].key, (Lines{"ControlSet003", "A"}));
  EXPECT_EQ(sections[2].key, (Lines{"ControlSet002", "A"}));
}

TEST(WantedValue, IsTheLastOneWhateverTheLetterCase) {
  const RegInput files =
      input("[HKLM\\SYSTEM\\A]\n\"x\"=dword:1\n[HKLM\\SYSTEM\\a]\n\"X\"=-\n\"y\"=dword:2\n");
  const hive::RegValue* x = wanted_value(files.sections(), KeyPath::parse("A"), "x");
  ASSERT_NE(x, nullptr);
  EXPECT_EQ(x->value, std::nullopt);
  EXPECT_EQ(wanted_value(files.sections(), KeyPath::parse("A"), "z"), nullptr);
  EXPECT_EQ(wanted_value(files.sections(), KeyPath::parse("A\\A"), "x"), nullptr);
}

// A guest, and what its hive says to the .reg files that are merged.
Facts answering(Facts facts, std::vector<hive::Change> changes) {
  facts.reg.changes = std::move(changes);
  return facts;
}

TEST(PlanReg, SaysWhatIsSetRemovedAndMadeAndInWhichLine) {
  const Facts facts =
      answering(guest(plan_tests::windows_7),
                {{What::set_value, key("A"), "x", hive::dword(1), hive::dword(2), 3},
                 {What::delete_value, key("A"), "y", hive::dword(1), {}, 4},
                 {What::create_key, key("B"), "", {}, {}, 5}});
  const Plan plan =
      plan_of(facts, settings_with("[HKLM\\SYSTEM\\A]\n", plan_tests::keep_options()));
  ASSERT_EQ(plan.edits.size(), 4U);  // and the record
  EXPECT_EQ(lines(plan.edits),
            (Lines{"set ControlSet001\\A\\x: dword:0x00000001 -> dword:0x00000002",
                   "delete ControlSet001\\A\\y", "create ControlSet001\\B"}));
  EXPECT_EQ(describe(plan.edits[1]).why, "a.reg, line 3");
}

constexpr const char* window_key =
    "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters]\n";

TEST(PlanReg, WinsOverTheProfileAndSaysSo) {
  const Facts facts = answering(
      guest(plan_tests::server_2003),
      {{What::set_value, key(plan_tests::tcpip_key), "TcpWindowSize", {}, hive::dword(5), 3}});
  const Plan plan =
      plan_of(facts, settings_with(std::string(window_key) + "\"tcpwindowsize\"=dword:5\n"));
  EXPECT_EQ(plan.edits.size(), 6U);  // five values and the record
  EXPECT_TRUE(any_has(lines(plan.edits), "TcpWindowSize: absent -> dword:0x00000005"));
  EXPECT_TRUE(any_has(plan.warnings, "TcpWindowSize is as a.reg, line 3 has it"));
  // What the files remove the profile does not set again.
  const Plan removed = plan_of(guest(plan_tests::server_2003),
                               settings_with(std::string(window_key) + "\"TcpWindowSize\"=-\n"));
  EXPECT_EQ(removed.edits.size(), 5U);
  EXPECT_FALSE(any_has(lines(removed.edits), "TcpWindowSize"));
  EXPECT_TRUE(any_has(removed.warnings, "TcpWindowSize is as"));
  // The same as the profile has it needs no word.
  const Plan same =
      plan_of(guest(plan_tests::server_2003),
              settings_with(std::string(window_key) + "\"TcpWindowSize\"=dword:00100000\n"));
  EXPECT_FALSE(any_has(same.warnings, "TcpWindowSize is as"));
}

TEST(PlanReg, DoesNotContradictAnOption) {
  const std::string reg = std::string(window_key) + "\"TcpWindowSize\"=dword:5\n";
  const auto option = plan_tests::set_option("Tcpip\\Parameters\\TcpWindowSize=6");
  const Refusal refusal =
      plan_tests::refusal_of(guest(plan_tests::server_2003), settings_with(reg, option));
  EXPECT_EQ(refusal.reason, Reason::option_unsupported);
  EXPECT_NE(refusal.message.find("a.reg, line 3"), std::string::npos) << refusal.message;
  const auto same = plan_tests::set_option("Tcpip\\Parameters\\TcpWindowSize=5");
  EXPECT_FALSE(plan_of(guest(plan_tests::server_2003), settings_with(reg, same)).edits.empty());
}

TEST(PlanReg, DoesNotContradictHeuristics) {
  const std::string reg = std::string(window_key) + "\"EnableWsd\"=dword:1\n";
  const auto option = plan_tests::heuristics_option("disabled");
  for (const Scope scope : {Scope::guest, Scope::bare_hive}) {
    const Refusal refusal =
        plan_tests::refusal_of(guest(plan_tests::windows_7), settings_with(reg, option), scope);
    EXPECT_EQ(refusal.reason, Reason::option_unsupported);
    EXPECT_NE(refusal.message.find("a.reg, line 3"), std::string::npos) << refusal.message;
    plan_of(guest(plan_tests::windows_7), settings_with(reg), scope);
    plan_of(guest(plan_tests::windows_7),
            settings_with(reg, plan_tests::heuristics_option("enabled")), scope);
  }
}

TEST(PlanReg, WarnsOfWhatThisWindowsDoesNotRead) {
  const Settings settings = settings_with(std::string(window_key) + "\"TcpWindowSize\"=dword:5\n");
  EXPECT_TRUE(any_has(plan_of(guest(plan_tests::windows_7), settings).warnings,
                      "a.reg, line 3: Windows NT 6.1 build 7601 does not read TcpWindowSize"));
  EXPECT_FALSE(
      any_has(plan_of(guest(plan_tests::server_2003), settings).warnings, "does not read"));
}

// What a profile has is checked; .reg files can have anything.
TEST(PlanReg, WarnsOfWhatWindowsMayIgnore) {
  const auto warnings = [](const std::string& values) {
    return plan_of(guest(plan_tests::server_2003), settings_with(std::string(window_key) + values))
        .warnings;
  };
  EXPECT_TRUE(
      any_has(warnings("\"TcpWindowSize\"=dword:40000000\n"),
              "a.reg, line 3: TcpWindowSize=dword:0x40000000: Windows documents a dword of 0 "
              "to 0x3fffffff, and may ignore others"));
  EXPECT_TRUE(any_has(warnings("\"TcpWindowSize\"=\"65535\"\n"), "TcpWindowSize=\"65535\": "));
  EXPECT_TRUE(any_has(warnings("\"Tcp1323Opts\"=dword:4\n"), "a dword of 0 to 0x3, and"));
  EXPECT_TRUE(any_has(warnings("\"Tcp1323Opts\"=hex:01,00,00,00\n"), "Tcp1323Opts=hex"));
  EXPECT_FALSE(any_has(warnings("\"TcpWindowSize\"=dword:3fffffff\n"), "documents"));
  EXPECT_FALSE(any_has(warnings("\"TcpWindowSize\"=-\n"), "documents"));
  const Settings seven =
      settings_with(std::string(window_key) + std::string("\"EnableWsd\"=dword:2\n"));
  EXPECT_TRUE(any_has(plan_of(guest(plan_tests::windows_7), seven).warnings,
                      "EnableWsd=dword:0x00000002: Windows documents a dword of 0 to 0x1"));
}

TEST(PlanReg, WarnsOfAWindowThatIsNotScaled) {
  const auto warnings = [](const std::string& values) {
    return plan_of(guest(plan_tests::server_2003), settings_with(std::string(window_key) + values))
        .warnings;
  };
  const char* why =
      "ControlSet001: TcpWindowSize=0x100000 needs window scaling: Tcp1323Opts must be "
      "1 or 3, and will ";
  EXPECT_TRUE(any_has(warnings("\"Tcp1323Opts\"=dword:2\n"), std::string(why) + "be 2"));
  EXPECT_TRUE(any_has(warnings("\"Tcp1323Opts\"=-\n"), std::string(why) + "not be set"));
  EXPECT_FALSE(any_has(warnings("\"Tcp1323Opts\"=dword:3\n"), "scaling"));
  EXPECT_FALSE(
      any_has(warnings("\"Tcp1323Opts\"=dword:0\n\"TcpWindowSize\"=dword:ffff\n"), "scaling"));
}

TEST(PlanReg, WarnsOfAServiceThatTheFirstBootNeeds) {
  const auto warnings = [](const std::string& value, const SettingOptions& options = {}) {
    return plan_of(
               guest(plan_tests::windows_7),
               settings_with("[HKLM\\SYSTEM\\CurrentControlSet\\Services\\NSI]\n\"start\"=dword:" +
                                 value + "\n",
                             options))
        .warnings;
  };
  const char* why = "a.reg, line 3: with the service nsi disabled";
  EXPECT_TRUE(any_has(warnings("4"), why));
  EXPECT_FALSE(any_has(warnings("2"), why));
  SettingOptions none;
  none.firstboot = "none";
  EXPECT_FALSE(any_has(warnings("4", none), why));
}

TEST(PlanReg, RefusesWhatTheHiveCannotHold) {
  Facts facts = guest(plan_tests::windows_7);
  facts.reg.unsupported = "key A has a value without data";
  EXPECT_EQ(plan_tests::refusal_of(facts, make_settings({})).reason, Reason::hive_not_editable);
  facts.reg.unsupported_line = 3;
  EXPECT_EQ(plan_tests::refusal_of(facts, settings_with("[HKLM\\SYSTEM\\A]\n")).message,
            "--reg: a.reg, line 3, column 1: key A has a value without data");
  facts.reg.unsupported.clear();
  for (const std::string name : {"ControlSet007", "controlset007", "ControlSet7", "CONTROLSET"}) {
    facts.reg.missing = {KeyPath::parse(name), KeyPath::parse(name) / "A"};
    const Refusal refusal = plan_tests::refusal_of(facts, make_settings({}));
    EXPECT_EQ(refusal.reason, Reason::option_unsupported);
    EXPECT_NE(refusal.message.find("no " + name), std::string::npos);
  }
  facts.reg.changes = {
      {What::set_value, facts.reg.missing.back(), "x", hive::dword(1), hive::dword(2), 3}};
  EXPECT_EQ(plan_tests::refusal_of(facts, settings_with("[HKLM\\SYSTEM\\A]\n")).message,
            "a.reg, line 3: the guest has no CONTROLSET");
}

Record record_after(const Facts& facts, const Settings& settings) {
  return applied(facts, plan_of(facts, settings).edits).record.value();
}

TEST(PlanReg, IsRecordedBesideWhatKvmnetKnows) {
  Facts facts = answering(guest(plan_tests::server_2003),
                          {{What::set_value,
                            KeyPath::parse("CONTROLSET001\\services\\tcpip\\parameters"),
                            "tcpwindowsize",
                            {},
                            hive::dword(5),
                            3},
                           {What::delete_value, key("Services\\X"), "\u00e4", hive::sz("1"), {}, 4},
                           {What::set_value, key("Services\\X\\Y\\Z"), "", {}, hive::dword(1), 5}});
  facts.reg.missing = {key("Services\\X\\Y"), key("Services\\X\\Y\\Z")};
  const Record record =
      record_after(facts, settings_with(std::string(window_key) + "\"TcpWindowSize\"=dword:5\n"));
  ASSERT_EQ(record.values.size(), 5U);
  EXPECT_EQ(
      record.values[4],
      (RecordedValue{"ControlSet001", plan_tests::tcpip_key, "TcpWindowSize", {}, hive::dword(5)}));
  EXPECT_EQ(record.reg_values,
            (std::vector<RecordedRegValue>{{key("Services\\X"), "\u00e4", hive::sz("1"), {}},
                                           {key("Services\\X\\Y\\Z"), "", {}, hive::dword(1)}}));
  EXPECT_EQ(record.reg_keys, facts.reg.missing);
}

TEST(PlanReg, KeepsInTheRecordWhatWasThereBeforeTheFirstPatch) {
  Facts facts = answering(guest(plan_tests::server_2003),
                          {{What::set_value, key("A"), "x", hive::dword(1), hive::dword(2), 3}});
  facts = applied(facts, plan_of(facts, settings_with("[HKLM\\SYSTEM\\A]\n")).edits);
  facts.reg = {};
  // The profile's value goes, the other one comes to another state.
  facts.reg.changes = {{What::delete_value,
                        key(plan_tests::tcpip_key),
                        "TcpWindowSize",
                        hive::dword(0x100000),
                        {},
                        3},
                       {What::delete_value, key("a"), "X", hive::dword(2), {}, 4}};
  const Record record =
      record_after(facts, settings_with(std::string(window_key) + "\"TcpWindowSize\"=-\n"));
  EXPECT_EQ(record.values.size(), 4U);
  EXPECT_EQ(record.reg_values,
            (std::vector<RecordedRegValue>{{key("A"), "x", hive::dword(1), {}},
                                           {key(plan_tests::tcpip_key), "TcpWindowSize", {}, {}}}));
}

TEST(PlanReg, RecordsWhatIsRightAlready) {
  Facts facts = answering(guest(plan_tests::server_2003),
                          {{What::set_value, key("A"), "x", {}, hive::dword(2), 3}});
  facts.reg.right = {{What::set_value, key("A"), "y", hive::dword(1), hive::dword(1), 4},
                     {What::delete_value, key("B"), "", {}, {}, 5}};
  const Settings settings = settings_with("[HKLM\\SYSTEM\\A]\n");
  const Record record = record_after(facts, settings);
  EXPECT_EQ(record.reg_values,
            (std::vector<RecordedRegValue>{{key("A"), "x", {}, hive::dword(2)},
                                           {key("A"), "y", hive::dword(1), hive::dword(1)},
                                           {key("B"), "", {}, {}}}));
  // What the files want now counts, also where somebody else has made it so.
  Facts later = applied(facts, plan_of(facts, settings).edits);
  later.reg = {};
  later.reg.changes = {{What::set_value, key("A"), "z", {}, hive::dword(1), 3}};
  later.reg.right = {{What::set_value, key("a"), "X", hive::dword(3), hive::dword(3), 4}};
  EXPECT_EQ(record_after(later, settings).reg_values[0],
            (RecordedRegValue{key("A"), "x", {}, hive::dword(3)}));
  // Alone it is no reason to write a record.
  later.reg.changes.clear();
  EXPECT_TRUE(plan_of(later, settings).edits.empty());
}

TEST(PlanReg, RecordsNoneThatAreRightAlreadyWhereTheyAreTooMany) {
  Facts facts = answering(guest(plan_tests::windows_7),
                          {{What::set_value, key("A"), "x", {}, hive::dword(2), 3}});
  for (int i = 0; i < 1000; ++i)
    facts.reg.right.push_back({What::delete_value, key("A"), std::to_string(i), {}, {}, 3});
  const Settings settings = settings_with("[HKLM\\SYSTEM\\A]\n");
  EXPECT_EQ(record_after(facts, settings).reg_values,
            (std::vector<RecordedRegValue>{{key("A"), "x", {}, hive::dword(2)}}));
  const auto edits = plan_of(facts, settings).edits;
  EXPECT_TRUE(std::any_of(edits.begin(), edits.end(), [](const Edit& edit) {
    const auto* file = std::get_if<WriteFile>(&edit);
    return file != nullptr && file->path == record_path &&
           file->why.find("right already: too many") != std::string::npos;
  }));
  // Those that it has already are kept up to date.
  Facts later = applied(facts, plan_of(facts, settings).edits);
  later.reg.changes = {{What::set_value, key("A"), "y", {}, hive::dword(2), 3}};
  later.reg.right = facts.reg.right;
  later.reg.right.push_back({What::set_value, key("A"), "x", hive::dword(3), hive::dword(3), 3});
  EXPECT_EQ(record_after(later, settings).reg_values,
            (std::vector<RecordedRegValue>{{key("A"), "x", {}, hive::dword(3)},
                                           {key("A"), "y", {}, hive::dword(2)}}));
  facts.reg.right.pop_back();
  EXPECT_EQ(record_after(facts, settings).reg_values.size(), 1000U);
}

TEST(PlanReg, RefusesMoreThanARecordHolds) {
  Facts facts = guest(plan_tests::windows_7);
  for (int i = 0; i < 1001; ++i)
    facts.reg.changes.push_back(
        {What::set_value, key("A"), std::to_string(i), {}, hive::dword(1), 3});
  EXPECT_EQ(plan_tests::refusal_of(facts, make_settings({})).reason, Reason::hive_not_editable);
}

TEST(RegQuestion, AsksForTheKeysOfARecordThatHasSuchValues) {
  Facts facts = guest(plan_tests::windows_7);
  EXPECT_TRUE(reg_question(facts, {}).empty());
  facts.record.emplace();
  facts.record->keys = {{"ControlSet001", plan_tests::afd_key}};
  EXPECT_TRUE(reg_question(facts, {}).empty());
  facts.record->reg_values = {{key("A"), "x", {}, {}}, {key("a"), "y", {}, {}}};
  facts.record->reg_keys = {key("A"), key("B")};
  EXPECT_EQ(reg_question(facts, {}).keys,
            (std::vector<AskedKey>{
                {key("A"), {"x", "y"}}, {key("B"), {}}, {key(plan_tests::afd_key), {}}}));
}

// A guest where .reg files have made A, A\B and a value in each, and have set one in C and removed
// another there.
Facts merged() {
  Facts facts = guest(plan_tests::windows_7);
  facts.record.emplace();
  facts.record->reg_values = {{key("A"), "a", {}, hive::dword(1)},
                              {key("A\\B"), "b", {}, hive::dword(1)},
                              {key("C"), "c", hive::dword(3), hive::dword(4)},
                              {key("C"), "gone", hive::sz("x"), {}}};
  facts.record->reg_keys = {key("A"), key("A\\B")};
  facts.reg.keys = {{key("A"), true, 1, 1, {{"a", hive::dword(1)}}},
                    {key("A\\B"), true, 1, 0, {{"b", hive::dword(1)}}},
                    {key("C"), true, 7, 2, {{"c", hive::dword(4)}}}};
  return facts;
}

Plan revert_of(const Facts& facts, const RevertOptions& options = {}) {
  return std::get<Plan>(make_revert(facts, options));
}

TEST(RevertOfReg, PutsBackValuesAndRemovesTheKeysThatItHasMade) {
  const Plan plan = revert_of(merged());
  EXPECT_EQ(lines(plan.edits),
            (Lines{"set ControlSet001\\C\\c: dword:0x00000004 -> dword:0x00000003",
                   "set ControlSet001\\C\\gone: absent -> \"x\"", "delete ControlSet001\\A"}));
  EXPECT_TRUE(plan.warnings.empty());
}

TEST(RevertOfReg, LeavesKeysThatSomebodyHasPutSomethingInto) {
  Facts facts = merged();
  facts.reg.keys[1].values = 2;
  Plan plan = revert_of(facts);
  EXPECT_TRUE(any_has(plan.warnings, "ControlSet001\\A\\B stays"));
  EXPECT_TRUE(any_has(plan.warnings, "ControlSet001\\A stays"));
  EXPECT_TRUE(any_has(lines(plan.edits), "delete ControlSet001\\A\\B\\b"));
  EXPECT_TRUE(any_has(lines(plan.edits), "delete ControlSet001\\A\\a"));
  facts = merged();
  facts.reg.keys[0].subkeys = 2;
  plan = revert_of(facts);
  EXPECT_EQ(plan.warnings.size(), 1U);
  EXPECT_EQ(lines(plan.edits).back(), "delete ControlSet001\\A\\B");
}

TEST(RevertOfReg, RefusesWhereSomebodyHasChangedAValueSince) {
  Facts facts = merged();
  facts.reg.keys[2].named = {{"c", hive::dword(9)}, {"gone", hive::sz("y\x1b")}};
  const auto plan = make_revert(facts, {});
  ASSERT_TRUE(std::holds_alternative<Refusal>(plan));
  const Refusal& refusal = std::get<Refusal>(plan);
  EXPECT_EQ(refusal.reason, Reason::changed_since_patch);
  EXPECT_NE(refusal.message.find("C\\c is dword:0x00000009, was set to dword:0x00000004"),
            std::string::npos)
      << refusal.message;
  EXPECT_NE(refusal.message.find("was removed"), std::string::npos) << refusal.message;
  EXPECT_TRUE(any_has(lines(revert_of(facts, {true, true}).edits),
                      "set ControlSet001\\C\\c: dword:0x00000009 -> dword:0x00000003"));
}

TEST(RevertOfReg, HasNothingToDoInAControlSetThatHasGone) {
  Facts facts = merged();
  facts.record->reg_values = {{KeyPath::parse("ControlSet009\\A"), "a", hive::dword(1), {}}};
  facts.record->reg_keys = {KeyPath::parse("ControlSet009\\B")};
  facts.reg.keys = {{KeyPath::parse("ControlSet009\\A"), false, 0, 0, {}},
                    {KeyPath::parse("ControlSet009\\B"), false, 0, 0, {}}};
  const Plan plan = revert_of(facts);
  EXPECT_TRUE(plan.edits.empty());
  EXPECT_TRUE(any_has(plan.warnings, "ControlSet009 is not there any more"));
}

// Windows makes one of the set that has booted well, with what .reg files have set in it.
TEST(RevertOfReg, PutsBackWhatIsInACopyOfTheControlSet) {
  Facts facts = merged();
  facts.record->values = {
      {"ControlSet001", plan_tests::tcpip_key, "EnableWsd", {}, hive::dword(0)}};
  plan_tests::values(facts.control_sets[0], plan_tests::tcpip_key)
      .push_back({"EnableWsd", hive::dword(0)});
  facts.other_sets = {facts.control_sets[0]};
  facts.other_sets[0].name = "ControlSet003";
  const std::vector<AskedKey> asked = reg_question(facts, {}).keys;
  ASSERT_EQ(asked.size(), 6U);
  EXPECT_EQ(asked[3].key, KeyPath::parse("ControlSet003\\A"));
  for (std::size_t i = 0; i < 3; ++i) {
    KeyState copy = facts.reg.keys[i];
    copy.key = asked[3 + i].key;
    facts.reg.keys.push_back(copy);
  }
  const Lines edits = lines(revert_of(facts).edits);
  for (const char* set : {"ControlSet001", "ControlSet003"}) {
    EXPECT_TRUE(any_has(edits, std::string("delete ") + set + "\\A")) << set;
    EXPECT_TRUE(any_has(edits, std::string("set ") + set + "\\C\\gone: absent")) << set;
  }
  // A set that has the value by chance is no copy.
  facts.reg.keys[5].named.push_back({"gone", hive::sz("x")});
  EXPECT_FALSE(any_has(lines(revert_of(facts).edits), "ControlSet003"));
  facts.reg.keys[5].named.pop_back();
  facts.reg.keys[4].is_there = false;
  EXPECT_FALSE(any_has(lines(revert_of(facts).edits), "ControlSet003"));
  // Nor one that .reg files have named themselves.
  facts.record->reg_keys.push_back(KeyPath::parse("ControlSet003\\Own"));
  EXPECT_EQ(reg_question(facts, {}).keys.size(), 4U);
}

// A control set that is as the first one but for its name, and what its hive says.
void add_other_set(Facts& facts, const std::string& name) {
  facts.other_sets.push_back(facts.control_sets[0]);
  facts.other_sets.back().name = name;
  for (const AskedKey& asked : reg_question(facts, {}).keys) {
    if (asked.key.elements().front() != name) continue;
    KeyState state = state_of(facts, moved(asked.key, "ControlSet001"));
    state.key = asked.key;
    facts.reg.keys.push_back(state);
  }
}

TEST(RevertOfReg, KnowsACopyByWhatOnlyRegFilesHaveSet) {
  Facts facts = merged();
  add_other_set(facts, "ControlSet003");
  ASSERT_EQ(facts.reg.keys.size(), 6U);
  Plan plan = revert_of(facts);
  EXPECT_TRUE(any_has(lines(plan.edits), "delete ControlSet003\\A"));
  EXPECT_TRUE(any_has(lines(plan.edits), "set ControlSet003\\C\\c: dword:0x00000004 -> "));
  EXPECT_TRUE(plan.warnings.empty());
  // What is not wholly so stays, and that is said.
  facts.reg.keys[5].named = {};
  plan = revert_of(facts);
  EXPECT_FALSE(any_has(lines(plan.edits), "ControlSet003"));
  EXPECT_TRUE(any_has(plan.warnings, "ControlSet003\\A\\a stays as it is, dword:0x00000001"));
  EXPECT_FALSE(any_has(plan.warnings, "ControlSet003\\C"));
}

// Where nothing but removals are noted, any set that never had the values looks like a copy.
TEST(RevertOfReg, DoesNotTakeASetWithoutTheValuesForACopy) {
  Facts facts = merged();
  facts.record->reg_keys.clear();
  facts.record->reg_values = {{key("C"), "gone", hive::sz("x"), {}},
                              {key("C"), "gone too", hive::sz("x"), {}}};
  add_other_set(facts, "ControlSet003");
  EXPECT_FALSE(any_has(lines(revert_of(facts).edits), "ControlSet003"));
}

// Nor does a value that the patch has only found: the guest's other sets may well have it, too.
TEST(RevertOfReg, DoesNotTakeASetWithValuesThatWereRightForACopy) {
  Facts facts = merged();
  facts.record->reg_keys.clear();
  facts.record->reg_values = {{key("C"), "c", hive::dword(3), hive::dword(4)},
                              {key("C"), "d", hive::dword(5), hive::dword(5)}};
  facts.reg.keys = {{key("C"), true, 7, 2, {{"c", hive::dword(4)}, {"d", hive::dword(5)}}}};
  add_other_set(facts, "ControlSet003");
  const Lines edits = lines(revert_of(facts).edits);
  EXPECT_TRUE(any_has(edits, "set ControlSet001\\C\\c: "));
  EXPECT_FALSE(any_has(edits, "ControlSet001\\C\\d"));
  EXPECT_FALSE(any_has(edits, "ControlSet003"));
}

TEST(RevertOfReg, FindsTheSetThatACopyWasMadeOf) {
  Facts facts = merged();
  const KeyPath second = KeyPath::parse("ControlSet002\\A");
  const KeyPath third = KeyPath::parse("ControlSet003\\A");
  facts.record->reg_keys.clear();
  facts.record->reg_values = {{key("A"), "a", {}, hive::dword(1)},
                              {key("A"), "b", {}, hive::dword(1)},
                              {second, "a", hive::dword(7), hive::dword(2)},
                              {second, "b", {}, hive::dword(2)}};
  for (const char* name : {"ControlSet002", "ControlSet003"}) {
    facts.other_sets.push_back(facts.control_sets[0]);
    facts.other_sets.back().name = name;
  }
  facts.reg.keys = {{key("A"), true, 2, 0, {{"a", hive::dword(1)}, {"b", hive::dword(1)}}},
                    {second, true, 2, 0, {{"a", hive::dword(2)}, {"b", hive::dword(2)}}},
                    {third, true, 2, 0, {{"a", hive::dword(2)}, {"b", hive::dword(2)}}}};
  EXPECT_TRUE(any_has(lines(revert_of(facts).edits),
                      "set ControlSet003\\A\\a: dword:0x00000002 -> dword:0x00000007"));
}

TEST(RevertOfReg, DoesNotMakeAKeyAnewThatSomebodyHasRemoved) {
  Facts facts = merged();
  facts.reg.keys[2] = {key("C"), false, 0, 0, {}};
  const auto plan = make_revert(facts, {});
  ASSERT_TRUE(std::holds_alternative<Refusal>(plan));
  const Refusal& refusal = std::get<Refusal>(plan);
  EXPECT_EQ(refusal.reason, Reason::changed_since_patch);
  EXPECT_NE(refusal.message.find("C\\c has gone with its key, was set to dword:0x00000004; "
                                 "ControlSet001\\C\\gone has gone with its key, was removed"),
            std::string::npos)
      << refusal.message;
  const Plan forced = revert_of(facts, {true, true});
  EXPECT_EQ(lines(forced.edits), Lines{"delete ControlSet001\\A"});
  EXPECT_TRUE(any_has(forced.warnings,
                      "ControlSet001\\C\\gone is not put back: its key is not "
                      "there any more"));
}

// As where Windows has gone back to LastKnownGood.
TEST(StatusOfReg, LooksWhereWindowsStartsFrom) {
  Facts facts = merged();
  facts.control_sets.push_back(facts.control_sets[0]);
  facts.control_sets[1].name = "ControlSet002";
  std::swap(facts.control_sets[0], facts.control_sets[1]);
  EXPECT_EQ(reg_question(facts, {}).keys.size(), 6U);
  const auto values = status_of(facts).values;
  ASSERT_EQ(values.size(), 8U);
  EXPECT_EQ(values[4].recorded.key, KeyPath::parse("ControlSet002\\A"));
  EXPECT_EQ(values[4].state, ValueStatus::State::as_before);
  EXPECT_TRUE(status_of(facts).is_pending());
}

TEST(StatusOfReg, SaysWhatHasChangedSince) {
  Facts facts = merged();
  EXPECT_FALSE(status_of(facts).is_pending());
  ASSERT_EQ(status_of(facts).values.size(), 4U);
  facts.reg.keys[0].named = {};
  facts.reg.keys[2].named = {{"c", hive::dword(9)}, {"gone", hive::sz("x")}};
  const auto values = status_of(facts).values;
  using State = ValueStatus::State;
  EXPECT_EQ(values[0].state, State::as_before);
  EXPECT_EQ(values[1].state, State::as_patched);
  EXPECT_EQ(values[2].state, State::changed);
  EXPECT_EQ(values[3].state, State::as_before);
  EXPECT_TRUE(status_of(facts).is_pending());
}

}  // namespace
}  // namespace kvmnet

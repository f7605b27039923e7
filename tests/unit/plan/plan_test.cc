// SPDX-License-Identifier: GPL-2.0-or-later
// Which edits a guest gets. The first-boot part and the refusals have files of their own.
#include "src/plan/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

#include "src/plan/firstboot.h"
#include "src/plan/firstboot_service.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::any_has;
using plan_tests::applied;
using plan_tests::guest;
using plan_tests::lines;
using plan_tests::name_of;
using plan_tests::plan_of;
using plan_tests::values;
using Lines = std::vector<std::string>;

// The edits of the registry values that XP and Server 2003 read.
Lines legacy_edits(const std::string& set) {
  const std::string afd = "set " + set + "\\Services\\AFD\\Parameters\\";
  const std::string tcpip = "set " + set + "\\Services\\Tcpip\\Parameters\\";
  return {afd + "DefaultReceiveWindow: absent -> dword:0x00100000",
          afd + "DefaultSendWindow: absent -> dword:0x00100000",
          afd + "FastSendDatagramThreshold: absent -> dword:0x00004000",
          tcpip + "Tcp1323Opts: absent -> dword:0x00000001",
          tcpip + "TcpWindowSize: absent -> dword:0x00100000"};
}

std::string enable_wsd(const std::string& set) {
  return "set " + set + "\\Services\\Tcpip\\Parameters\\EnableWsd: absent -> dword:0x00000000";
}

Lines service_edits(const std::string& set) {
  const std::string key = "set " + set + "\\Services\\kvmnet-firstboot\\";
  Lines all;
  for (const hive::NamedValue& v : firstboot::service_values(true))
    all.push_back(key + v.name + ": absent -> " + hive::describe(v.value));
  return all;
}

Lines joined(std::initializer_list<Lines> parts) {
  Lines all;
  for (const Lines& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::vector<WindowsVersion> all_releases() {
  std::vector<WindowsVersion> all = {plan_tests::xp, plan_tests::server_2003};
  all.insert(all.end(), plan_tests::netsh_releases.begin(), plan_tests::netsh_releases.end());
  return all;
}

TEST(Plan, XpAndServer2003GetFiveRegistryValuesAndNothingElse) {
  for (const WindowsVersion& version : {plan_tests::xp, plan_tests::server_2003})
    for (const ProductType product : plan_tests::product_types)
      for (const SettingOptions& options : {SettingOptions{}, plan_tests::wiki_options()})
        EXPECT_EQ(lines(plan_of(guest(version, product), make_settings(options)).edits),
                  legacy_edits("ControlSet001"))
            << name_of(version, product);
}

TEST(Plan, LaterVersionsGetTheScriptFirstThenEnableWsdAndTheService) {
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    for (const ProductType product : plan_tests::product_types)
      EXPECT_EQ(lines(plan_of(guest(version, product), make_settings({})).edits),
                joined({{"write kvmnet/firstboot.cmd", enable_wsd("ControlSet001")},
                        service_edits("ControlSet001")}))
          << name_of(version, product);
}

TEST(Plan, ABareHiveGetsNoServiceAndNoFiles) {
  const Settings settings = make_settings({});
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    EXPECT_EQ(lines(plan_of(guest(version), settings, Scope::bare_hive).edits),
              Lines{enable_wsd("ControlSet001")})
        << name_of(version);
  EXPECT_EQ(lines(plan_of(guest(plan_tests::xp), settings, Scope::bare_hive).edits),
            legacy_edits("ControlSet001"));
}

TEST(Plan, ABareHiveNeedsNeitherABuildNorASoftwareHive) {
  Facts facts = guest({10, 0, 0});
  facts.software = {};
  facts.system_root.clear();
  EXPECT_EQ(lines(plan_of(facts, make_settings({}), Scope::bare_hive).edits),
            Lines{enable_wsd("ControlSet001")});
}

TEST(Plan, ShowsWhatWasThereBefore) {
  Facts facts = guest(plan_tests::xp);
  values(facts.control_sets[0], plan_tests::tcpip_key)
      .push_back({"TcpWindowSize", hive::dword(0x2238)});
  values(facts.control_sets[0], plan_tests::afd_key)
      .push_back({"DefaultSendWindow", hive::sz("8192")});
  const Lines edits = lines(plan_of(facts, make_settings({})).edits);
  EXPECT_TRUE(any_has(edits, "TcpWindowSize: dword:0x00002238 -> dword:0x00100000"));
  EXPECT_TRUE(any_has(edits, "DefaultSendWindow: \"8192\" -> dword:0x00100000"));
}

TEST(Plan, DropsOnlyTheEditsThatAreSatisfied) {
  Facts facts = guest(plan_tests::xp);
  values(facts.control_sets[0], plan_tests::tcpip_key)
      .push_back({"TcpWindowSize", hive::dword(0x100000)});
  Lines expected = legacy_edits("ControlSet001");
  expected.pop_back();
  EXPECT_EQ(lines(plan_of(facts, make_settings({})).edits), expected);
}

TEST(Plan, ANumberOfAnotherTypeOrLengthIsNotSatisfied) {
  for (const hive::Value& value :
       {hive::Value{hive::Type::binary, hive::dword(0x100000).data},
        hive::Value{hive::Type::dword, {std::byte{0}, std::byte{0}, std::byte{16}}},
        hive::Value{hive::Type::dword, {}}, hive::sz("1048576")}) {
    Facts facts = guest(plan_tests::xp);
    values(facts.control_sets[0], plan_tests::tcpip_key).push_back({"TcpWindowSize", value});
    EXPECT_EQ(lines(plan_of(facts, make_settings({})).edits).size(), 5U) << hive::describe(value);
  }
}

TEST(Plan, ValueNamesAreTheSameInAnyLetterCase) {
  Facts facts = guest(plan_tests::xp);
  for (const RegistrySetting& setting : make_settings({}).registry) {
    std::string name(setting.known->name);
    for (char& c : name) c = static_cast<char>(std::toupper(c));
    values(facts.control_sets[0], std::string(setting.known->key))
        .push_back({name, hive::dword(setting.data)});
  }
  EXPECT_EQ(lines(plan_of(facts, make_settings({})).edits), Lines());
}

TEST(Plan, MissingParametersAreCreated) {
  Facts facts = guest(plan_tests::xp);
  facts.control_sets[0].keys[plan_tests::afd_key] = std::nullopt;
  facts.control_sets[0].keys.erase(plan_tests::tcpip_key);
  EXPECT_EQ(lines(plan_of(facts, make_settings({})).edits), legacy_edits("ControlSet001"));
}

TEST(Plan, SetOptionsReachTheRegistry) {
  const Settings settings =
      make_settings(plan_tests::set_option("Tcpip\\Parameters\\TcpWindowSize=0x40000"));
  EXPECT_TRUE(any_has(lines(plan_of(guest(plan_tests::server_2003), settings).edits),
                      "TcpWindowSize: absent -> dword:0x00040000"));
}

TEST(Plan, BothControlSetsAreEditedWithAWarningWhereTheyDiffer) {
  for (const WindowsVersion& version : {plan_tests::xp, plan_tests::windows_7}) {
    Facts facts = guest(version);
    EXPECT_EQ(plan_of(facts, make_settings({})).warnings, Lines()) << name_of(version);
    plan_tests::add_current_set(facts, 3);
    const Plan plan = plan_of(facts, make_settings({}));
    const Lines expected =
        version == plan_tests::xp
            ? joined({legacy_edits("ControlSet001"), legacy_edits("ControlSet003")})
            : joined({{"write kvmnet/firstboot.cmd", enable_wsd("ControlSet001"),
                       enable_wsd("ControlSet003")},
                      service_edits("ControlSet001"),
                      service_edits("ControlSet003")});
    EXPECT_EQ(lines(plan.edits), expected) << name_of(version);
    EXPECT_EQ(plan.warnings,
              Lines{"the guest last booted control set 3 and will boot 1: both are edited"});
  }
}

TEST(Plan, DoesNotClaimToEditACurrentControlSetThatIsGone) {
  Facts facts = guest(plan_tests::xp);
  facts.select.current = 2;  // and no ControlSet002
  EXPECT_FALSE(any_has(plan_of(facts, make_settings({})).warnings, "both are edited"));
}

TEST(Plan, WarnsOfAFailedControlSet) {
  Facts facts = guest(plan_tests::windows_7);
  facts.select.failed = 2;
  EXPECT_EQ(plan_of(facts, make_settings({})).warnings,
            Lines{"control set 2 is marked as failed in the guest"});
}

TEST(Plan, WarnsOfWindowsPerInterfaceOnXpOnly) {
  for (const WindowsVersion& version : all_releases()) {
    Facts facts = guest(version);
    facts.control_sets[0].interfaces_with_window = {"{1234}", "a\x1b[31m"};
    const Lines warnings = plan_of(facts, make_settings({})).warnings;
    const bool legacy = version.major == 5;
    EXPECT_EQ(any_has(warnings, "ControlSet001: interface {1234} has a TcpWindowSize of its own"),
              legacy)
        << name_of(version);
    EXPECT_EQ(any_has(warnings, "a\\x1b[31m"), legacy);
    EXPECT_FALSE(any_has(warnings, "\x1b"));
  }
}

TEST(Plan, WarnsOfALowerGlobalMaxTcpWindowSizeOnXpOnly) {
  for (const WindowsVersion& version : all_releases())
    for (const std::uint32_t cap : {0xFFFFU, 0x100000U, 0x200000U}) {
      Facts facts = guest(version);
      values(facts.control_sets[0], plan_tests::tcpip_key)
          .push_back({"globalmaxtcpwindowsize", hive::dword(cap)});
      EXPECT_EQ(any_has(plan_of(facts, make_settings({})).warnings,
                        "GlobalMaxTcpWindowSize=0xffff limits TcpWindowSize"),
                version.major == 5 && cap < 0x100000)
          << name_of(version) << " " << cap;
    }
}

TEST(Plan, IsEmptyOnceItHasBeenApplied) {
  SettingOptions named = plan_tests::provider_option("ctcp");
  named.autotuning = "experimental";
  named.heuristics = "enabled";
  for (const WindowsVersion& version : all_releases())
    for (const SettingOptions& options :
         {SettingOptions{}, plan_tests::wiki_options(), plan_tests::keep_options(),
          version.major == 5 ? plan_tests::set_option("AFD\\Parameters\\DefaultSendWindow=1")
                             : named})
      for (const Scope scope : {Scope::guest, Scope::bare_hive}) {
        if (scope == Scope::bare_hive && options.autotuning) continue;  // has no place for it
        Facts facts = guest(version, ProductType::server);
        plan_tests::add_current_set(facts, 2);
        const Settings settings = make_settings(options);
        const Plan plan = plan_of(facts, settings, scope);
        const Facts after = applied(facts, plan.edits);
        EXPECT_EQ(lines(plan_of(after, settings, scope).edits), Lines()) << name_of(version);
        EXPECT_EQ(after == facts, plan.edits.empty()) << name_of(version);
      }
}

TEST(Plan, AsksForEverythingThatItReads) {
  const std::vector<std::string> keys = asked_keys();
  for (const KnownValue& value : known_values())
    EXPECT_NE(std::find(keys.begin(), keys.end(), value.key), keys.end()) << value.key;
  EXPECT_NE(std::find(keys.begin(), keys.end(), plan_tests::our_service_key), keys.end());
  const std::vector<std::string> files = asked_files();
  EXPECT_NE(std::find(files.begin(), files.end(), firstboot::script_path), files.end());
  for (const std::string& path : firstboot::state_paths())
    EXPECT_NE(std::find(files.begin(), files.end(), path), files.end()) << path;
}

}  // namespace
}  // namespace kvmnet

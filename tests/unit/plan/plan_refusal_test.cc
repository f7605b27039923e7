// SPDX-License-Identifier: GPL-2.0-or-later
// Every reason for which make_plan refuses a guest; the message names what was found.
#include <gtest/gtest.h>

#include <functional>

#include "src/plan/plan.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::guest;
using plan_tests::lines;
using plan_tests::plan_of;
using plan_tests::refusal_of;

struct Case {
  std::string name;
  std::function<void(Facts&)> spoil;
  Reason reason;
  std::string named;  // in the message
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"damaged SYSTEM",
       [](Facts& f) {
         f.system = {hive::Condition::damaged, "no regf"};
       },
       Reason::damaged_hive, "the SYSTEM hive is damaged: no regf"},
      {"dirty SYSTEM",
       [](Facts& f) {
         f.system = {hive::Condition::dirty, "3 is not 4"};
       },
       Reason::dirty_hive, "the SYSTEM hive is dirty: 3 is not 4"},
      {"damaged SOFTWARE",
       [](Facts& f) {
         f.software = {hive::Condition::damaged, "short"};
       },
       Reason::damaged_hive, "the SOFTWARE hive is damaged: short"},
      {"dirty SOFTWARE",
       [](Facts& f) {
         f.software = {hive::Condition::dirty, "7 is not 8"};
       },
       Reason::dirty_hive, "the SOFTWARE hive is dirty: 7 is not 8"},
      {"no version", [](Facts& f) { f.version.reset(); }, Reason::unknown_version, "version"},
      {"Windows 2000",
       [](Facts& f) {
         f.version = {5, 0, 2195};
       },
       Reason::unsupported_version, "5.0 build 2195"},
      {"no build",
       [](Facts& f) {
         f.version = {10, 0, 0};
       },
       Reason::unsupported_version, "10.0"},
      {"no architecture", [](Facts& f) { f.architecture.reset(); }, Reason::unknown_architecture,
       "architecture"},
      {"no product type", [](Facts& f) { f.product_type.reset(); }, Reason::unknown_product_type,
       "server"},
      {"no control set",
       [](Facts& f) {
         f.control_sets.clear();
         f.select.default_set = 7;
       },
       Reason::no_control_set, "control set 7"},
      {"no Tcpip", [](Facts& f) { f.control_sets[0].keys["Services\\Tcpip"].reset(); },
       Reason::no_service_key, "ControlSet001\\Services\\Tcpip is missing"},
      {"no AFD", [](Facts& f) { f.control_sets[0].keys.erase("Services\\AFD"); },
       Reason::no_service_key, "ControlSet001\\Services\\AFD is missing"},
      {"no Tcpip in Current",
       [](Facts& f) {
         plan_tests::add_current_set(f, 4);
         f.control_sets[1].keys["Services\\Tcpip"].reset();
       },
       Reason::no_service_key, "ControlSet004\\Services\\Tcpip is missing"}};
  return all;
}

Facts spoilt(const Case& spoiler) {
  Facts facts = guest(plan_tests::windows_7);
  spoiler.spoil(facts);
  return facts;
}

TEST(PlanRefusal, EachReasonNamesWhatWasFound) {
  for (const Case& one : cases()) {
    const Refusal refusal = refusal_of(spoilt(one), make_settings({}));
    EXPECT_EQ(code(refusal.reason), code(one.reason)) << one.name;
    EXPECT_NE(refusal.message.find(one.named), std::string::npos)
        << one.name << ": " << refusal.message;
  }
}

TEST(PlanRefusal, ABareHiveIsRefusedForTheSameExceptWhatItDoesNotHave) {
  for (const Case& one : cases()) {
    if (one.name == "damaged SOFTWARE" || one.name == "dirty SOFTWARE" || one.name == "no build")
      EXPECT_FALSE(plan_of(spoilt(one), make_settings({}), Scope::bare_hive).edits.empty());
    else
      EXPECT_EQ(code(refusal_of(spoilt(one), make_settings({}), Scope::bare_hive).reason),
                code(one.reason))
          << one.name;
  }
}

TEST(PlanRefusal, AHiveThatCannotBeReadIsTheFirstThingSaid) {
  Facts facts;  // as of a hive that was not read at all
  facts.system = {hive::Condition::dirty, "logs"};
  EXPECT_EQ(code(refusal_of(facts, make_settings({})).reason), code(Reason::dirty_hive));
}

TEST(PlanRefusal, ASystemRootThatCannotStandInACommandLineIsRefusedWhereAScriptIsNeeded) {
  for (const std::string root : {"/Windows (x86)", "/My Windows", "/W&calc", "/\xc3\x84", "/W\"",
                                 "/W%PATH%", "/W\x1b[31m", "/W^"}) {
    Facts facts = guest(plan_tests::windows_7);
    facts.system_root = root;
    const Refusal refusal = refusal_of(facts, make_settings({}));
    EXPECT_EQ(code(refusal.reason), code(Reason::unsupported_system_root)) << root;
    EXPECT_NE(refusal.message.find(root.substr(0, 2)), std::string::npos) << refusal.message;
    EXPECT_EQ(refusal.message.find('\x1b'), std::string::npos);
    EXPECT_FALSE(plan_of(facts, make_settings({}), Scope::bare_hive).edits.empty());
    EXPECT_TRUE(plan_of(facts, make_settings(plan_tests::keep_options())).edits.empty());
    facts.version = plan_tests::xp;
    EXPECT_EQ(lines(plan_of(facts, make_settings({})).edits).size(), 5U);
  }
  for (const std::string root : {"/Windows", "/WINNT.SBS", "/os/windows-2_a"}) {
    Facts facts = guest(plan_tests::windows_7);
    facts.system_root = root;
    EXPECT_FALSE(plan_of(facts, make_settings({})).edits.empty()) << root;
  }
}

TEST(PlanRefusal, AWindowsThatIsNotInstalledIsRefused) {
  Facts pe = guest(plan_tests::windows_10_22h2);
  pe.is_windows_pe = true;
  EXPECT_EQ(code(refusal_of(pe, make_settings({})).reason), "windows-pe");
  Facts setup = guest(plan_tests::windows_10_22h2);
  setup.setup_in_progress = true;
  EXPECT_EQ(code(refusal_of(setup, make_settings({})).reason), "setup-in-progress");
}

void expect_unsupported(const WindowsVersion& version, const SettingOptions& options,
                        const std::string& named, Scope scope = Scope::guest) {
  const Refusal refusal = refusal_of(guest(version), make_settings(options), scope);
  EXPECT_EQ(code(refusal.reason), code(Reason::option_unsupported)) << plan_tests::name_of(version);
  EXPECT_NE(refusal.message.find(named), std::string::npos) << refusal.message;
}

TEST(PlanRefusal, XpHasNoneOfTheNetshOptions) {
  for (const WindowsVersion& version : {plan_tests::xp, plan_tests::server_2003})
    for (const Scope scope : {Scope::guest, Scope::bare_hive}) {
      expect_unsupported(version, plan_tests::autotuning_option("normal"), "--autotuning", scope);
      expect_unsupported(version, plan_tests::provider_option("auto"), "--congestion-provider",
                         scope);
      expect_unsupported(version, plan_tests::heuristics_option("disabled"), "--heuristics", scope);
      expect_unsupported(version, plan_tests::forcews_option("default"), "--forcews", scope);
      const Plan kept = plan_of(guest(version), make_settings(plan_tests::keep_options()), scope);
      EXPECT_EQ(lines(kept.edits).size(), 5U) << "keep asks for nothing";
    }
}

TEST(PlanRefusal, AValueThatTheWindowsDoesNotReadIsRefused) {
  for (const KnownValue& value : known_values()) {
    const SettingOptions options =
        plan_tests::set_option(std::string(value.key) + "\\" + std::string(value.name) + "=1");
    for (const Scope scope : {Scope::guest, Scope::bare_hive})
      expect_unsupported(value.legacy ? plan_tests::vista : plan_tests::xp, options,
                         std::string(value.name), scope);
  }
}

TEST(PlanRefusal, ANetshOptionThatTheWindowsDoesNotKnowIsRefusedAndAProfilesIsLeftOut) {
  expect_unsupported(plan_tests::windows_7, plan_tests::provider_option("cubic"),
                     "congestion provider cubic");
  expect_unsupported(plan_tests::vista, plan_tests::forcews_option("enabled"), "forcews");
  const Plan wiki = plan_of(guest(plan_tests::vista), make_settings(plan_tests::wiki_options()));
  EXPECT_TRUE(plan_tests::any_has(wiki.warnings, "left out"));
}

TEST(PlanRefusal, ANetshOptionHasNoEffectOnABareHiveAndIsRefused) {
  for (const SettingOptions& options :
       {plan_tests::autotuning_option("disabled"), plan_tests::provider_option("ctcp"),
        plan_tests::forcews_option("enabled")})
    expect_unsupported(plan_tests::windows_7, options, "--", Scope::bare_hive);
}

}  // namespace
}  // namespace kvmnet

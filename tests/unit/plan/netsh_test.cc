// SPDX-License-Identifier: GPL-2.0-or-later
// What is run on which Windows; written from Microsoft's documentation and public observations
// (windows-tcp.md, A1 to A4), not from the table in netsh.cc. The provider words have their own
// file, netsh_provider_test.cc.
#include "src/plan/netsh.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::any_has;
using plan_tests::lines;
using plan_tests::name_of;
using plan_tests::netsh_of;
using Lines = std::vector<std::string>;

struct Row {
  WindowsVersion version;
  Lines steps;
};

const std::string heuristics = "mandatory set heuristics disabled";
const std::string forcews = "mandatory set heuristics forcews=enabled";
const std::string soft_forcews = "soft set heuristics forcews=enabled";
const std::string normal = "mandatory set global autotuninglevel=normal";
const std::string ctcp_global = "mandatory set global congestionprovider=ctcp";
const std::string soft_ctcp = "soft set supplemental template=internet congestionprovider=ctcp";

const std::vector<Row>& default_rows() {
  static const std::vector<Row> rows = {
      {{6, 0, 6002}, {heuristics}},
      {{6, 1, 7601}, {heuristics, soft_forcews, normal, ctcp_global}},
      {{6, 2, 9200}, {heuristics, soft_forcews, normal, soft_ctcp}},
      {{6, 3, 9600}, {heuristics, forcews, normal, soft_ctcp}},
      {{10, 0, 10240}, {soft_forcews, normal, soft_ctcp}},
      {{10, 0, 10586}, {soft_forcews, normal, soft_ctcp}},
      {{10, 0, 14393}, {soft_forcews, normal, soft_ctcp}},
      {{10, 0, 15063}, {soft_forcews, normal, soft_ctcp}},
      {{10, 0, 16298}, {soft_forcews, normal, soft_ctcp}},
      {{10, 0, 16299}, {soft_forcews, normal}},
      {{10, 0, 17763}, {soft_forcews, normal}},
      {{10, 0, 19045}, {soft_forcews, normal}},
      {{10, 0, 20348}, {soft_forcews, normal}},
      {{10, 0, 22000}, {soft_forcews, normal}},
      {{10, 0, 22621}, {soft_forcews, normal}},
      {{10, 0, 26100}, {soft_forcews, normal}},
      {{10, 0, 99999}, {soft_forcews, normal}}};
  return rows;
}

// The wiki profile: the same four settings everywhere, named.
const std::string disabled = "mandatory set global autotuninglevel=disabled";
const std::string named_ctcp =
    "mandatory set supplemental template=internet congestionprovider=ctcp";

Lines wiki_with_template(const std::string& forcews_step, const std::string& custom,
                         const std::string& initial_window) {
  const std::string set = "else mandatory set supplemental template=" + custom;
  return {heuristics,
          forcews_step,
          disabled,
          named_ctcp,
          set + " minrto=300",
          set + " icw=" + initial_window,
          set + " enablecwndrestart=disabled",
          set + " delayedacktimeout=50",
          set + " congestionprovider=ctcp",
          set};
}

const std::vector<Row>& wiki_rows() {
  static const std::vector<Row> rows = {
      {{6, 0, 6002}, {heuristics, disabled, ctcp_global}},
      {{6, 1, 7601}, {heuristics, soft_forcews, disabled, ctcp_global}},
      {{6, 2, 9200}, wiki_with_template(soft_forcews, "custom", "4")},
      {{6, 3, 9600}, wiki_with_template(forcews, "internetcustom", "4")},
      {{10, 0, 10240}, wiki_with_template(forcews, "internetcustom", "4")},
      {{10, 0, 14393}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 15063}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 16299}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 17763}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 19045}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 20348}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 22000}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 22621}, wiki_with_template(forcews, "internetcustom", "10")},
      {{10, 0, 26100}, wiki_with_template(forcews, "internetcustom", "10")}};
  return rows;
}

void expect_steps(const std::vector<Row>& rows, const SettingOptions& options) {
  const Settings settings = make_settings(options);
  for (const Row& row : rows)
    for (const ProductType product : plan_tests::product_types)
      EXPECT_EQ(lines(netsh_of(row.version, product, settings).steps), row.steps)
          << name_of(row.version, product);
}

Lines warnings_of(const WindowsVersion& version, const SettingOptions& options) {
  return netsh_of(version, ProductType::client, make_settings(options)).warnings;
}

TEST(Netsh, DefaultProfileRunsEachVersionsOwnCommands) {
  expect_steps(default_rows(), {});
}

TEST(Netsh, WikiProfileRunsItsFourSettingsInEachVersionsForm) {
  expect_steps(wiki_rows(), plan_tests::wiki_options());
}

TEST(Netsh, VersionsWithoutABuildCountAsTheFirstOfTheirKind) {
  const Settings settings = make_settings({});
  for (const int minor : {0, 1, 2, 3})
    EXPECT_EQ(netsh_of({6, minor, 0}, ProductType::client, settings).steps,
              netsh_of({6, minor, 9999}, ProductType::client, settings).steps)
        << minor;
}

TEST(Netsh, DefaultProfileHasNothingToWarnAbout) {
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    EXPECT_EQ(warnings_of(version, {}), Lines()) << name_of(version);
}

TEST(Netsh, KeepLeavesASettingOut) {
  struct Case {
    SettingOptions (*give)(std::string);
    std::string left_out;
  };
  for (const auto& [give, left_out] :
       {Case{plan_tests::autotuning_option, "autotuninglevel"},
        Case{plan_tests::provider_option, "congestionprovider"},
        Case{plan_tests::heuristics_option, "set heuristics disabled"},
        Case{plan_tests::forcews_option, "forcews"}}) {
    const Settings settings = make_settings(give("keep"));
    for (const Row& row : default_rows()) {
      Lines expected;
      for (const std::string& step : row.steps)
        if (step.find(left_out) == std::string::npos) expected.push_back(step);
      EXPECT_EQ(lines(netsh_of(row.version, ProductType::client, settings).steps), expected)
          << name_of(row.version) << " without " << left_out;
    }
  }
}

TEST(Netsh, NothingIsRunWhereEverythingIsKept) {
  const Settings settings = make_settings(plan_tests::keep_options());
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    EXPECT_EQ(lines(netsh_of(version, ProductType::server, settings).steps), Lines());
}

TEST(Netsh, EveryAutotuningLevelHasTheSameFormEverywhere) {
  for (const std::string word :
       {"disabled", "highlyrestricted", "restricted", "normal", "experimental"}) {
    SettingOptions options = plan_tests::keep_options();
    options.autotuning = word;
    for (const WindowsVersion& version : plan_tests::netsh_releases)
      EXPECT_EQ(lines(netsh_of(version, ProductType::client, make_settings(options)).steps),
                Lines{"mandatory set global autotuninglevel=" + word})
          << name_of(version);
  }
}

TEST(Netsh, NamedHeuristicsAreSetEverywhereAlsoWhereTheyHaveNoEffect) {
  for (const std::string word : {"enabled", "disabled", "default"}) {
    SettingOptions options = plan_tests::keep_options();
    options.heuristics = word;
    for (const WindowsVersion& version : plan_tests::netsh_releases)
      EXPECT_EQ(lines(netsh_of(version, ProductType::client, make_settings(options)).steps),
                Lines{"mandatory set heuristics " + word})
          << name_of(version);
  }
}

TEST(Netsh, NamedForcewsIsMandatoryWhereItIsKnownForCertain) {
  for (const std::string word : {"enabled", "disabled", "default"}) {
    SettingOptions options = plan_tests::keep_options();
    options.forcews = word;
    const Settings settings = make_settings(options);
    for (const WindowsVersion& version : plan_tests::netsh_releases) {
      if (version < WindowsVersion{6, 1, 0}) continue;  // has none: see below
      const bool known = version >= WindowsVersion{6, 3, 0};
      const NetshPlan plan = netsh_of(version, ProductType::client, settings);
      EXPECT_EQ(lines(plan.steps),
                Lines{(known ? "mandatory" : "soft") + (" set heuristics forcews=" + word)})
          << name_of(version);
      EXPECT_EQ(any_has(plan.warnings, "may not know forcews"), !known) << name_of(version);
    }
  }
}

TEST(Netsh, VistaRefusesForcewsAsAnOptionAndLeavesTheProfilesOut) {
  const auto refused = plan_netsh(plan_tests::vista, ProductType::client,
                                  make_settings(plan_tests::forcews_option("enabled")));
  ASSERT_TRUE(std::holds_alternative<Refusal>(refused));
  EXPECT_EQ(std::get<Refusal>(refused),
            (Refusal{Reason::option_unsupported,
                     "Windows 6.0 build 6002 (client) does not know forcews"}));
  EXPECT_TRUE(any_has(warnings_of(plan_tests::vista, plan_tests::wiki_options()),
                      "left out, because Windows 6.0 build 6002 does not know it: forcews"));
}

TEST(Netsh, WarnsAboutKb967224OnVistaWhereverSetGlobalIsUsed) {
  const std::map<std::string, SettingOptions> used = {
      {"autotuning", plan_tests::autotuning_option("normal")},
      {"provider", plan_tests::provider_option("ctcp")},
      {"wiki", plan_tests::wiki_options()}};
  for (const auto& [name, options] : used)
    for (const WindowsVersion& version : plan_tests::netsh_releases)
      EXPECT_EQ(any_has(warnings_of(version, options), "KB967224"), version == plan_tests::vista)
          << name << " on " << name_of(version);
  EXPECT_FALSE(any_has(warnings_of(plan_tests::vista, plan_tests::heuristics_option("enabled")),
                       "KB967224"));
}

TEST(Netsh, WarnsThatDisabledAutotuningCapsTheWindow) {
  for (const WindowsVersion& version : plan_tests::netsh_releases) {
    EXPECT_TRUE(any_has(warnings_of(version, plan_tests::autotuning_option("disabled")), "64 KiB"));
    EXPECT_TRUE(any_has(warnings_of(version, plan_tests::wiki_options()), "64 KiB"));
    EXPECT_FALSE(
        any_has(warnings_of(version, plan_tests::autotuning_option("restricted")), "64 KiB"));
  }
}

TEST(Netsh, EachCallMakesOneSetting) {
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    for (const SettingOptions& options : {SettingOptions{}, plan_tests::wiki_options()})
      for (const std::string& line :
           lines(netsh_of(version, ProductType::client, make_settings(options)).steps)) {
        const std::size_t template_word = line.find(" template=");
        const auto equals = std::count(line.begin(), line.end(), '=');
        EXPECT_LE(equals, template_word == std::string::npos ? 1 : 2) << line;
      }
}

}  // namespace
}  // namespace kvmnet

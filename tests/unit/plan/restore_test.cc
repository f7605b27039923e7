// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/restore.h"

#include <gtest/gtest.h>

#include <set>

#include "src/plan/firstboot.h"
#include "tests/unit/plan/guests.h"
#include "tests/unit/plan/script_rules.h"

namespace kvmnet {
namespace {

using Lines = std::vector<std::string>;

Lines steps(const Lines& commands, std::string_view dump) {
  return plan_tests::lines(plan_restoration(commands, dump).steps);
}

// Every command that is planned for any Windows, product and option.
TEST(Restore, KnowsEveryCommandThatIsEverPlanned) {
  std::vector<SettingOptions> all = {{}, plan_tests::wiki_options()};
  for (const auto word : autotuning_words())
    all.push_back(plan_tests::autotuning_option(std::string(word)));
  for (const auto word : congestion_provider_words())
    all.push_back(plan_tests::provider_option(std::string(word)));
  for (const auto word : switch_words()) {
    all.push_back(plan_tests::heuristics_option(std::string(word)));
    all.push_back(plan_tests::forcews_option(std::string(word)));
  }
  std::size_t commands = 0;
  std::set<std::string> scripts;
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    for (const ProductType product : plan_tests::product_types)
      for (const SettingOptions& options : all) {
        const auto planned = plan_netsh(version, product, make_settings(options));
        if (!std::holds_alternative<NetshPlan>(planned)) continue;
        Lines of_this;
        for (const NetshStep& step : std::get<NetshPlan>(planned).steps) {
          of_this.push_back(step.command.arguments);
          for (const NetshCommand& other : step.otherwise) of_this.push_back(other.arguments);
        }
        for (const std::string& command : of_this) EXPECT_TRUE(is_known_netsh(command)) << command;
        commands += of_this.size();
        // What undoes them is known, too, and there is something for each setting.
        const Restoration restoration = plan_restoration(of_this, "");
        for (const NetshStep& step : restoration.steps)
          EXPECT_TRUE(is_known_netsh(step.command.arguments) ||
                      step.command.arguments == "set supplemental template=automatic")
              << step.command.arguments;
        EXPECT_EQ(restoration.settings.size(), std::get<NetshPlan>(planned).steps.size());
        scripts.insert(
            firstboot::script({restoration.steps, {"global"}, {}}, {}, firstboot::Dump::none));
      }
  EXPECT_GT(commands, 1000U);
  EXPECT_GT(scripts.size(), 10U);
  for (const std::string& script : scripts)
    EXPECT_EQ(plan_tests::broken_rules(script), Lines()) << script;
}

TEST(Restore, KnowsNothingElse) {
  for (const char* command :
       {"", "set", "set heuristics", "set heuristics ", "set heuristics keep",
        "set heuristics disabled ", "set heuristics disabled & calc",
        "set global autotuninglevel=auto", "set global autotuninglevel=normal\r\ncalc",
        "SET HEURISTICS DISABLED", "set global rss=enabled", "reset",
        "set supplemental template=internet", "set supplemental template=custom icw=99",
        "set supplemental template=internet minrto=300"})
    EXPECT_FALSE(is_known_netsh(command)) << command;
}

TEST(Restore, GoesBackToWhatNetshSaidBefore) {
  const Lines commands = {"set heuristics disabled", "set heuristics forcews=enabled",
                          "set global autotuninglevel=normal",
                          "set global congestionprovider=ctcp"};
  const std::string dump =
      "# TCP\r\npushd interface tcp\r\n\r\nreset\r\n"
      "set global rss=enabled autotuninglevel=Restricted congestionprovider=none\r\n"
      "set heuristics wsh=enabled forcews=disabled\r\n\r\npopd\r\n";
  EXPECT_EQ(steps(commands, dump),
            (Lines{"soft set heuristics enabled", "soft set heuristics forcews=disabled",
                   "soft set global autotuninglevel=restricted",
                   "soft set global congestionprovider=none"}));
  const auto settings = plan_restoration(commands, dump).settings;
  EXPECT_EQ(settings.at(2),
            (RestoredSetting{"receive window auto-tuning level", "restricted", true}));
}

TEST(Restore, GoesToWindowsDefaultsWhereNetshSaidNothing) {
  EXPECT_EQ(steps({"set heuristics disabled", "set heuristics forcews=enabled",
                   "set global autotuninglevel=disabled",
                   "set supplemental template=internet congestionprovider=ctcp"},
                  ""),
            (Lines{"soft set heuristics default", "soft set heuristics forcews=default",
                   "soft set global autotuninglevel=normal",
                   "soft set supplemental template=internet congestionprovider=default"}));
  EXPECT_FALSE(plan_restoration({"set heuristics disabled"}, "").settings.at(0).from_dump);
}

TEST(Restore, LeavesAloneWhatWasNotSet) {
  EXPECT_EQ(steps({}, "set global autotuninglevel=disabled\r\n"), Lines());
  EXPECT_EQ(steps({"set heuristics forcews=enabled"}, "set heuristics wsh=disabled\n"),
            Lines{"soft set heuristics forcews=default"});
}

TEST(Restore, GivesUpACustomTemplate) {
  EXPECT_EQ(steps({"set supplemental template=internet congestionprovider=dctcp",
                   "set supplemental template=custom minrto=300",
                   "set supplemental template=custom congestionprovider=dctcp",
                   "set supplemental template=custom"},
                  "set supplemental template=internet minrto=300 congestionprovider=ctcp\n"),
            (Lines{"soft set supplemental template=internet congestionprovider=ctcp",
                   "soft set supplemental template=custom congestionprovider=default",
                   "soft set supplemental template=automatic"}));
}

// The dump is the guest's: nothing of it comes through but words of the tables.
TEST(Restore, TakesNothingButKnownWordsFromADump) {
  const Lines commands = {"set global autotuninglevel=normal"};
  const Lines to_default = {"soft set global autotuninglevel=normal"};
  for (const std::string& dump :
       {std::string("set global autotuninglevel=disabled&calc\n"),
        std::string("set global autotuninglevel=\"disabled\"\n"),
        std::string("set global autotuninglevel=%PATH%\n"),
        std::string("& set global autotuninglevel=disabled\n"),
        std::string("set global autotuninglevel=keep\n"),
        std::string("set global autotuninglevel=\n"),
        "set global " + std::string(2000, 'x') + " autotuninglevel=disabled\n",
        std::string("set\0global autotuninglevel=disabled\n", 36),
        "set global autotuninglevel=disabled\n" + std::string(300 << 10, '\n'),
        std::string(1 << 20, '\xff')})
    EXPECT_EQ(steps(commands, dump), to_default) << dump.substr(0, 60);
  EXPECT_EQ(steps(commands, "set global autotuninglevel=disabled"),
            Lines{"soft set global autotuninglevel=disabled"});
}

}  // namespace
}  // namespace kvmnet

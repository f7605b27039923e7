// SPDX-License-Identifier: GPL-2.0-or-later
// The first-boot script: golden files, and the rules that all scripts keep. After a wanted change
// run with KVMNET_UPDATE_GOLDEN=1 and read the difference.
#include "src/plan/firstboot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/unit/plan/guests.h"
#include "tests/unit/plan/script_rules.h"

namespace kvmnet {
namespace {

using plan_tests::broken_rules;
using plan_tests::name_of;
using plan_tests::netsh_of;
using Steps = std::vector<NetshStep>;

const std::filesystem::path directory = std::filesystem::path(KVMNET_FIXTURES) / "scripts";

struct Golden {
  std::string name;
  WindowsVersion version;
  ProductType product;
  SettingOptions options;
};

// The default profile of every release, and named settings in each of their forms.
std::vector<Golden> goldens() {
  constexpr ProductType client = ProductType::client;
  constexpr ProductType server = ProductType::server;
  std::vector<Golden> all;
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    all.push_back({name_of(version), version, client, {}});
  for (const WindowsVersion& version :
       {plan_tests::vista, plan_tests::windows_7, plan_tests::windows_8, plan_tests::windows_8_1,
        plan_tests::windows_10_22h2})
    all.push_back({name_of(version) + "-wiki", version, client, plan_tests::wiki_options()});
  const auto named = [&](const WindowsVersion& version, ProductType product,
                         const std::string& word) {
    all.push_back({name_of(version) + (product == server ? "-server-" : "-") + word, version,
                   product, plan_tests::provider_option(word)});
  };
  named(plan_tests::windows_7, client, "none");
  named(plan_tests::windows_8, server, "dctcp");
  named(plan_tests::windows_10_1607, server, "cubic");
  named(plan_tests::windows_10_22h2, client, "default");
  named(plan_tests::windows_11_24h2, client, "bbr2");
  return all;
}

std::string script_of(const Golden& golden) {
  return firstboot::script(netsh_of(golden.version, golden.product, make_settings(golden.options)));
}

std::string script_with(const Steps& steps, const std::vector<UserWork>& work = {}) {
  return firstboot::script({steps, {}, {}}, work);
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(FirstBoot, ScriptsAreTheGoldenOnes) {
  // Read before there is a second thread.
  const bool update = std::getenv("KVMNET_UPDATE_GOLDEN") != nullptr;  // NOLINT
  for (const Golden& golden : goldens()) {
    const std::filesystem::path path = directory / (golden.name + ".cmd");
    const std::string script = script_of(golden);
    if (update) std::ofstream(path, std::ios::binary) << script;
    EXPECT_EQ(content_of(path), script) << golden.name;
  }
}

TEST(FirstBoot, EveryGoldenFileHasItsCase) {
  std::set<std::string> names;
  for (const Golden& golden : goldens())
    EXPECT_TRUE(names.insert(golden.name + ".cmd").second) << golden.name << " is there twice";
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    EXPECT_TRUE(names.contains(entry.path().filename().string())) << entry.path();
}

TEST(FirstBoot, ServersRunTheScriptOfTheirVersionByDefault) {
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    for (const ProductType product : {ProductType::server, ProductType::domain_controller})
      EXPECT_EQ(script_of({"", version, product, {}}),
                script_of({"", version, ProductType::client, {}}))
          << name_of(version, product);
}

TEST(FirstBoot, GoldenScriptsKeepTheRules) {
  for (const Golden& golden : goldens())
    EXPECT_EQ(broken_rules(script_of(golden)), std::vector<std::string>()) << golden.name;
}

// What the profile says of a setting, and every word that an option can give.
std::vector<Setting> choices(const Setting& of_profile, std::span<const std::string_view> words) {
  std::vector<Setting> all = {of_profile};
  for (const std::string_view word : words) all.push_back({std::string(word), Origin::option});
  return all;
}

// Calls visit(settings) for a profile with all combinations of all options.
template <typename Visit>
void for_all_settings(std::string_view profile, Visit visit) {
  SettingOptions options;
  options.profile = profile;
  const Settings base = make_settings(options);
  Settings settings = base;
  for (const Setting& autotuning : choices(base.autotuning, autotuning_words())) {
    settings.autotuning = autotuning;
    for (const Setting& provider : choices(base.congestion_provider, congestion_provider_words())) {
      settings.congestion_provider = provider;
      for (const Setting& heuristics : choices(base.heuristics, switch_words())) {
        settings.heuristics = heuristics;
        for (const Setting& forcews : choices(base.forcews, switch_words())) {
          settings.forcews = forcews;
          visit(settings);
        }
      }
    }
  }
}

// All that options can ask for on any release, in any edition, with and without work of the user.
// What starts the script does not change it.
TEST(FirstBootRules, AreKeptByEveryScriptThatOptionsCanAskFor) {
  const std::vector<UserWork> work = {work_of_command("echo %TIME% && (a)"),
                                      work_of_script("A b%.cmd", "x")};
  std::set<std::string> checked;  // many settings ask for the same commands
  const auto check = [&](const WindowsVersion& version, const Settings& settings) {
    for (const ProductType product : {ProductType::client, ProductType::server}) {
      const auto plan = plan_netsh(version, product, settings);
      if (std::holds_alternative<Refusal>(plan)) continue;
      const auto& netsh = std::get<NetshPlan>(plan);
      const auto [script, is_new] = checked.insert(firstboot::script(netsh));
      if (!is_new) continue;
      EXPECT_EQ(broken_rules(*script), std::vector<std::string>());
      EXPECT_EQ(broken_rules(firstboot::script(netsh, work)), std::vector<std::string>());
    }
  };
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    for (const std::string_view profile : profile_names())
      for_all_settings(profile, [&](const Settings& settings) { check(version, settings); });
  EXPECT_GT(checked.size(), 1000U);
}

// The lines `call :...`, `if "%RC%"...` and `:accepted...` that make up the commands.
std::vector<std::string> command_lines(const Steps& steps) {
  const std::string script = script_with(steps);
  const std::string ready = ":saved\r\n\r\n";
  const std::size_t begin = script.find(ready) + ready.size();
  std::vector<std::string> lines;
  std::string_view rest =
      std::string_view(script).substr(begin, script.find("\r\n\r\n", begin) - begin);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find("\r\n"), rest.size());
    lines.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 2, rest.size()));
  }
  return lines;
}

TEST(FirstBoot, CommandsAreCalledByTheirDuty) {
  EXPECT_EQ(command_lines({{{"set a", Duty::mandatory}, {}}, {{"set b", Duty::soft}, {}}}),
            (std::vector<std::string>{"call :mandatory set a", "call :soft set b"}));
}

TEST(FirstBoot, FallbacksRunOnlyAfterARefusalThatThenIsNoFailure) {
  const Steps steps = {
      {{"set a", Duty::mandatory}, {{"set b", Duty::mandatory}, {"set c", Duty::soft}}},
      {{"set d", Duty::mandatory}, {{"set e", Duty::mandatory}}}};
  EXPECT_EQ(
      command_lines(steps),
      (std::vector<std::string>{
          "call :soft set a", "if \"%RC%\"==\"0\" goto end1", "call :mandatory set b",
          "if not \"%RC%\"==\"0\" goto end1", "call :soft set c", ":end1",  //
          "call :soft set d", "if \"%RC%\"==\"0\" goto end2", "call :mandatory set e", ":end2"}));
}

// An unfinished custom template has data-centre timings, which hurt elsewhere (windows-tcp.md, A4).
TEST(FirstBoot, ACustomTemplateIsMadeTheDefaultOnlyIfItCouldBeFilled) {
  const Steps steps = netsh_of(plan_tests::windows_8, ProductType::client,
                               make_settings(plan_tests::provider_option("ctcp")))
                          .steps;
  const std::vector<std::string> lines = command_lines(steps);
  const auto activation =
      std::find(lines.begin(), lines.end(), "call :mandatory set supplemental template=custom");
  ASSERT_NE(activation, lines.end());
  EXPECT_NE((activation - 1)->rfind("if ", 0), std::string::npos) << *(activation - 1);
}

TEST(FirstBoot, TheLogEndsWithWhatThatWindowsShows) {
  const auto shows = [](const WindowsVersion& version) {
    return script_of({"", version, ProductType::client, {}});
  };
  const std::string both = "call :show global\r\ncall :show heuristics\r\n";
  const std::string supplemental = both + "call :show supplemental\r\n";
  for (const WindowsVersion& version : {plan_tests::vista, plan_tests::windows_7}) {
    EXPECT_NE(shows(version).find(both), std::string::npos);
    EXPECT_EQ(shows(version).find(supplemental), std::string::npos);
  }
  for (const WindowsVersion& version : {plan_tests::windows_8, plan_tests::windows_11_24h2})
    EXPECT_NE(shows(version).find(supplemental), std::string::npos);
}

TEST(FirstBoot, WhatWasThereIsSavedOnceBeforeTheFirstSetting) {
  const std::string script = script_with({{{"set a", Duty::mandatory}, {}}});
  const std::size_t dump = script.find("interface tcp dump ");
  EXPECT_LT(script.find("if exist \"%BEFORE%\" goto saved"), dump);
  EXPECT_LT(dump, script.find("call :mandatory"));
  EXPECT_EQ(script_with({}, {work_of_command("x")}).find(" dump"), std::string::npos);
  const Steps steps = {{{"set a", Duty::mandatory}, {}}};
  EXPECT_EQ(firstboot::script({steps, {}, {}}, {}, firstboot::Dump::none).find(" dump"),
            std::string::npos);
}

TEST(FirstBoot, ScriptNamesItsId) {
  const Steps steps = {{{"set a", Duty::mandatory}, {}}};
  const std::string id = firstboot::script_id(steps);
  EXPECT_EQ(id.size(), 16U);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
  EXPECT_NE(script_with(steps).find("\r\nset \"ID=" + id + "\"\r\n"), std::string::npos);
}

TEST(FirstBoot, IdChangesWithTheCommandsAndOnlyWithThem) {
  const NetshCommand a = {"set a", Duty::mandatory};
  const NetshCommand b = {"set b", Duty::mandatory};
  const std::vector<Steps> different = {
      {{a, {}}},
      {{b, {}}},
      {{{"set a", Duty::soft}, {}}},
      {{a, {}}, {b, {}}},
      {{b, {}}, {a, {}}},
      {{a, {b}}},
      {{a, {b, b}}},
      {{a, {{"set b", Duty::soft}}}},
      {{a, {}}, {a, {}}},
  };
  std::set<std::string> ids;
  for (const Steps& steps : different) ids.insert(firstboot::script_id(steps));
  EXPECT_EQ(ids.size(), different.size());
  const Settings settings = make_settings({});
  const Steps of_2019 = netsh_of({10, 0, 17763}, ProductType::server, settings).steps;
  const Steps of_11 = netsh_of(plan_tests::windows_11_24h2, ProductType::client, settings).steps;
  EXPECT_EQ(firstboot::script_id(of_2019), firstboot::script_id(of_11));
}

TEST(FirstBoot, ScriptsOfDifferentCommandsDifferOnlyInThemAndTheId) {
  const Steps one = {{{"set a", Duty::mandatory}, {}}};
  const Steps other = {{{"set b", Duty::mandatory}, {}}};
  std::string script = script_with(one);
  script.replace(script.find(firstboot::script_id(one)), 16, firstboot::script_id(other));
  script.replace(script.find("mandatory set a"), 15, "mandatory set b");
  EXPECT_EQ(script, script_with(other));
}

TEST(FirstBoot, WorkRunsAfterTheCommandsInItsOrder) {
  const Steps steps = {{{"set a", Duty::mandatory}, {}}};
  const std::vector<UserWork> work = {work_of_command("x"), work_of_script("y z.cmd", "y")};
  const std::vector<std::string> ids = work_ids(work);
  const std::string script = script_with(steps, work);
  EXPECT_NE(script.find("\r\ncall :mandatory set a\r\n"
                        "if exist \"%RAN%\" >>\"%RAN%\" echo.\r\n"
                        "call :work 01 " +
                        ids[0] +
                        " command\r\n"
                        "call :work 02 " +
                        ids[1] + " y_z.cmd\r\n\r\n"),
            std::string::npos)
      << script;
  for (const std::string text : {":work", "shutdown"})
    EXPECT_EQ(script_with(steps).find(text), std::string::npos) << text;
}

TEST(FirstBoot, ScriptUsesTheFilesThatThePlannerKnows) {
  const std::string script =
      script_with({{{"set a", Duty::mandatory}, {}}}, {work_of_command("x")});
  std::set<std::string> known = {"kvmnet/firstboot.log",
                                 std::string(firstboot::script_path),
                                 std::string(firstboot::begun_path),
                                 "kvmnet/firstboot-%1.cmd",
                                 "kvmnet/firstboot-%1.log",
                                 "kvmnet/firstboot-??.cmd",
                                 std::string(firstboot::before_path),
                                 "kvmnet/firstboot-before.new",
                                 std::string(firstboot::script_path)};
  for (const std::string& path : firstboot::state_paths()) known.insert(path);
  for (std::size_t at = script.find("%DIR%\\"); at != std::string::npos;
       at = script.find("%DIR%\\", at + 1)) {
    const std::string_view rest = std::string_view(script).substr(at + 6);
    std::string name = "kvmnet/" + std::string(rest.substr(0, rest.find_first_of("\" ")));
    if (name == "kvmnet/firstboot.boot%BOOT%") name = "kvmnet/firstboot.boot1";
    EXPECT_TRUE(known.contains(name)) << name;
  }
  EXPECT_TRUE(known.contains(std::string(firstboot::result_path)));
}

}  // namespace
}  // namespace kvmnet

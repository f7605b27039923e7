// SPDX-License-Identifier: GPL-2.0-or-later
// The congestion providers: which Windows knows which, and in what form it is set. Written from
// windows-tcp.md, A3.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::any_has;
using plan_tests::lines;
using plan_tests::name_of;
using plan_tests::netsh_of;
using Lines = std::vector<std::string>;
using Words = std::set<std::string>;

struct Row {
  WindowsVersion version;
  Words client;
  Words server;  // and domain controllers
};

const std::vector<Row>& rows() {
  static const Words global = {"ctcp", "none", "default"};
  static const Words first_templates = {"ctcp", "dctcp", "none", "default"};
  static const Words no_none = {"ctcp", "dctcp", "default"};
  static const Words with_cubic = {"ctcp", "dctcp", "none", "default", "cubic"};
  static const Words with_newreno = {"ctcp", "dctcp", "none", "default", "cubic", "newreno"};
  static const Words all = {"ctcp", "dctcp", "none", "default", "cubic", "newreno", "bbr2"};
  static const std::vector<Row> table = {
      {{6, 0, 6002}, global, global},
      {{6, 1, 7601}, global, global},
      {{6, 2, 9200}, first_templates, first_templates},
      {{6, 3, 9600}, no_none, no_none},
      {{10, 0, 10240}, first_templates, first_templates},
      {{10, 0, 14393}, first_templates, with_cubic},  // Server 2016: "experimental"
      {{10, 0, 15063}, with_newreno, with_newreno},
      {{10, 0, 16299}, with_newreno, with_newreno},
      {{10, 0, 17763}, with_newreno, with_newreno},
      {{10, 0, 19045}, with_newreno, with_newreno},
      {{10, 0, 20348}, with_newreno, with_newreno},
      {{10, 0, 22000}, with_newreno, with_newreno},
      {{10, 0, 22621}, all, all},
      {{10, 0, 26100}, all, all}};
  return table;
}

const std::vector<std::string> words = {"ctcp",    "none", "cubic",  "dctcp",
                                        "newreno", "bbr2", "default"};

bool knows(const Row& row, ProductType product, const std::string& word) {
  return (product == ProductType::client ? row.client : row.server).contains(word);
}

// Settings of nothing but the provider.
Settings provider(const std::string& word, Origin origin) {
  Settings settings = make_settings(plan_tests::keep_options());
  settings.congestion_provider = {word, origin};
  return settings;
}

// How a named provider is set: on 6.0 and 6.1 for all connections, later for a template, with a
// custom template where that may not be changed. "default" is what a custom template has anyway.
Lines named_steps(const WindowsVersion& version, const std::string& word) {
  if (version < WindowsVersion{6, 2, 0}) return {"mandatory set global congestionprovider=" + word};
  const std::string set = " set supplemental template=internet congestionprovider=" + word;
  // What may not be changed, as on many before 15063, has its default.
  if (word == "default")
    return {(version < WindowsVersion{10, 0, 15063} ? "soft" : "mandatory") + set};
  Lines steps = {"mandatory" + set};
  const std::string custom = version < WindowsVersion{6, 3, 0} ? "custom" : "internetcustom";
  const std::string icw = version < WindowsVersion{10, 0, 14393} ? "4" : "10";
  for (const std::string& what :
       {std::string(" minrto=300"), " icw=" + icw, std::string(" enablecwndrestart=disabled"),
        std::string(" delayedacktimeout=50"), " congestionprovider=" + word, std::string()})
    steps.push_back("else mandatory set supplemental template=" + custom + what);
  return steps;
}

// Calls visit(row, product, word) for every combination.
template <typename Visit>
void for_each_combination(Visit visit) {
  for (const Row& row : rows())
    for (const ProductType product : plan_tests::product_types)
      for (const std::string& word : words) visit(row, product, word);
}

TEST(NetshProvider, TableCoversEveryReleaseAndEveryWord) {
  ASSERT_EQ(rows().size(), plan_tests::netsh_releases.size());
  for (std::size_t i = 0; i < rows().size(); ++i)
    EXPECT_EQ(rows()[i].version, plan_tests::netsh_releases.at(i));
  for (const std::string_view word : congestion_provider_words()) {
    const bool is_policy = word == "auto" || word == "keep";
    EXPECT_EQ(std::count(words.begin(), words.end(), word), is_policy ? 0 : 1) << word;
  }
}

TEST(NetshProvider, AnOptionIsTakenWhereWindowsKnowsTheWordElseRefusedNamingIt) {
  for_each_combination([](const Row& row, ProductType product, const std::string& word) {
    const std::string where = word + " on " + name_of(row.version, product);
    const auto plan = plan_netsh(row.version, product, provider(word, Origin::option));
    const auto* refusal = std::get_if<Refusal>(&plan);
    ASSERT_EQ(refusal == nullptr, knows(row, product, word)) << where;
    if (refusal == nullptr) {
      EXPECT_EQ(lines(std::get<NetshPlan>(plan).steps), named_steps(row.version, word)) << where;
      return;
    }
    EXPECT_EQ(code(refusal->reason), code(Reason::option_unsupported)) << where;
    for (const std::string& part :
         {"congestion provider " + word, to_string(row.version), std::string(to_string(product))})
      EXPECT_NE(refusal->message.find(part), std::string::npos) << refusal->message;
  });
}

TEST(NetshProvider, AProfilesWordIsLeftOutWithAWarningWhereWindowsDoesNotKnowIt) {
  for_each_combination([](const Row& row, ProductType product, const std::string& word) {
    const std::string where = word + " on " + name_of(row.version, product);
    const bool known = knows(row, product, word);
    const NetshPlan plan = netsh_of(row.version, product, provider(word, Origin::profile_named));
    EXPECT_EQ(lines(plan.steps), known ? named_steps(row.version, word) : Lines()) << where;
    EXPECT_EQ(any_has(plan.warnings, "left out"), !known) << where;
    EXPECT_EQ(any_has(plan.warnings, "congestion provider " + word), !known) << where;
  });
}

TEST(NetshProvider, KeepAndAnOptionAutoNeverNameOneThatTheDefaultDoesNot) {
  for (const Row& row : rows())
    for (const ProductType product : plan_tests::product_types) {
      EXPECT_EQ(lines(netsh_of(row.version, product, provider("keep", Origin::option)).steps),
                Lines());
      EXPECT_EQ(netsh_of(row.version, product, provider("auto", Origin::option)).steps,
                netsh_of(row.version, product, provider("auto", Origin::profile_default)).steps)
          << name_of(row.version, product);
    }
}

TEST(NetshProvider, DefaultsNeverTouchACustomTemplate) {
  for (const WindowsVersion& version : plan_tests::netsh_releases)
    for (const ProductType product : plan_tests::product_types)
      for (const NetshStep& step : netsh_of(version, product, make_settings({})).steps) {
        EXPECT_TRUE(step.otherwise.empty()) << step.command.arguments;
        EXPECT_EQ(step.command.arguments.find("custom"), std::string::npos);
      }
}

TEST(NetshProvider, TheCustomTemplateIsFilledInOrderAndMadeTheDefaultLast) {
  for_each_combination([](const Row& row, ProductType product, const std::string& word) {
    if (!knows(row, product, word)) return;
    const NetshPlan plan = netsh_of(row.version, product, provider(word, Origin::option));
    ASSERT_EQ(plan.steps.size(), 1U);
    const std::vector<NetshCommand>& fallback = plan.steps.front().otherwise;
    if (fallback.empty()) return;
    const auto index_of = [&](std::string_view part) {
      const auto found = std::find_if(fallback.begin(), fallback.end(), [=](const NetshCommand& c) {
        return c.arguments.find(part) != std::string::npos;
      });
      EXPECT_NE(found, fallback.end()) << part;
      return found - fallback.begin();
    };
    EXPECT_LT(index_of("minrto="), index_of("delayedacktimeout="));
    EXPECT_LT(index_of("delayedacktimeout="), index_of("congestionprovider="));
    const bool only_template = fallback.back().arguments.find("custom") ==
                               fallback.back().arguments.size() - std::string("custom").size();
    EXPECT_TRUE(only_template) << fallback.back().arguments;
  });
}

TEST(NetshProvider, WarnsAboutCtcpWhereCubicIsTheSystemsOwn) {
  for (const Row& row : rows()) {
    const bool has_cubic = row.version >= plan_tests::windows_10_1709;
    for (const Origin origin : {Origin::option, Origin::profile_named})
      EXPECT_EQ(
          any_has(netsh_of(row.version, ProductType::server, provider("ctcp", origin)).warnings,
                  "CUBIC by default"),
          has_cubic)
          << name_of(row.version);
    EXPECT_FALSE(
        any_has(netsh_of(row.version, ProductType::server, provider("none", Origin::profile_named))
                    .warnings,
                "CUBIC"));
  }
}

TEST(NetshProvider, WarnsThatBbr2BreaksLoopback) {
  for (const Row& row : rows()) {
    if (!row.client.contains("bbr2")) continue;
    const Lines warnings =
        netsh_of(row.version, ProductType::client, provider("bbr2", Origin::option)).warnings;
    EXPECT_TRUE(any_has(warnings, "loopback")) << name_of(row.version);
  }
}

}  // namespace
}  // namespace kvmnet

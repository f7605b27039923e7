// SPDX-License-Identifier: GPL-2.0-or-later
// Profiles and the options that take a word; settings_set_test.cc has --set.
#include "src/plan/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "src/support/error.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using namespace std::string_literals;
using plan_tests::autotuning_option;
using plan_tests::forcews_option;
using plan_tests::heuristics_option;
using plan_tests::provider_option;
using plan_tests::wiki_options;

// NAME -> number, of what is to be set in the registry.
std::map<std::string, std::uint32_t> registry_of(const SettingOptions& options) {
  std::map<std::string, std::uint32_t> numbers;
  for (const RegistrySetting& setting : make_settings(options).registry) {
    const bool is_new = numbers.emplace(setting.known->name, setting.data).second;
    EXPECT_TRUE(is_new) << setting.known->name << " is there twice";
  }
  return numbers;
}

std::string usage_error(const SettingOptions& options) {
  try {
    make_settings(options);
  } catch (const UsageError& e) {
    return e.what();
  }
  ADD_FAILURE() << "was accepted";
  return {};
}

// An option that takes a word: how it is given, where it lands, which words it takes.
struct WordOption {
  std::string name;
  SettingOptions (*give)(std::string word);
  Setting Settings::*setting;
  std::vector<std::string> words;
};

const std::vector<WordOption>& word_options() {
  static const std::vector<WordOption> options = {
      {"--autotuning",
       autotuning_option,
       &Settings::autotuning,
       {"disabled", "highlyrestricted", "restricted", "normal", "experimental", "keep"}},
      {"--congestion-provider",
       provider_option,
       &Settings::congestion_provider,
       {"auto", "ctcp", "none", "cubic", "dctcp", "newreno", "bbr2", "default", "keep"}},
      {"--heuristics",
       heuristics_option,
       &Settings::heuristics,
       {"enabled", "disabled", "default", "keep"}},
      {"--forcews",
       forcews_option,
       &Settings::forcews,
       {"enabled", "disabled", "default", "keep"}}};
  return options;
}

TEST(Settings, KvmProfileWantsTheRecommendedSettings) {
  const Settings settings = make_settings({});
  EXPECT_EQ(settings.profile, "kvm");
  EXPECT_EQ(settings.autotuning, (Setting{"normal", Origin::profile_default}));
  EXPECT_EQ(settings.congestion_provider, (Setting{"auto", Origin::profile_default}));
  EXPECT_EQ(settings.heuristics, (Setting{"disabled", Origin::profile_default}));
  EXPECT_EQ(settings.forcews, (Setting{"enabled", Origin::profile_default}));
}

TEST(Settings, WikiProfileNamesWhatTheWikiPageSays) {
  const Settings settings = make_settings(wiki_options());
  EXPECT_EQ(settings.profile, "wiki");
  EXPECT_EQ(settings.autotuning, (Setting{"disabled", Origin::profile_named}));
  EXPECT_EQ(settings.congestion_provider, (Setting{"ctcp", Origin::profile_named}));
  EXPECT_EQ(settings.heuristics, (Setting{"disabled", Origin::profile_named}));
  EXPECT_EQ(settings.forcews, (Setting{"enabled", Origin::profile_named}));
}

TEST(Settings, BothProfilesHaveTheRegistryValuesOfTheWiki) {
  const std::map<std::string, std::uint32_t> expected = {
      {"DefaultReceiveWindow", 0x100000},    {"DefaultSendWindow", 0x100000},
      {"FastSendDatagramThreshold", 0x4000}, {"Tcp1323Opts", 1},
      {"TcpWindowSize", 0x100000},           {"EnableWsd", 0}};
  EXPECT_EQ(registry_of({}), expected);
  EXPECT_EQ(registry_of(wiki_options()), expected);
}

TEST(Settings, UnknownProfileIsRefusedWithTheNamesOfThoseThereAre) {
  for (const std::string& profile : {"fast"s, ""s, "KVM"s, "kvm "s}) {
    SettingOptions options;
    options.profile = profile;
    EXPECT_EQ(usage_error(options), "--profile: '" + profile + "' is not one of kvm, wiki");
  }
}

TEST(Settings, EveryWordOfAnOptionIsTakenAndCountsAsTheUsers) {
  for (const WordOption& option : word_options())
    for (const std::string& word : option.words)
      EXPECT_EQ(make_settings(option.give(word)).*option.setting, (Setting{word, Origin::option}))
          << option.name << " " << word;
}

TEST(Settings, AnOptionWinsOverTheWikiProfileAndLeavesTheOthersAlone) {
  for (const WordOption& option : word_options()) {
    SettingOptions options = option.give("keep");
    options.profile = "wiki";
    const Settings settings = make_settings(options);
    const Settings wiki = make_settings(wiki_options());
    for (const WordOption& other : word_options()) {
      const bool given = other.name == option.name;
      EXPECT_EQ(settings.*other.setting,
                given ? (Setting{"keep", Origin::option}) : wiki.*other.setting)
          << option.name << " changed " << other.name;
    }
  }
}

TEST(Settings, AWrongWordIsRefusedWithTheOptionAndItsWords) {
  for (const WordOption& option : word_options()) {
    std::string words;
    for (const std::string& word : option.words) words += (words.empty() ? "" : ", ") + word;
    for (const std::string& wrong :
         {"fast"s, ""s, "KEEP"s, "keep "s, "normal,keep"s, "keep\n"s, "keep & format c:"s, "\xff"s})
      EXPECT_EQ(usage_error(option.give(wrong)),
                option.name + ": '" + wrong + "' is not one of " + words);
  }
}

TEST(Settings, WordListsAreThoseThatAreTaken) {
  const auto same = [](std::span<const std::string_view> a, const std::vector<std::string>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  EXPECT_TRUE(same(autotuning_words(), word_options()[0].words));
  EXPECT_TRUE(same(congestion_provider_words(), word_options()[1].words));
  EXPECT_TRUE(same(switch_words(), word_options()[2].words));
  EXPECT_TRUE(same(profile_names(), {"kvm", "wiki"}));
}

TEST(Settings, OnlyWhatAProfileTakesForGrantedIsNotNamed) {
  EXPECT_FALSE((Setting{"normal", Origin::profile_default}.named()));
  EXPECT_TRUE((Setting{"normal", Origin::profile_named}.named()));
  EXPECT_TRUE((Setting{"normal", Origin::option}.named()));
}

TEST(Settings, EnableWsdFollowsTheHeuristics) {
  const auto enable_wsd = [](const std::string& word) -> std::optional<std::uint32_t> {
    const auto registry = registry_of(heuristics_option(word));
    const auto found = registry.find("EnableWsd");
    return found == registry.end() ? std::nullopt : std::optional(found->second);
  };
  EXPECT_EQ(enable_wsd("disabled"), 0U);
  EXPECT_EQ(enable_wsd("enabled"), 1U);
  EXPECT_EQ(enable_wsd("default"), std::nullopt);
  EXPECT_EQ(enable_wsd("keep"), std::nullopt);
}

TEST(Settings, LegacyValuesAreThoseOfXpAndEnableWsdIsForLater) {
  for (const KnownValue& value : known_values()) {
    EXPECT_EQ(value.legacy, value.name != "EnableWsd") << value.name;
    EXPECT_FALSE(value.meaning.empty()) << value.name;
    EXPECT_LT(value.smallest, value.largest) << value.name;
  }
}

}  // namespace
}  // namespace kvmnet

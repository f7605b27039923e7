// SPDX-License-Identifier: GPL-2.0-or-later
// The first boot of each Windows version, from the bytes that kvmnet writes: which netsh commands
// are run, in their order, and what that version's netsh says to each.
#include <gtest/gtest.h>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;

struct Case {
  const char* name;
  WindowsVersion version;
  const char* played;  // what netsh_recorder.c is told
  SettingOptions options;
  Lines sets;  // by hand, from Microsoft's documents and what others have seen (netsh-rules.txt)
};

const Release& release_of(const Case& test) {
  for (const Release& release : releases)
    if (release.version == test.version) return release;
  throw std::runtime_error("no fixture for this Windows");
}

SettingOptions profile(const std::string& word) {
  SettingOptions options;
  options.profile = word;
  return options;
}
SettingOptions autotuning(const std::string& word) {
  SettingOptions options;
  options.autotuning = word;
  return options;
}
SettingOptions provider(const std::string& word) {
  SettingOptions options;
  options.congestion_provider = word;
  return options;
}

// `show supplemental` came with the templates, in 6.2 (netsh-rules.txt).
Lines shows_of(const WindowsVersion& version) {
  Lines shows = {"0 global", "0 heuristics"};
  if (version >= WindowsVersion{6, 2, 0}) shows.emplace_back("0 supplemental");
  return shows;
}

class FirstBootOf : public testing::TestWithParam<Case> {};

TEST_P(FirstBootOf, RunsTheseCommandsOnceAndRemovesItself) {
  Machine machine(patch(release_of(GetParam()), GetParam().options), GetParam().played);
  ASSERT_TRUE(machine.has_service());
  const std::string record = machine.record();
  EXPECT_FALSE(record.empty());
  machine.boot();
  EXPECT_EQ(machine.record(), record);
  EXPECT_EQ(machine.sets(), GetParam().sets);
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_EQ(machine.result().commands, GetParam().sets);
  EXPECT_EQ(machine.last_shows(), shows_of(GetParam().version));
  EXPECT_FALSE(machine.has_service());
  EXPECT_EQ(machine.files(), (Lines{"firstboot-before.txt", "firstboot.log", "firstboot.result"}));
  EXPECT_NE(machine.log().find("kvmnet: status done"), std::string::npos) << machine.log();

  const std::size_t commands = machine.commands();
  const std::string log = machine.log();
  machine.boot();
  EXPECT_EQ(machine.commands(), commands);
  EXPECT_EQ(machine.log(), log);
}

const Case defaults[] = {
    {"Server2008", {6, 0, 6002}, "6.0.6002 server", {}, {"0 set heuristics disabled"}},
    {"Seven",
     {6, 1, 7601},
     "6.1.7601 client",
     {},
     {"0 set heuristics disabled", "1 set heuristics forcews=enabled",
      "0 set global autotuninglevel=normal", "0 set global congestionprovider=ctcp"}},
    {"Eight",
     {6, 2, 9200},
     "6.2.9200 client",
     {},
     {"0 set heuristics disabled", "1 set heuristics forcews=enabled",
      "0 set global autotuninglevel=normal",
      "1 set supplemental template=internet congestionprovider=ctcp"}},
    {"Server2012R2",
     {6, 3, 9600},
     "6.3.9600 server",
     {},
     {"0 set heuristics disabled", "0 set heuristics forcews=enabled",
      "0 set global autotuninglevel=normal",
      "1 set supplemental template=internet congestionprovider=ctcp"}},
    {"Server2016",
     {10, 0, 14393},
     "10.0.14393 server",
     {},
     {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal",
      "0 set supplemental template=internet congestionprovider=ctcp"}},
    {"Ten1703",
     {10, 0, 15063},
     "10.0.15063 client",
     {},
     {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal",
      "0 set supplemental template=internet congestionprovider=ctcp"}},
    {"Ten22H2",
     {10, 0, 19045},
     "10.0.19045 client",
     {},
     {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal"}},
    {"Server2025",
     {10, 0, 26100},
     "10.0.26100 server",
     {},
     {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal"}},
};

// A named provider is mandatory: where the template "internet" may not be modified, a custom one is
// given its timings, and is made the default.
const Case named[] = {
    {"Server2008Autotuning",
     {6, 0, 6002},
     "6.0.6002 server",
     autotuning("normal"),
     {"0 set heuristics disabled", "0 set global autotuninglevel=normal"}},
    {"EightCtcp",
     {6, 2, 9200},
     "6.2.9200 client",
     provider("ctcp"),
     {"0 set heuristics disabled", "1 set heuristics forcews=enabled",
      "0 set global autotuninglevel=normal",
      "1 set supplemental template=internet congestionprovider=ctcp",
      "0 set supplemental template=custom minrto=300", "0 set supplemental template=custom icw=4",
      "0 set supplemental template=custom enablecwndrestart=disabled",
      "0 set supplemental template=custom delayedacktimeout=50",
      "0 set supplemental template=custom congestionprovider=ctcp",
      "0 set supplemental template=custom"}},
    {"Server2012R2Default",
     {6, 3, 9600},
     "6.3.9600 server",
     provider("default"),
     {"0 set heuristics disabled", "0 set heuristics forcews=enabled",
      "0 set global autotuninglevel=normal",
      "1 set supplemental template=internet congestionprovider=default"}},
    {"Server2016Cubic",
     {10, 0, 14393},
     "10.0.14393 server",
     provider("cubic"),
     {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal",
      "0 set supplemental template=internet congestionprovider=cubic"}},
    {"Server2025Bbr2",
     {10, 0, 26100},
     "10.0.26100 server",
     provider("bbr2"),
     {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal",
      "0 set supplemental template=internet congestionprovider=bbr2"}},
};

const Lines wiki_10_0 = {"0 set heuristics disabled", "0 set heuristics forcews=enabled",
                         "0 set global autotuninglevel=disabled",
                         "0 set supplemental template=internet congestionprovider=ctcp"};
const SettingOptions wiki_profile = profile("wiki");
const Case wiki[] = {
    {"Server2008",
     {6, 0, 6002},
     "6.0.6002 server",
     wiki_profile,
     {"0 set heuristics disabled", "0 set global autotuninglevel=disabled",
      "0 set global congestionprovider=ctcp"}},
    {"Seven",
     {6, 1, 7601},
     "6.1.7601 client",
     wiki_profile,
     {"0 set heuristics disabled", "1 set heuristics forcews=enabled",
      "0 set global autotuninglevel=disabled", "0 set global congestionprovider=ctcp"}},
    {"Eight",
     {6, 2, 9200},
     "6.2.9200 client",
     wiki_profile,
     {"0 set heuristics disabled", "1 set heuristics forcews=enabled",
      "0 set global autotuninglevel=disabled",
      "1 set supplemental template=internet congestionprovider=ctcp",
      "0 set supplemental template=custom minrto=300", "0 set supplemental template=custom icw=4",
      "0 set supplemental template=custom enablecwndrestart=disabled",
      "0 set supplemental template=custom delayedacktimeout=50",
      "0 set supplemental template=custom congestionprovider=ctcp",
      "0 set supplemental template=custom"}},
    {"Server2012R2",
     {6, 3, 9600},
     "6.3.9600 server",
     wiki_profile,
     {"0 set heuristics disabled", "0 set heuristics forcews=enabled",
      "0 set global autotuninglevel=disabled",
      "1 set supplemental template=internet congestionprovider=ctcp",
      "0 set supplemental template=internetcustom minrto=300",
      "0 set supplemental template=internetcustom icw=4",
      "0 set supplemental template=internetcustom enablecwndrestart=disabled",
      "0 set supplemental template=internetcustom delayedacktimeout=50",
      "0 set supplemental template=internetcustom congestionprovider=ctcp",
      "0 set supplemental template=internetcustom"}},
    {"Server2016", {10, 0, 14393}, "10.0.14393 server", wiki_profile, wiki_10_0},
    {"Ten1703", {10, 0, 15063}, "10.0.15063 client", wiki_profile, wiki_10_0},
    {"Ten22H2", {10, 0, 19045}, "10.0.19045 client", wiki_profile, wiki_10_0},
    {"Server2025", {10, 0, 26100}, "10.0.26100 server", wiki_profile, wiki_10_0},
};

std::string name_of(const testing::TestParamInfo<Case>& instance) {
  return instance.param.name;
}

INSTANTIATE_TEST_SUITE_P(Defaults, FirstBootOf, testing::ValuesIn(defaults), name_of);
INSTANTIATE_TEST_SUITE_P(Named, FirstBootOf, testing::ValuesIn(named), name_of);
INSTANTIATE_TEST_SUITE_P(Wiki, FirstBootOf, testing::ValuesIn(wiki), name_of);

}  // namespace
}  // namespace kvmnet::test

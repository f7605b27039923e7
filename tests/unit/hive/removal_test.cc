// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/removal.h"

#include <gtest/gtest.h>

#include "hive/check.h"
#include "hive/contents.h"
#include "hive/edit.h"
#include "hive/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"
#include "tests/unit/hive/hive_files.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using test::fixture_hive;
using test::sound_hive;
using test::SoundHive;
using Lines = std::vector<std::string>;

constexpr const char* parameters_key = "ControlSet001\\Services\\Tcpip\\Parameters";

KeyEdit without_values(const std::string& key, std::vector<std::string> names) {
  return {KeyPath::parse(key), {}, std::move(names)};
}
KeyEdit without_key(const std::string& key) {
  return {KeyPath::parse(key), {}, {}, true};
}

Bytes edited(const Bytes& before, const std::vector<KeyEdit>& edits) {
  const Fd from = make_memory_file("hive");
  const Fd to = make_memory_file("edited hive");
  write_whole(from, before);
  edit(from.get(), to.get(), edits, {});
  return read_whole(to);
}

// Nothing is damaged, nothing else has changed, and no cell is lost.
void expect_removed(const Bytes& before, const std::vector<KeyEdit>& edits) {
  Bytes after = before;
  remove(after, edits);
  const CheckResult result = check(after);
  EXPECT_EQ(result.fatal, 0U) << result.findings.front().message;
  EXPECT_EQ(result.harmless, check(before).harmless);
  EXPECT_EQ(unexplained_differences(before, after, edits), Lines());
  EXPECT_EQ(check(edited(before, edits)).harmless, result.harmless);
}

TEST(Removal, TakesEachKindOfValueOutOfAKey) {
  const Bytes hive = sound_hive().bytes;
  for (const char* name : {"Inline", "plain", "Big"})
    expect_removed(hive, {without_values("Alpha", {name})});
  expect_removed(hive, {without_values("Alpha", {"Big", "Inline"})});
  expect_removed(hive, {without_values("Alpha", {"Big", "Inline", "Plain"})});
}

TEST(Removal, TakesKeysOutOfEachKindOfList) {
  const Bytes hive = sound_hive().bytes;
  for (const char* key : {"Alpha", "Beta", "Gamma", "Beta\\Delta", "Beta\\Delta\\Echo"})
    expect_removed(hive, {without_key(key)});
  expect_removed(hive, {without_key("Alpha"), without_key("Gamma")});
  expect_removed(hive, {without_key("Gamma"), without_key("Beta"), without_key("Alpha")});
}

TEST(Removal, LeavesTheRestInItsOrder) {
  Bytes hive = sound_hive().bytes;
  remove(hive, {without_key("Beta"), without_values("Alpha", {"Inline"})});
  const Contents contents(hive);
  EXPECT_EQ(contents.subkeys(KeyPath()), (Lines{"Alpha", "Gamma"}));
  const auto values = contents.values(KeyPath::parse("Alpha")).value();
  ASSERT_EQ(values.size(), 2U);
  EXPECT_EQ(values[0].name, "Plain");
  EXPECT_EQ(values[1].name, "Big");
}

TEST(Removal, TakesTheLastUsersSecurityDescriptorOutOfTheRing) {
  SoundHive hive = sound_hive();
  remove(hive.bytes, {without_key("Alpha"), without_key("Beta")});
  EXPECT_EQ(hive.u32(hive.security, 12), 1U);
  remove(hive.bytes, {without_key("Gamma")});
  EXPECT_EQ(hive.u32(hive.root_security, 4), hive.root_security);
  EXPECT_EQ(hive.u32(hive.root_security, 8), hive.root_security);
  EXPECT_TRUE(check(hive.bytes).sound());
}

TEST(Removal, MixesWithValuesThatAreSet) {
  const Bytes& before = fixture_hive("nt61.system");
  const KeyPath parameters = KeyPath::parse(parameters_key);
  const Bytes patched =
      edited(before, {{parameters, {{"EnableWsd", dword(0)}, {"Hostname", sz("other")}}},
                      {KeyPath::parse("ControlSet001\\Services\\ours\\Below"), {{"a", dword(1)}}}});
  const Bytes after = edited(patched, {{parameters, {{"Hostname", sz("guest")}}, {"enablewsd"}},
                                       without_key("ControlSet001\\Services\\OURS")});
  EXPECT_EQ(unexplained_differences(before, after, {{parameters, {{"Hostname", sz("guest")}}}}),
            Lines());
}

TEST(Removal, IsRefusedForWhatIsNotThere) {
  const Bytes hive = sound_hive().bytes;
  for (const KeyEdit& edit :
       {without_key("Nothing"), without_key("Alpha\\Nothing"), KeyEdit{KeyPath(), {}, {}, true},
        without_values("Alpha", {"Nothing"}), without_values("Nothing", {"Inline"}),
        without_values("Alpha", {"Inline", "Inline"})})
    EXPECT_THROW(edited(hive, {edit}), Unsupported);
}

TEST(Removal, IsNotExplainedByAnotherOne) {
  const Bytes before = sound_hive().bytes;
  Bytes after = before;
  remove(after, {without_key("Gamma"), without_values("Alpha", {"Plain"})});
  EXPECT_EQ(unexplained_differences(before, after, {}).size(), 3U);
  EXPECT_FALSE(unexplained_differences(before, after, {without_key("Gamma")}).empty());
  EXPECT_FALSE(
      unexplained_differences(before, before, {without_values("Alpha", {"Plain"})}).empty());
  EXPECT_EQ(unexplained_differences(before, before, {without_key("Gamma")}),
            (Lines{"key '\\': its subkey 'Gamma' was to go", "key '\\Gamma': it was not there"}));
}

// Links that lead astray are found before anything is written through them.
TEST(Removal, OfAHiveThatIsNotSoundThrowsOrStaysInside) {
  const SoundHive sound = sound_hive();
  for (std::size_t at = 4096; at < sound.bytes.size(); at += 4)
    for (const std::uint32_t number : {0U, 0xFFFFFFFFU, 0x80000000U, 0x20U, 0x10000000U}) {
      Bytes hive = sound.bytes;
      test::store_u32(hive, at, number);
      try {
        remove(hive, {without_values("Alpha", {"Big"}), without_key("Alpha"), without_key("Beta")});
      } catch (const Error&) {
      }
      EXPECT_EQ(hive.size(), sound.bytes.size());
    }
}

// All keys and values as reglookup lists them, and the values' order as hivexregedit does, for the
// keys that are edited.
std::vector<std::string> listed(const Bytes& hive) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, hive);
  std::vector<std::string> all = test::listing_with_times(file);
  all.push_back(run_checked({"hivexregedit", "--export", file, parameters_key}));
  return all;
}

class RemovalFromRealHives : public testing::TestWithParam<const char*> {};

TEST_P(RemovalFromRealHives, UndoesWhatAnEditHasAdded) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const Bytes before = test::with_clean_header(test::real_hive(GetParam()));
  const KeyPath tcpip = KeyPath::parse(parameters_key);
  const KeyPath service = KeyPath::parse("ControlSet001\\Services\\kvmnet-firstboot");
  const Bytes patched = edited(before, {{tcpip, {{"kvmnet", dword(0)}}},
                                        {service, {{"Start", dword(2)}, {"Name", sz("x")}}}});
  const Bytes after = edited(
      patched, {without_values(tcpip.to_string(), {"kvmnet"}), without_key(service.to_string())});
  EXPECT_EQ(listed(after), listed(before));
  EXPECT_EQ(unexplained_differences(before, after, {{tcpip, {}}}), Lines());
}

INSTANTIATE_TEST_SUITE_P(All, RemovalFromRealHives,
                         testing::Values("win7-x86.SYSTEM", "win8.SYSTEM", "win10-1709.SYSTEM"),
                         [](const auto& test) { return std::string(test.param).substr(0, 4); });

}  // namespace
}  // namespace kvmnet::hive

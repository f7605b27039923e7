// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/compare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "hive/check.h"
#include "hive/error.h"
#include "src/support/fd.h"
#include "tests/unit/hive/hive_fixture.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using test::fixture_hive;
using test::real_hive;
using test::sound_hive;
using test::SoundHive;
using Lines = std::vector<std::string>;

const KeyPath parameters = KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");

// What hivex makes of the hive.
Bytes edited(const Bytes& hive, const std::vector<KeyEdit>& edits) {
  const Fd memory = make_memory_file("hive");
  write_whole(memory, hive);
  Hive opened(proc_path(memory), Hive::Mode::edit);
  for (const KeyEdit& edit : edits) opened.set(edit.key, edit.set);
  opened.commit();
  return read_whole(memory);
}

testing::AssertionResult any_has(const Lines& found, std::string_view part) {
  for (const std::string& line : found)
    if (line.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "found " << testing::PrintToString(found);
}

testing::AssertionResult only_has(const Lines& found, std::string_view part) {
  if (found.size() == 1) return any_has(found, part);
  return testing::AssertionFailure() << "found " << testing::PrintToString(found);
}

TEST(Compare, FindsNoDifferenceBetweenAHiveAndItself) {
  for (const Bytes& hive : {test::minimal_hive(), sound_hive().bytes, fixture_hive("nt61.system")})
    EXPECT_EQ(unexplained_differences(hive, hive, {}), Lines());
}

TEST(Compare, AcceptsWhatAnEditWasToDo) {
  const Bytes& before = fixture_hive("nt61.system");
  const std::vector<KeyEdit> edits = {
      {parameters, {{"EnableWsd", dword(0)}, {"HOSTNAME", sz("other")}, {"", sz("default")}}},
      {KeyPath::parse("CONTROLSET001\\Services\\kvmnet\\Parameters"), {{"Type", dword(16)}}},
      {KeyPath::parse("ControlSet001\\Services\\KVMNET"), {{"Start", dword(2)}}},
      {KeyPath::parse("ControlSet001\\Services\\aaa"), {}},
      {KeyPath::parse("ControlSet001\\Services\\zzz"), {}},
      {KeyPath::parse("New"), {{"Empty text", sz("")}}},
      {parameters, {{"enablewsd", dword(1)}}},  // the last one wins
  };
  EXPECT_EQ(unexplained_differences(before, edited(before, edits), edits), Lines());
}

TEST(Compare, ReportsWhatNoEditExplains) {
  const Bytes& before = fixture_hive("nt61.system");
  const Bytes after = edited(before, {{parameters, {{"Hostname", sz("other")}, {"New", dword(1)}}},
                                      {parameters / "Key", {}}});
  const std::string key = "key '\\ControlSet001\\services\\Tcpip\\Parameters': ";
  EXPECT_EQ(unexplained_differences(before, after, {}),
            (Lines{key + "its value 'Hostname' has changed", key + "its value 'New' is new",
                   key + "its subkey 'Key' is new"}));
  EXPECT_EQ(unexplained_differences(after, before, {}),
            (Lines{key + "its value 'Hostname' has changed", key + "it had 9 values and has 8",
                   key + "its subkey 'Key' is gone"}));
}

TEST(Compare, ReportsWhatWasNotDone) {
  const Bytes& hive = fixture_hive("nt61.system");
  const std::vector<KeyEdit> edits = {{parameters, {{"Hostname", sz("x")}, {"New", dword(1)}}},
                                      {parameters / "Key\\Sub", {}}};
  const std::string key = "key '\\ControlSet001\\services\\Tcpip\\Parameters";
  const std::string wanted = "key '\\ControlSet001\\Services\\Tcpip\\Parameters\\Key";
  EXPECT_EQ(unexplained_differences(hive, hive, edits),
            (Lines{key + "': its value 'Hostname' is not what it was set to",
                   key + "': its value 'New' was not set", wanted + "': it was not created",
                   wanted + "\\Sub': it was not created"}));
}

TEST(Compare, ReportsANewValueOfAnotherSpelling) {
  const Bytes& before = fixture_hive("nt61.system");
  const Bytes after = edited(before, {{parameters, {{"NEW", dword(1)}}}});
  EXPECT_TRUE(only_has(unexplained_differences(before, after, {{parameters, {{"New", dword(1)}}}}),
                       "its new value 'NEW' was to be named 'New'"));
}

struct Change {
  const char* name;
  std::function<void(SoundHive&)> apply;
  const char* message;
};

TEST(Compare, NoticesEveryPropertyThatIsCompared) {
  const std::vector<Change> changes = {
      {"key name", [](SoundHive& h) { h.set_u8(h.gamma, 76, 'g'); },
       "key '\\gamma': its name was 'Gamma'"},
      {"other key name", [](SoundHive& h) { h.set_u8(h.gamma, 77, 'b'); },
       "key '\\': its subkey 'Gbmma' is new"},
      {"encoding of a key name", [](SoundHive& h) { h.set_u16(h.gamma, 2, 0); }, "key '\\'"},
      {"key flags", [](SoundHive& h) { h.set_u16(h.gamma, 2, 0x28); },
       "key '\\Gamma': its flags have changed"},
      {"virtualization flags", [](SoundHive& h) { h.set_u8(h.gamma, 54, 2); },
       "its flags have changed"},
      {"layered key", [](SoundHive& h) { h.set_u8(h.gamma, 13, 1); }, "its flags have changed"},
      {"key time", [](SoundHive& h) { h.set_u32(h.echo, 8, 1); },
       "key '\\Beta\\Delta\\Echo': its time has changed"},
      {"time of the root", [](SoundHive& h) { h.set_u32(h.root, 4, 1); },
       "key '\\': its time has changed"},
      {"class name", [](SoundHive& h) { h.set_u8(h.class_name, 0, 'C'); },
       "key '\\Alpha': its class name has changed"},
      {"class size", [](SoundHive& h) { h.set_u16(h.alpha, 74, 8); }, "its class name has changed"},
      {"security descriptor", [](SoundHive& h) { h.set_u8(h.root_security, 20, 1); },
       "key '\\': its security descriptor has changed"},
      {"other security descriptor", [](SoundHive& h) { h.set_u32(h.gamma, 44, h.root_security); },
       "key '\\Gamma': its security descriptor has changed"},
      {"value count", [](SoundHive& h) { h.set_u32(h.alpha, 36, 2); }, "it had 3 values and has 2"},
      {"value order",
       [](SoundHive& h) {
         h.set_u32(h.value_list, 0, h.plain_value);
         h.set_u32(h.value_list, 4, h.inline_value);
       },
       "where its value 'Inline' was there is 'Plain'"},
      {"value name", [](SoundHive& h) { h.set_u8(h.plain_value, 20, 'p'); },
       "where its value 'Plain' was there is 'plain'"},
      {"value type", [](SoundHive& h) { h.set_u32(h.plain_value, 12, 1); },
       "its value 'Plain' has changed"},
      {"value size", [](SoundHive& h) { h.set_u32(h.plain_value, 4, 99); },
       "its value 'Plain' has changed"},
      {"value data", [](SoundHive& h) { h.set_u8(h.plain_data, 99, 0); },
       "its value 'Plain' has changed"},
      {"data in the record", [](SoundHive& h) { h.set_u8(h.inline_value, 11, 1); },
       "its value 'Inline' has changed"},
      {"big data", [](SoundHive& h) { h.set_u8(h.last_segment, 7311, 0); },
       "its value 'Big' has changed"},
      {"tombstone", [](SoundHive& h) { h.set_u16(h.inline_value, 16, 3); },
       "its value 'Inline' has changed"},
      {"subkeys",
       [](SoundHive& h) {
         h.set_u16(h.index, 2, 1);
         h.set_u32(h.root, 20, 2);
       },
       "key '\\': its subkey 'Gamma' is gone"},
  };
  const SoundHive before = sound_hive();
  for (const Change& change : changes) {
    SoundHive after = before;
    change.apply(after);
    const auto found = unexplained_differences(before.bytes, after.bytes, {});
    EXPECT_TRUE(any_has(found, change.message)) << change.name;
  }
}

// As hivex writes them. It is check() that says what is wrong with it.
TEST(Compare, RefusesBigDataThatBecameOneCell) {
  const SoundHive before = sound_hive();
  SoundHive after = before;
  after.set_u16(after.big_data, 0, 0);
  EXPECT_THROW(unexplained_differences(before.bytes, after.bytes, {}), Error);
}

TEST(Compare, NoticesAnotherBaseBlock) {
  const SoundHive before = sound_hive();
  for (const std::size_t offset : {24U, 48U, 112U, 144U, 507U, 512U, 4095U}) {
    SoundHive after = before;
    after.bytes.at(offset) ^= std::byte{1};
    EXPECT_TRUE(any_has(unexplained_differences(before.bytes, after.bytes, {}), "base block"));
  }
  SoundHive after = before;
  test::set_sequence_numbers(after.bytes, 7, 7);
  EXPECT_EQ(unexplained_differences(before.bytes, after.bytes, {}), Lines());
}

TEST(Compare, AllowsNewTimesWhereTheEditWas) {
  const SoundHive before = sound_hive();
  SoundHive after = before;
  after.set_u32(after.beta, 8, 1);
  EXPECT_EQ(unexplained_differences(before.bytes, after.bytes, {{KeyPath::parse("Beta"), {}}}),
            Lines());
  // The way to an edited key is not edited.
  EXPECT_EQ(
      unexplained_differences(before.bytes, after.bytes, {{KeyPath::parse("Beta\\Delta"), {}}}),
      (Lines{"key '\\Beta': its time has changed"}));
}

TEST(Compare, DoesNotExplainAnEditOfAnotherKey) {
  const SoundHive before = sound_hive();
  SoundHive after = before;
  after.set_u8(after.inline_value, 8, 9);
  const std::vector<NamedValue> set = {{"Inline", dword(9)}};
  EXPECT_EQ(unexplained_differences(before.bytes, after.bytes, {{KeyPath::parse("ALPHA"), set}}),
            Lines());
  EXPECT_EQ(unexplained_differences(before.bytes, after.bytes, {{KeyPath::parse("Beta"), set}}),
            (Lines{"key '\\Beta': its value 'Inline' was not set",
                   "key '\\Alpha': its value 'Inline' has changed"}));
}

// A created key, and one property of it that is not as hivex makes it.
TEST(Compare, ReportsOddPropertiesOfNewKeys) {
  const SoundHive after = sound_hive();
  SoundHive before = after;  // without Gamma
  before.set_u16(before.index, 2, 1);
  before.set_u32(before.root, 20, 2);
  const std::vector<KeyEdit> edits = {{KeyPath::parse("Gamma"), {}}};
  const auto found = [&](const std::function<void(SoundHive&)>& change) {
    SoundHive changed = after;
    changed.set_u32(changed.gamma, 44, changed.root_security);
    change(changed);
    return unexplained_differences(before.bytes, changed.bytes, edits);
  };
  EXPECT_EQ(found([](SoundHive&) {}), Lines());
  EXPECT_TRUE(only_has(found([](SoundHive& h) { h.set_u32(h.gamma, 44, h.security); }),
                       "parent's security descriptor"));
  EXPECT_TRUE(
      only_has(found([](SoundHive& h) { h.set_u16(h.gamma, 2, 0x30); }), "unexpected flags"));
  EXPECT_TRUE(
      only_has(found([](SoundHive& h) { h.set_u8(h.gamma, 80, 'A'); }), "was to be named Gamma"));
  EXPECT_TRUE(only_has(found([](SoundHive& h) {
                         h.set_u32(h.gamma, 48, h.class_name);
                         h.set_u16(h.gamma, 74, 10);
                       }),
                       "has a class name"));
  EXPECT_TRUE(only_has(found([](SoundHive& h) {
                         h.set_u32(h.gamma, 36, 1);
                         h.set_u32(h.gamma, 40, h.value_list);
                       }),
                       "its value 'Inline' is new"));
  EXPECT_TRUE(only_has(found([](SoundHive& h) {
                         h.set_u32(h.gamma, 20, 1);
                         h.set_u32(h.gamma, 28, h.plain_leaf);
                       }),
                       "its subkey 'Echo' is new"));
}

TEST(Compare, ListsAFewDifferencesOnly) {
  const Bytes& before = fixture_hive("nt61.system");
  std::vector<NamedValue> set;
  for (int i = 0; i < 30; ++i) set.push_back({"value " + std::to_string(i), dword(1)});
  EXPECT_EQ(unexplained_differences(before, edited(before, {{parameters, set}}), {}).size(), 20);
}

TEST(Compare, RefusesWhatIsNoHive) {
  EXPECT_THROW(unexplained_differences(Bytes(10), sound_hive().bytes, {}), Error);
}

// Whether Hive::set refuses to edit a key with these values.
bool is_refused(const Tree& tree, CellOffset key) {
  for (const CellOffset offset : tree.values(key)) {
    const ValueRecord value = tree.value(offset);
    const StoredName name{value.name, value.latin1_name};
    if (value.size == 0 || value.size > 16344 || name.text().find('\0') != std::string::npos)
      return true;
  }
  return false;
}

struct Sample {
  KeyPath key;
  bool refused;
};

// `count` keys that have values, spread evenly over the hive.
std::vector<Sample> sample_of_keys(const Bytes& hive, std::size_t count) {
  const Tree tree(hive);
  std::vector<Sample> keys;
  test::visit_keys(tree, [&](const std::string& path, CellOffset key) {
    if (!path.empty() && !tree.values(key).empty())
      keys.push_back({KeyPath::parse(path.substr(1)), is_refused(tree, key)});
  });
  std::vector<Sample> sample;
  for (std::size_t i = 0; i < std::min(count, keys.size()); ++i)
    sample.push_back(keys[i * keys.size() / std::min(count, keys.size())]);
  return sample;
}

// Edits the keys of the sample in one session, and compares.
void expect_only_explained_differences(const Bytes& before, const std::vector<Sample>& sample) {
  std::vector<KeyEdit> edits;
  for (const Sample& one : sample)
    if (!one.refused) edits.push_back({one.key, {{"kvmnet", dword(edits.size() & 0xFFFF)}}});
  const Bytes after = edited(before, edits);
  EXPECT_TRUE(check(after).sound());
  EXPECT_EQ(unexplained_differences(before, after, edits), Lines());
}

// Hive::set must refuse just the keys that are said to be refused. After an exception the handle
// is dropped, so that each needs one of its own: a few are enough.
void expect_refused(const Bytes& before, const std::vector<Sample>& sample) {
  const Fd memory = make_memory_file("hive");
  write_whole(memory, before);
  std::size_t tried = 0;
  for (const Sample& one : sample) {
    if (!one.refused || ++tried > 3) continue;
    Hive opened(proc_path(memory), Hive::Mode::edit);
    EXPECT_THROW(opened.set(one.key, {{"kvmnet", dword(1)}}), Unsupported) << one.key.to_string();
  }
}

struct RealHive {
  const char* name;
  std::size_t keys;      // with values, that are edited in one session
  std::size_t refused;   // of them
  std::size_t sessions;  // with one key each
};

void PrintTo(const RealHive& hive, std::ostream* out) {
  *out << hive.name;
}

// The dirty ones are sound; their headers are made clean here.
class EditsOfRealHives : public testing::TestWithParam<RealHive> {};

TEST_P(EditsOfRealHives, LeaveEverythingElseAsItWas) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const RealHive& hive = GetParam();
  const Bytes before = test::with_clean_header(real_hive(hive.name));
  const std::vector<Sample> sample = sample_of_keys(before, 500);
  EXPECT_EQ(sample.size(), hive.keys);
  const auto is_refused = [](const Sample& one) { return one.refused; };
  EXPECT_EQ(std::count_if(sample.begin(), sample.end(), is_refused), hive.refused);
  expect_only_explained_differences(before, sample);
  expect_refused(before, sample);
  for (const Sample& one : sample_of_keys(before, hive.sessions))
    expect_only_explained_differences(before, {one});
}

INSTANTIATE_TEST_SUITE_P(All, EditsOfRealHives,
                         testing::Values(RealHive{"BCD", 96, 0, 10},
                                         RealHive{"OldDirtyHive/RecoveredHive_Windows7", 1, 0, 1},
                                         RealHive{"win7-x86.SYSTEM", 500, 3, 6},
                                         RealHive{"win8.SYSTEM", 500, 1, 2},
                                         RealHive{"win10-1709.SYSTEM", 500, 4, 2}),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c < '0'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reader.h"

#include <gtest/gtest.h>

#include "hive/error.h"
#include "hive/hive.h"
#include "src/support/temp_dir.h"
#include "tests/unit/hive/crafted_hive.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet::hive {
namespace {

using test::CraftedHive;
using test::fixture_hive;
using test::MemorySource;

const KeyPath current_version = KeyPath::parse("Microsoft\\Windows NT\\CurrentVersion");

std::optional<Value> look_up(const Bytes& hive, const std::string& key, std::string_view name) {
  MemorySource source{hive};
  return test::reader(source).value(KeyPath::parse(key), name);
}

TEST(Reader, FindsTheWindowsVersion) {
  MemorySource source{fixture_hive("nt100-19045.software")};
  Reader reader = test::reader(source);
  EXPECT_EQ(reader.value(current_version, "CurrentBuildNumber"), sz("19045"));
  EXPECT_EQ(reader.value(current_version, "CurrentMajorVersionNumber"), dword(10));
  EXPECT_EQ(reader.value(current_version, "CurrentMinorVersionNumber"), dword(0));
  EXPECT_EQ(reader.value(current_version, "ProductName"), sz("Windows 10 Pro"));
}

TEST(Reader, DoesNotCareAboutLetterCase) {
  MemorySource source{fixture_hive("nt61.software")};
  Reader reader = test::reader(source);
  for (const char* key :
       {"MICROSOFT\\WINDOWS NT\\CURRENTVERSION", "microsoft\\windows nt\\currentversion"})
    for (const char* name : {"currentbuildnumber", "CURRENTBUILDNUMBER"})
      EXPECT_EQ(reader.value(KeyPath::parse(key), name), sz("7601")) << key << ' ' << name;
}

TEST(Reader, SaysWhatIsAbsent) {
  const Bytes& hive = fixture_hive("nt61.software");
  EXPECT_EQ(look_up(hive, "Microsoft\\Windows NT\\CurrentVersion", "Nothing"), std::nullopt);
  EXPECT_EQ(look_up(hive, "Microsoft\\Windows NT\\CurrentVersion", ""), std::nullopt);
  EXPECT_EQ(look_up(hive, "Microsoft\\Windows NT\\CurrentVersion2", "ProductName"), std::nullopt);
  EXPECT_EQ(look_up(hive, "Microsoft\\Windows NT\\CurrentVersion\\x", "ProductName"), std::nullopt);
  EXPECT_EQ(look_up(hive, "Nothing", "ProductName"), std::nullopt);
  EXPECT_EQ(look_up(hive, "Policies", "ProductName"), std::nullopt);  // no values, no subkeys
  EXPECT_EQ(look_up(hive, "Policies\\x", "ProductName"), std::nullopt);
}

TEST(Reader, ReadsEveryPageOnceAndNothingBeyondTheHive) {
  const Bytes& hive = fixture_hive("nt100-19045.software");
  MemorySource source{hive};
  Reader reader = test::reader(source);
  for (int round = 0; round < 3; ++round)
    for (const char* name : {"CurrentBuildNumber", "CurrentMajorVersionNumber", "ProductName"})
      EXPECT_NE(reader.value(current_version, name), std::nullopt);
  EXPECT_FALSE(source.outside);
  EXPECT_LE(source.transferred, hive.size());
  EXPECT_LE(source.reads, hive.size() / 4096);
}

TEST(Reader, FollowsEveryKindOfSubkeyList) {
  constexpr std::uint32_t hash_of_key = ((('K' * 37U) + 'E') * 37U) + 'Y';
  for (const std::string_view kind : {"li", "lf", "lh"})
    for (const bool indexed : {false, true}) {
      CraftedHive hive;
      const auto values = hive.value_list({hive.value("Other", 1), hive.value("Number", 7)});
      const auto other = hive.key("Other", 0, CraftedHive::none);
      const auto key = hive.key("Key", 0, CraftedHive::none, 2, values);
      std::uint32_t list = hive.list(kind, {other, key}, hash_of_key);
      if (indexed) list = hive.list("ri", {hive.list(kind, {other}, hash_of_key), list});
      const Bytes bytes = hive.finish(hive.key("root", 2, list));
      EXPECT_EQ(look_up(bytes, "kEy", "nUmber"), dword(7)) << kind << indexed;
      EXPECT_EQ(look_up(bytes, "Keys", "Number"), std::nullopt) << kind << indexed;
    }
}

TEST(Reader, FindsNamesInUtf16) {
  using namespace std::string_view_literals;
  CraftedHive hive;
  const auto values = hive.value_list({hive.value("N\0u\0m\0"sv, 7, 0)});
  const auto key = hive.key("K\0e\0y\0"sv, 0, CraftedHive::none, 1, values, 0);
  const Bytes bytes = hive.finish(hive.key("root", 1, hive.list("li", {key})));
  EXPECT_EQ(look_up(bytes, "KEY", "nuM"), dword(7));
}

TEST(Reader, FindsValuesOfTheRootAndDefaultValues) {
  CraftedHive hive;
  const auto values = hive.value_list({hive.value("a", 1), hive.value("", 2)});
  const Bytes bytes = hive.finish(hive.key("root", 0, CraftedHive::none, 2, values));
  MemorySource source{bytes};
  EXPECT_EQ(test::reader(source).value(KeyPath(), ""), dword(2));
  EXPECT_EQ(test::reader(source).value(KeyPath(), "a"), dword(1));
}

TEST(Reader, KnowsTheSizesOfValues) {
  const struct {
    std::uint32_t size;
    std::optional<std::size_t> read;  // nothing: an error
  } table[] = {{0, 0},          {1, 1},          {4, 4},           {5, 5},
               {16344, 16344},  {16345, {}},     {0x7FFFFFFF, {}}, {0x80000000, 0},
               {0x80000001, 1}, {0x80000004, 4}, {0x80000005, {}}, {0xFFFFFFFF, {}}};
  for (const auto& row : table) {
    CraftedHive hive;
    const auto data = hive.cell(Bytes(16344, std::byte{0x41}));
    const auto values = hive.value_list({hive.value("v", 3, row.size, data)});
    const Bytes bytes = hive.finish(hive.key("Key", 0, CraftedHive::none, 1, values));
    MemorySource source{bytes};
    Reader reader = test::reader(source);
    if (!row.read) {
      EXPECT_THROW(reader.value(KeyPath(), "v"), Error) << row.size;
      continue;
    }
    const auto value = reader.value(KeyPath(), "v");
    ASSERT_TRUE(value) << row.size;
    EXPECT_EQ(value->type, Type::binary);
    EXPECT_EQ(value->data.size(), *row.read) << row.size;
  }
}

TEST(Reader, RefusesWhatIsNotClean) {
  const Bytes good = fixture_hive("nt61.software");
  Bytes truncated = good;
  truncated.resize(good.size() - 4096);
  for (const Bytes& bytes : {test::with_dirty_header(good), truncated, Bytes(), Bytes(8192)}) {
    MemorySource source{bytes};
    Reader reader = test::reader(source);
    EXPECT_NE(reader.base_block().condition, Condition::clean);
    EXPECT_THROW(reader.value(current_version, "ProductName"), Error);
    EXPECT_EQ(source.reads, 1U);
  }
}

TEST(Reader, SaysInWhatConditionTheHiveIs) {
  MemorySource clean{fixture_hive("nt61.software")};
  EXPECT_EQ(test::reader(clean).base_block().condition, Condition::clean);
  const Bytes bytes = test::with_dirty_header(fixture_hive("nt61.software"));
  MemorySource dirty{bytes};
  const Reader reader = test::reader(dirty);
  EXPECT_EQ(reader.base_block().condition, Condition::dirty);
  EXPECT_NE(reader.base_block().reason, "");
}

// The same answers as hivex has.
class Comparison {
 public:
  Comparison(const Hive& hive, Reader& reader) : hive_(hive), reader_(reader) {}

  // `key` and what is below it, of long lists only some.
  void compare(const KeyPath& key, int depth = 0) {
    constexpr std::size_t many = 12;
    compare_values(key);
    if (depth == 5) return;
    const auto names = hive_.subkeys(key);
    const std::size_t stride = names.size() > many ? names.size() / many : 1;
    for (std::size_t i = 0; i < names.size(); i += stride)
      if (is_plain(names[i])) compare(key / names[i], depth + 1);
  }

  std::size_t keys = 0;
  std::size_t values = 0;
  std::size_t numbers_and_texts = 0;

 private:
  // Reader's hash is that of ASCII names.
  static bool is_plain(const std::string& name) {
    return std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c != '\\'; });
  }

  void compare_values(const KeyPath& key) {
    ++keys;
    EXPECT_EQ(reader_.value(key, "kvmnet: not there"), std::nullopt) << key.to_string();
    EXPECT_EQ(reader_.value(key / "kvmnet: not there", ""), std::nullopt) << key.to_string();
    const auto present = hive_.values(key);
    ASSERT_TRUE(present) << key.to_string();
    for (const NamedValue& v : *present) {
      if (v.value.data.size() > 16344) continue;
      ++values;
      if (v.value.type == Type::dword || v.value.type == Type::sz) ++numbers_and_texts;
      EXPECT_EQ(reader_.value(key, v.name), v.value) << key.to_string() << " : " << v.name;
    }
  }

  const Hive& hive_;
  Reader& reader_;
};

void compare_with_hivex(const Bytes& bytes, const std::vector<KeyPath>& from, std::size_t least) {
  const TempDir directory;
  const std::string path = directory.path() + "/hive";
  test::write_file(path, bytes);
  const Hive hive(path, Hive::Mode::read);
  MemorySource source{bytes};
  Reader reader = test::reader(source);
  Comparison comparison(hive, reader);
  for (const KeyPath& key : from) comparison.compare(key);
  EXPECT_GE(comparison.keys + comparison.values, least);
  EXPECT_GE(comparison.numbers_and_texts, least / 4);
  EXPECT_FALSE(source.outside);
}

TEST(Reader, AnswersAsHivexDoesForFixtures) {
  for (const char* name : {"nt51.software", "nt60.software", "nt100-26100.software", "nt52.system",
                           "nt61.system", "two-control-sets.system"}) {
    SCOPED_TRACE(name);
    compare_with_hivex(fixture_hive(name), {KeyPath()}, 20);
  }
}

class RealHive : public testing::TestWithParam<const char*> {};

TEST_P(RealHive, IsReadAsHivexReadsIt) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const Bytes bytes = test::with_clean_header(test::real_hive(GetParam()));
  compare_with_hivex(
      bytes,
      {KeyPath(), KeyPath::parse("Select"), KeyPath::parse("ControlSet001\\Control"),
       KeyPath::parse("ControlSet001\\Services"), KeyPath::parse("ControlSet001\\Services\\Tcpip"),
       KeyPath::parse("ControlSet001\\Control\\Session Manager\\Environment")},
      600);
}

TEST_P(RealHive, IsReadInSmallPart) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const Bytes bytes = test::with_clean_header(test::real_hive(GetParam()));
  MemorySource source{bytes};
  Reader reader = test::reader(source);
  EXPECT_NE(reader.value(KeyPath::parse("Select"), "Current"), std::nullopt);
  EXPECT_NE(reader.value(KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters"), "Hostname"),
            std::nullopt);
  EXPECT_LT(source.transferred, 300'000U);
}

INSTANTIATE_TEST_SUITE_P(Reader, RealHive,
                         testing::Values("win7-x86.SYSTEM", "win8.SYSTEM", "win10-1709.SYSTEM"),
                         [](const auto& instance) {
                           const std::string name = instance.param;
                           return name.substr(0, name.find_first_of("-."));
                         });

}  // namespace
}  // namespace kvmnet::hive

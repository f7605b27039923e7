// SPDX-License-Identifier: GPL-2.0-or-later
// hive::Reader on hives that somebody made to harm it: a lookup ends soon with a value, without
// one, or with hive::Error, and asks for nothing outside of the file.
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <random>

#include "hive/error.h"
#include "hive/reader.h"
#include "tests/unit/hive/crafted_hive.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet::hive {
namespace {

using test::CraftedHive;
using test::MemorySource;

double processor_seconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

enum class Answer { value, absent, error };

// What a lookup ends with; the test fails if it reads outside of the file.
Answer ask(const Bytes& hive, const KeyPath& key, std::string_view name) {
  MemorySource source{hive};
  Answer answer = Answer::error;
  try {
    answer = test::reader(source).value(key, name) ? Answer::value : Answer::absent;
  } catch (const Error&) {
  }
  EXPECT_FALSE(source.outside);
  return answer;
}

// What kvmnet asks for first; a question that leads through three lists of subkeys.
const KeyPath current_version = KeyPath::parse("Microsoft\\Windows NT\\CurrentVersion");
constexpr std::string_view build_number = "CurrentBuildNumber";
const Bytes& sound_hive() {
  return test::fixture_hive("nt100-19045.software");
}
Answer ask(const Bytes& hive) {
  return ask(hive, current_version, build_number);
}

TEST(HostileHive, WithAnyWordReplacedEndsInAnAnswer) {
  const Bytes& good = sound_hive();
  ASSERT_EQ(ask(good), Answer::value);
  std::size_t errors = 0;
  Bytes hive = good;
  for (std::size_t at = 4096; at < hive.size(); at += 4) {
    const std::uint32_t original = test::load_u32(good, at);
    const auto self = static_cast<std::uint32_t>((at - 4096) / 8 * 8);
    for (const std::uint32_t nasty : {0U, 0xFFFFFFFFU, 0x80000000U, 0x7FFFFFFFU, self}) {
      test::store_u32(hive, at, nasty);
      if (ask(hive) == Answer::error) ++errors;
    }
    test::store_u32(hive, at, original);
  }
  EXPECT_GT(errors, 50U);  // else the damage was not where the lookup goes
}

TEST(HostileHive, WithAnyHalfWordReplacedEndsInAnAnswer) {
  const Bytes& good = sound_hive();
  Bytes hive = good;
  for (std::size_t at = 4096; at < hive.size(); at += 2)
    for (const unsigned nasty : {0x00U, 0xFFU}) {
      hive[at] = hive[at + 1] = static_cast<std::byte>(nasty);
      ask(hive);
      hive[at] = good[at];
      hive[at + 1] = good[at + 1];
    }
}

TEST(HostileHive, WithManyWordsReplacedEndsInAnAnswer) {
  const Bytes& good = sound_hive();
  std::mt19937 generator(20260730);  // the same sequence everywhere
  const auto random = [&generator] { return static_cast<std::uint32_t>(generator()); };
  const auto cells = static_cast<std::uint32_t>((good.size() - 4096) / 8);
  for (int round = 0; round < 3000; ++round) {
    Bytes hive = good;
    for (int i = 0; i < 6; ++i) {
      const std::size_t at = 4096 + random() % ((good.size() - 4096) / 4) * 4;
      test::store_u32(hive, at, random() % 2 == 0 ? random() % cells * 8 : 0U - random() % 64 * 8);
    }
    ask(hive);
  }
}

TEST(HostileHive, OfEveryLengthEndsInAnAnswer) {
  const Bytes& good = sound_hive();
  for (std::size_t size = 0; size < good.size(); size += 256) {
    Bytes cut = good;
    cut.resize(size);
    MemorySource source{cut};
    // Once with the length it has, once announced as whole: a guest's disk may end early.
    for (const std::size_t announced : {size, good.size()}) {
      try {
        Reader reader(std::ref(source), announced);
        EXPECT_EQ(reader.value(current_version, build_number), sz("19045"));
        EXPECT_GT(size, 8192U);
      } catch (const Error&) {
      }
    }
  }
}

TEST(HostileHive, RecordsThatReferToThemselvesEndInAnAnswer) {
  CraftedHive hive;
  // Its own subkey, by every kind of list; and a value list that is the key itself.
  const auto root = hive.key("a", 1, 0, 1, 32);
  const auto list = hive.list("li", {root});
  Bytes bytes = hive.finish(root);
  test::store_u32(bytes, 4096 + root + 4 + 28, list);
  const KeyPath deep = KeyPath::parse("a\\a\\a\\a\\a\\a\\a\\a");
  EXPECT_EQ(ask(bytes, deep, "x"), Answer::error);
  EXPECT_EQ(ask(bytes, deep / "b", "x"), Answer::absent);

  CraftedHive index;
  const auto self = index.list("ri", {0});
  bytes = index.finish(index.key("a", 1, self));
  test::store_u32(bytes, 4096 + self + 4 + 4, self);
  EXPECT_EQ(ask(bytes, KeyPath::parse("a"), "x"), Answer::error);
}

TEST(HostileHive, CountsThatAreTooLargeAreErrors) {
  const struct {
    const char* what;
    std::size_t offset;  // in the key's record
    std::uint32_t value;
  } table[] = {{"values", 36, 0x7FFFFFFF},
               {"values", 36, 0x40000001},
               {"values", 36, 3},
               {"name", 72, 0xFFFF}};
  for (const auto& row : table) {
    CraftedHive hive;
    const auto key =
        hive.key("Key", 0, CraftedHive::none, 1, hive.value_list({hive.value("v", 1)}));
    const auto root = hive.key("root", 1, hive.list("li", {key}));
    Bytes bytes = hive.finish(root);
    ASSERT_EQ(ask(bytes, KeyPath::parse("Key"), "v"), Answer::value);
    test::store_u32(bytes, 4096 + key + 4 + row.offset, row.value);
    EXPECT_EQ(ask(bytes, KeyPath::parse("Key"), "other"), Answer::error) << row.what << row.value;
  }
}

TEST(HostileHive, CellsThatReachBeyondTheHiveAreErrors) {
  CraftedHive hive;
  const auto values = hive.value_list({hive.value("v", 3, 8000, 0)});
  const auto root = hive.key("root", 0, CraftedHive::none, 1, values);
  const auto data = hive.cell(Bytes(16));
  Bytes bytes = hive.finish(root);
  // The data of the value: the last cell, with a size for which there is file, but no hive.
  const std::uint32_t record = test::load_u32(bytes, 4096 + values + 4);
  test::store_u32(bytes, 4096 + record + 4 + 8, data);
  test::store_u32(bytes, 4096 + data, 0U - 8008U);
  bytes.resize(bytes.size() + 16384);
  EXPECT_EQ(ask(bytes, KeyPath(), "v"), Answer::error);
  test::store_u32(bytes, 40, static_cast<std::uint32_t>(bytes.size() - 4096));
  test::update_checksum(bytes);
  EXPECT_EQ(ask(bytes, KeyPath(), "v"), Answer::value);  // the same in a hive that is larger
}

constexpr double longest_lookup = 2;  // seconds of the processor; a few ms without sanitizers

// Both: 5,000 names of the greatest length, which no name that is asked for can equal.
TEST(HostileHive, CannotMakeALookupSlowByLongKeyNames) {
  CraftedHive hive;
  const auto key = hive.key(std::string(65535, 'x'), 0, CraftedHive::none);
  const auto list = hive.list("li", std::vector<std::uint32_t>(5000, key));
  const Bytes bytes = hive.finish(hive.key("root", 1, list));
  const double start = processor_seconds();
  EXPECT_NE(ask(bytes, KeyPath::parse("Key"), "v"), Answer::value);
  EXPECT_LT(processor_seconds() - start, longest_lookup);
}

TEST(HostileHive, CannotMakeALookupSlowByLongValueNames) {
  CraftedHive hive;
  const auto value = hive.value(std::string(65535, 'x'), 1);
  const auto values = hive.value_list(std::vector<std::uint32_t>(5000, value));
  const Bytes bytes = hive.finish(hive.key("root", 0, CraftedHive::none, 5000, values));
  const double start = processor_seconds();
  EXPECT_NE(ask(bytes, KeyPath(), "v"), Answer::value);
  EXPECT_LT(processor_seconds() - start, longest_lookup);
}

TEST(HostileHive, CannotMakeALookupSlowByManyKeys) {
  CraftedHive hive;
  const auto list = hive.list("lh", std::vector<std::uint32_t>(65535, 0), 1);
  const auto index = hive.list("ri", std::vector<std::uint32_t>(65535, list));
  const Bytes bytes = hive.finish(hive.key("root", 1, index));
  const double start = processor_seconds();
  EXPECT_EQ(ask(bytes, KeyPath::parse("Key"), "v"), Answer::error);
  EXPECT_LT(processor_seconds() - start, longest_lookup);
}

TEST(HostileHive, CannotMakeALookupSlowByManyLists) {
  CraftedHive hive;
  for (const std::string_view kind : {"li", "lh"}) {
    const auto empty = hive.list(kind, {});
    const auto index = hive.list("ri", std::vector<std::uint32_t>(65535, empty));
    const Bytes bytes = hive.finish(hive.key("root", 1, index));
    const double start = processor_seconds();
    EXPECT_NE(ask(bytes, KeyPath::parse("Key"), "v"), Answer::value);
    EXPECT_LT(processor_seconds() - start, longest_lookup) << kind;
  }
}

}  // namespace
}  // namespace kvmnet::hive

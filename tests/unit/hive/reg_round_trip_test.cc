// SPDX-License-Identifier: GPL-2.0-or-later
// Real hives as .reg files, merged into an empty hive, and as .reg files again.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>

#include "hive/check.h"
#include "hive/edit.h"
#include "hive/error.h"
#include "hive/merge.h"
#include "hive/reg_export.h"
#include "hive/reg_path.h"
#include "src/support/fd.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet::hive {
namespace {

using Sections = std::vector<RegSection>;

// hivex cannot write them; what else it cannot is asked of it.
constexpr std::size_t largest_plain_value = 16344;

struct Exported {
  Sections sections;
  std::size_t left_out = 0;
};

Exported exported(const Bytes& hive) {
  const Tree tree(hive);
  Bytes file;
  Exported result;
  const auto left_out =
      export_reg(tree, tree.root(), "HKLM\\SYSTEM", RegEncoding::utf16,
                 [&](auto piece) { file.insert(file.end(), piece.begin(), piece.end()); });
  result.left_out = left_out.size();
  result.sections = below({"HKEY_LOCAL_MACHINE", "SYSTEM"}, read_reg(file, std::nullopt));
  return result;
}

bool is_ascii(const std::string& name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

struct Writable {
  Sections sections;
  std::size_t keys = 0;    // that cannot be written
  std::size_t values = 0;  // likewise
};

Writable writable(Sections sections) {
  Writable result;
  for (RegSection& section : sections) {
    section.line = 0;
    if (!std::all_of(section.key.begin(), section.key.end(), is_ascii)) {
      ++result.keys;
      continue;
    }
    result.values += std::erase_if(section.values, [](const RegValue& value) {
      const std::size_t size = value.value->data.size();
      return size == 0 || size > largest_plain_value || value.name.find('\0') != std::string::npos;
    });
    for (RegValue& value : section.values) value.line = 0;
    result.sections.push_back(std::move(section));
  }
  return result;
}

Bytes merged(const Bytes& hive, const Sections& sections) {
  const Merge merge = hive::merge(Tree(hive), sections);
  EXPECT_TRUE(merge.first.empty());
  const Fd from = make_memory_file("hive");
  const Fd to = make_memory_file("merged hive");
  write_whole(from, hive);
  edit(from.get(), to.get(), merge.second, {});
  return read_whole(to);
}

struct RealHive {
  const char* name;
  std::size_t left_out;  // by the export
  std::size_t keys;      // that hivex cannot write
  std::size_t values;
};

class RegRoundTrip : public testing::TestWithParam<RealHive> {};

TEST_P(RegRoundTrip, GivesTheSameKeysAndValues) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const RealHive& real = GetParam();
  const Exported first = exported(test::with_clean_header(test::real_hive(real.name)));
  const Writable wanted = writable(first.sections);
  EXPECT_EQ(first.left_out, real.left_out);
  EXPECT_EQ(wanted.keys, real.keys);
  EXPECT_EQ(wanted.values, real.values);
  EXPECT_EQ(writable(exported(merged(test::minimal_hive(), wanted.sections)).sections).sections,
            wanted.sections);
}

std::string test_name(const testing::TestParamInfo<RealHive>& hive) {
  std::string name = hive.param.name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

// Not used by the program of the large ones.
[[maybe_unused]] constexpr std::array small_hives = {
    RealHive{"BCD", 0, 0, 0},
    RealHive{"NewDirtyHive1/NewDirtyHive", 0, 0, 0},
    RealHive{"NewDirtyHive1/RecoveredHive_Windows10", 0, 0, 0},
    RealHive{"odd/BigDataHive", 0, 0, 2},
    RealHive{"odd/BogusKeyNamesHive", 2, 0, 0},
    RealHive{"odd/DeletedDataHive", 0, 0, 0},
    RealHive{"odd/DupNameHive", 0, 0, 0},
    RealHive{"odd/EmptyHive", 0, 0, 0},
    RealHive{"odd/ExtendedASCIIHive", 0, 1, 0},
    RealHive{"odd/MultiSzHive", 0, 0, 0},
    RealHive{"odd/NewFlagsHive", 0, 0, 0},
    RealHive{"odd/OffHive", 0, 0, 0},
    RealHive{"odd/RemnantsHive", 0, 0, 0},
    RealHive{"odd/StringValuesHive", 0, 0, 0},
    RealHive{"odd/UnicodeHive", 0, 2, 0},
    RealHive{"odd/UpcaseHive", 0, 1, 0},
    RealHive{"odd/ValuesOrderHive", 0, 0, 0},
};
constexpr std::array large_hives = {
    RealHive{"win7-x86.SYSTEM", 0, 0, 61},
    RealHive{"win8.SYSTEM", 0, 0, 230},
    RealHive{"win10-1709.SYSTEM", 0, 0, 1055},
    RealHive{"OldDirtyHive/OldDirtyHive", 0, 0, 0},
    RealHive{"OldDirtyHive/RecoveredHive_Windows7", 0, 0, 0},
    RealHive{"odd/ManySubkeysHive", 0, 0, 0},
    RealHive{"odd/SlackHive", 0, 0, 0},
};

// The large ones are a program of their own, for the full tier.
#ifdef KVMNET_LARGE_HIVES
INSTANTIATE_TEST_SUITE_P(Real, RegRoundTrip, testing::ValuesIn(large_hives), test_name);
#else
INSTANTIATE_TEST_SUITE_P(Real, RegRoundTrip, testing::ValuesIn(small_hives), test_name);

// Of all files NAME.xz, with their directory.
std::vector<std::string> names_of_all_files(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    if (entry.path().extension() == ".xz")
      names.push_back(
          std::filesystem::relative(entry.path(), directory).replace_extension().string());
  return names;
}

// Every hive that is there, but for those that check() finds damaged, and transaction logs.
TEST(RegRoundTripOfAll, LeavesOutNoSoundHive) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  std::set<std::string> tried;
  for (const RealHive& hive : small_hives) tried.insert(hive.name);
  for (const RealHive& hive : large_hives) tried.insert(hive.name);
  for (const std::string& name : names_of_all_files(*test::real_hives())) {
    if (name.find(".LOG") != std::string::npos) continue;
    const Bytes hive = test::with_clean_header(test::real_hive(name));
    EXPECT_EQ(tried.contains(name), check(hive).sound()) << name;
  }
}
#endif

}  // namespace
}  // namespace kvmnet::hive

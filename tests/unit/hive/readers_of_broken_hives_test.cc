// SPDX-License-Identifier: GPL-2.0-or-later
// Differential: hive::Tree against three other readers, on the hives that are broken so that none
// of these reads them whole, or that some refuse. How far each comes is part of the test.
//
// What these hives hold is keys without values, with names in ASCII.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "hive/error.h"
#include "src/support/subprocess.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/hive_fixture.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

// How far a reader came.
struct Reading {
  std::vector<std::string> keys;  // their paths, "" for the root, sorted; other lines as they are
  int status = 0;
  std::string error;
};

std::string content(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// `key_of` makes a key's path of a line of the reader's output, or nothing of what is no key.
Reading read_by(const std::vector<std::string>& reader,
                std::optional<std::string> (*key_of)(const std::string& line)) {
  const TempDir directory;
  const std::string file = directory.path() + "/said";
  std::vector<std::string> command = {"sh", "-c", "exec \"$@\" > \"$0\" 2> \"$0.err\"", file};
  command.insert(command.end(), reader.begin(), reader.end());
  Reading reading;
  reading.status = run(command).status;
  reading.error = content(file + ".err");
  std::istringstream output(content(file));
  for (std::string line; std::getline(output, line);)
    if (const auto key = key_of(line)) reading.keys.push_back(*key);
  std::sort(reading.keys.begin(), reading.keys.end());
  return reading;
}

// "[\key\key]"; "[\]" is the root.
std::optional<std::string> key_of_hivexregedit(const std::string& line) {
  if (line.empty() || line.starts_with("Windows Registry Editor")) return std::nullopt;
  if (line == "[\\]") return "";
  return line.starts_with('[') ? line.substr(1, line.size() - 2) : line;
}

// "/key/key,KEY,,TIME"
std::optional<std::string> key_of_reglookup(const std::string& line) {
  const std::size_t end = line.find(",KEY,");
  if (end == std::string::npos) return line;
  std::string path = line.substr(0, end);
  std::replace(path.begin(), path.end(), '/', '\\');
  return path == "\\" ? "" : path;
}

// "Key path: ROOT\key\key", and lines about the key that has been named.
std::optional<std::string> key_of_regfexport(const std::string& line) {
  constexpr std::string_view label = "Key path: ";
  if (!line.starts_with(label))
    return line.starts_with("Value") ? std::optional(line) : std::nullopt;
  const std::size_t separator = line.find('\\', label.size());
  return separator == std::string::npos ? "" : line.substr(separator);
}

Reading read_by_tree(const Bytes& hive) {
  Reading reading;
  try {
    const Tree tree(hive);
    test::visit_keys(tree, [&](const std::string& path, CellOffset key) {
      reading.keys.push_back(path);
      for (const CellOffset value : tree.values(key))
        reading.keys.push_back(path + " has a value at " + std::to_string(value));
    });
  } catch (const Error& e) {
    reading.status = 1;
    reading.error = e.what();
  }
  std::sort(reading.keys.begin(), reading.keys.end());
  return reading;
}

// What a reader does with a hive.
struct Outcome {
  std::size_t keys = 0;  // that it finds; as many as Tree means the same as Tree
  int status = 0;
  const char* says = "";  // among other things
};

// What is put right in a copy first, so that more can be compared.
enum class Repair { nothing, checksum, length, bins_size };

struct BrokenHive {
  const char* test;
  const char* name;
  Repair repair;
  Outcome tree, hivexregedit, reglookup, regfexport;
};

void PrintTo(const BrokenHive& hive, std::ostream* out) {
  *out << hive.name;
}

void expect(const Reading& reading, const Outcome& outcome, const std::string& reader) {
  EXPECT_EQ(reading.keys.size(), outcome.keys) << reader;
  EXPECT_EQ(reading.status, outcome.status) << reader;
  EXPECT_NE(reading.error.find(outcome.says), std::string::npos)
      << reader << " says: " << reading.error;
  EXPECT_EQ(reading.error.empty(), std::string(outcome.says).empty()) << reader;
}

Bytes repaired(Bytes hive, Repair repair) {
  constexpr std::size_t page = 4096;
  if (repair == Repair::nothing) return hive;
  if (repair == Repair::length) hive.resize(hive.size() / page * page);
  if (repair == Repair::bins_size)
    test::store_u32(hive, 40, static_cast<std::uint32_t>(hive.size() - page));
  test::update_checksum(hive);
  return hive;
}

class ReadersOfBrokenHives : public testing::TestWithParam<BrokenHive> {};

TEST_P(ReadersOfBrokenHives, ComeAsFarAsExplained) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const BrokenHive& hive = GetParam();
  const Bytes bytes = repaired(test::real_hive(std::string("odd/") + hive.name), hive.repair);
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, bytes);

  const Reading tree = read_by_tree(bytes);
  expect(tree, hive.tree, "Tree");
  const auto compare = [&](const Reading& reading, const Outcome& outcome, const char* reader) {
    expect(reading, outcome, reader);
    if (outcome.keys == hive.tree.keys) {
      EXPECT_EQ(reading.keys, tree.keys) << reader;
    }
  };
  compare(read_by({"hivexregedit", "--export", file, "\\"}, key_of_hivexregedit), hive.hivexregedit,
          "hivexregedit");
  compare(read_by({"reglookup", "-H", file}, key_of_reglookup), hive.reglookup, "reglookup");
  compare(read_by({"regfexport", file}, key_of_regfexport), hive.regfexport, "regfexport");
}

constexpr const char* bad_checksum = "mismatch in file header checksum";

// At least two readers find in each hive what Tree finds, if need be after a repair.
const std::vector<BrokenHive> broken_hives = {
    // Its header has "INVL" for a checksum, and some bytes follow the last page. Tree refuses the
    // latter; reglookup neither.
    {"Garbage",
     "GarbageHive",
     Repair::nothing,
     {0, 1, "not a multiple of 4096"},
     {0, 22, "Invalid argument"},
     {1, 0, ""},
     {0, 1, bad_checksum}},
    {"GarbageWithChecksum",
     "GarbageHive",
     Repair::checksum,
     {0, 1, "not a multiple of 4096"},
     {1, 0, ""},
     {1, 0, ""},
     {1, 0, ""}},
    {"GarbageWithoutTheGarbage",
     "GarbageHive",
     Repair::length,
     {1, 0, ""},
     {1, 0, ""},
     {1, 0, ""},
     {1, 0, ""}},
    // Its header announces one page of bins, and the file has more, with all that the second key
    // lists. reglookup reads as far as the file goes. The checksum is "INVL", too.
    {"EffectiveSize",
     "EffectiveSizeHive",
     Repair::nothing,
     {2, 1, "impossible number of subkeys"},
     {0, 22, "Invalid argument"},
     {5003, 0, ""},
     {0, 1, bad_checksum}},
    {"EffectiveSizeWithChecksum",
     "EffectiveSizeHive",
     Repair::checksum,
     {2, 1, "impossible number of subkeys"},
     {2, 14, "Bad address"},
     {5003, 0, ""},
     {2, 0, ""}},
    // The opposite: more is announced than there is. Tree and regfexport do not begin.
    {"Truncated",
     "TruncatedHive",
     Repair::nothing,
     {0, 1, "truncated"},
     {2, 14, "Bad address"},
     {2, 0, "did not match number"},
     {0, 1, "unable to read hive bin: 2 header"}},
    {"TruncatedAndSaysSo",
     "TruncatedHive",
     Repair::bins_size,
     {2, 1, "impossible number of subkeys"},
     {2, 14, "Bad address"},
     {2, 0, "did not match number"},
     {2, 0, ""}},
    {"TruncatedDirty",
     "TruncatedDirtyHive",
     Repair::nothing,
     {0, 1, "truncated"},
     {2, 14, "Bad address"},
     {2, 0, "did not match number"},
     {0, 1, "unable to read hive bin: 2 header"}},
    {"TruncatedDirtyAndSaysSo",
     "TruncatedDirtyHive",
     Repair::bins_size,
     {2, 1, "impossible number of subkeys"},
     {2, 14, "Bad address"},
     {2, 0, "did not match number"},
     {2, 0, ""}},
    // The name of the root's only key is longer than its cell: nobody gets beyond the root.
    {"TruncatedName",
     "TruncatedNameHive",
     Repair::nothing,
     {1, 1, "no sound key at 0x1b0"},
     {1, 14, "Bad address"},
     {1, 0, "Contents too large for cell"},
     {1, 1, "invalid key name size"}},
};

TEST(BrokenHives, AreEachReadAsFarAsTreeDoesByTwoOthers) {
  std::map<std::string, bool> agreed;
  for (const BrokenHive& hive : broken_hives) {
    std::size_t readers = 0;
    for (const Outcome* outcome : {&hive.hivexregedit, &hive.reglookup, &hive.regfexport})
      if (outcome->keys == hive.tree.keys) ++readers;
    if (hive.tree.keys != 0 && readers >= 2) agreed[hive.name] = true;
    agreed.try_emplace(hive.name, false);
  }
  for (const auto& [name, is_agreed] : agreed) EXPECT_TRUE(is_agreed) << name;
}

INSTANTIATE_TEST_SUITE_P(All, ReadersOfBrokenHives, testing::ValuesIn(broken_hives),
                         [](const auto& test) { return std::string(test.param.test); });

}  // namespace
}  // namespace kvmnet::hive

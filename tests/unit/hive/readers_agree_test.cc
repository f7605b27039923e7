// SPDX-License-Identifier: GPL-2.0-or-later
// Differential: hive::Tree against two readers that have nothing in common with it or each other.
//
// hivexregedit (hivex) gives every byte: all keys, names, types and data are compared.
// reglookup gives all keys, names and types, and data as bytes only of the types that it does not
// interpret; it converts strings lossily, so that their data are not compared with it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "src/support/subprocess.h"
#include "tests/unit/hive/hive_fixture.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using Lines = std::vector<std::string>;

Lines sorted_lines(const std::string& text) {
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (!line.empty()) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

// What the reader prints, of any size and without its warnings.
std::istringstream output_of(const std::vector<std::string>& reader) {
  const TempDir directory;
  const std::string file = directory.path() + "/output";
  std::vector<std::string> command = {"sh", "-c", "exec \"$@\" > \"$0\" 2> /dev/null", file};
  command.insert(command.end(), reader.begin(), reader.end());
  run_checked(command);
  const Bytes bytes = test::read_file(file);
  std::string text(bytes.size(), '\0');
  std::transform(bytes.begin(), bytes.end(), text.begin(),
                 [](std::byte b) { return static_cast<char>(b); });
  return std::istringstream(std::move(text));
}

StoredName name_of(const ValueRecord& value) {
  return {value.name, value.latin1_name};
}

// As Perl prints text: Latin-1 if that can hold it, else UTF-8.
std::string as_perl_prints(const std::string& utf8) {
  const Bytes utf16 = to_utf16le(utf8);
  std::string latin1;
  for (std::size_t i = 0; i < utf16.size(); i += 2) {
    if (utf16[i + 1] != std::byte{0}) return utf8;
    latin1 += static_cast<char>(utf16[i]);
  }
  return latin1;
}

std::string exported_value(const Tree& tree, CellOffset offset) {
  const ValueRecord value = tree.value(offset);
  const Bytes data = tree.value_data(offset);
  std::string name;
  for (const char c : name_of(value).text()) {
    if (c == '\\' || c == '"') name += '\\';
    name += c;
  }
  const std::string left = name.empty() ? "@=" : "\"" + as_perl_prints(name) + "\"=";
  const auto number = as_dword({static_cast<Type>(value.type), data});
  if (number) return left + fmt::format("dword:{:08x}", *number);
  std::string hex;
  for (const std::byte b : data) {
    constexpr std::string_view digits = "0123456789abcdef";
    if (!hex.empty()) hex += ',';
    hex += digits[std::to_integer<std::size_t>(b >> 4)];
    hex += digits[std::to_integer<std::size_t>(b & std::byte{15})];
  }
  return left + fmt::format("hex({:x}):", value.type) + hex;
}

// What `hivexregedit --export FILE '\'` is to print; each value with its key, as far as sorting the
// lines would lose it.
Lines exported_by_tree(const Tree& tree) {
  std::string text = "Windows Registry Editor Version 5.00\n";
  test::visit_keys(tree, [&](const std::string& path, CellOffset key) {
    const std::string name = as_perl_prints(path.empty() ? "\\" : path);
    text += "[" + name + "]\n";
    for (const CellOffset value : tree.values(key))
      text += name + ": " + exported_value(tree, value) + "\n";
  });
  return sorted_lines(text);
}

// The output of hivexregedit, with each value preceded by its key as above.
Lines exported_by_hivex(const std::string& file) {
  std::istringstream stream = output_of({"hivexregedit", "--export", file, "\\"});
  Lines lines;
  std::string key;
  for (std::string line; std::getline(stream, line);) {
    if (line.empty()) continue;
    const bool is_value = line.front() == '@' || line.front() == '"';
    if (line.front() == '[') key = line.substr(1, line.size() - 2);
    lines.push_back(is_value ? key + ": " + line : line);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

// As reglookup escapes: what is not printable ASCII, and the characters of its own syntax.
std::string quoted(std::span<const std::byte> bytes, std::string_view special) {
  std::string out;
  for (const std::byte b : bytes) {
    const auto c = std::to_integer<unsigned char>(b);
    const auto as_char = static_cast<char>(c);
    if (c < 0x20 || c > 0x7E || special.find(as_char) != std::string_view::npos) {
      out += fmt::format("%{:02X}", c);
    } else {
      out += as_char;
    }
  }
  return out;
}

// reglookup gives names in ASCII, or their bytes where there is another character.
std::string quoted_name(const StoredName& name) {
  constexpr std::string_view special = ",%/\"";
  Bytes ascii;
  for (std::size_t i = 0; i < name.length() && name.unit(i) < 0x80; ++i)
    ascii.push_back(static_cast<std::byte>(name.unit(i)));
  const bool is_ascii = ascii.size() == name.length();
  return quoted(is_ascii ? std::span<const std::byte>(ascii) : name.bytes, special);
}

std::string type_name(std::uint32_t type) {
  constexpr std::array names = {"NONE",      "SZ",        "EXPAND_SZ",     "BINARY",
                                "DWORD",     "DWORD_BE",  "LINK",          "MULTI_SZ",
                                "RSRC_LIST", "RSRC_DESC", "RSRC_REQ_LIST", "QWORD"};
  return type < names.size() ? names.at(type) : fmt::format("0x{:08X}", type);
}

// Whether reglookup gives data of this type as bytes.
bool is_given_as_bytes(std::string_view type) {
  static const std::set<std::string_view> interpreted = {
      "NONE", "SZ", "EXPAND_SZ", "DWORD", "DWORD_BE", "LINK", "MULTI_SZ", "QWORD", "KEY"};
  return interpreted.count(type) == 0;
}

Lines looked_up_by_tree(const Tree& tree) {
  Lines lines;
  std::vector<std::pair<std::string, CellOffset>> pending = {{"", tree.root()}};
  while (!pending.empty()) {
    const auto [path, key] = std::move(pending.back());
    pending.pop_back();
    lines.push_back((path.empty() ? "/" : path) + ",KEY,");
    for (const CellOffset offset : tree.values(key)) {
      const ValueRecord value = tree.value(offset);
      const std::string type = type_name(value.type);
      const std::string data =
          is_given_as_bytes(type) ? quoted(tree.value_data(offset), ",%\"") : "";
      lines.push_back((path.empty() ? "/" : path) + "/" + quoted_name(name_of(value)) + "," + type +
                      "," + data);
    }
    for (const CellOffset child : tree.subkeys(key)) {
      const KeyRecord record = tree.key(child);
      pending.emplace_back(path + "/" + quoted_name({record.name, record.latin1_name}), child);
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

Lines looked_up_by_reglookup(const std::string& file) {
  Lines lines;
  std::istringstream stream = output_of({"reglookup", "-H", file});
  for (std::string line; std::getline(stream, line);) {
    const std::size_t type = line.find(',') + 1;
    const std::size_t data = line.find(',', type) + 1;
    std::string without_data = line.substr(0, data);
    line = line.substr(0, line.rfind(','));
    const bool compared = is_given_as_bytes(line.substr(type, data - 1 - type));
    const bool has_data = line != without_data + "(null)";
    // Escaped in data of some types only.
    for (std::size_t bar = 0; (bar = line.find("%7C", bar)) != std::string::npos;)
      line.replace(bar, 3, "|");
    lines.push_back(compared && has_data ? line : without_data);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

// The hives in which a reader differs, and how.
struct Explained {
  const char* hive;
  Lines only_tree;
  Lines only_other;
};

const Explained* explanation(const std::vector<Explained>& table, const std::string& hive) {
  for (const Explained& one : table)
    if (hive == one.hive) return &one;
  return nullptr;
}

void expect_same(const Lines& tree, const Lines& other, const Explained* explained) {
  const auto first = [](Lines lines) {
    for (std::string& line : lines) line.resize(std::min<std::size_t>(line.size(), 300));
    lines.resize(std::min<std::size_t>(lines.size(), 10));
    return lines;
  };
  EXPECT_EQ(first(test::lines_added(other, tree)), explained ? explained->only_tree : Lines());
  EXPECT_EQ(first(test::lines_added(tree, other)), explained ? explained->only_other : Lines());
}

std::vector<std::string> compared_hives() {
  std::vector<std::string> hives = test::names_of_real_hives();
  // Those that have an end too early: readers_of_broken_hives_test.cc.
  for (const char* odd :
       {"BadListHive",       "BadSubkeyHive",     "BigDataHive",          "BogusKeyNamesHive",
        "DeletedDataHive",   "DupNameHive",       "DuplicateSubkeysHive", "EmptyHive",
        "ExtendedASCIIHive", "InvalidParentHive", "ManySubkeysHive",      "MultiSzHive",
        "NewFlagsHive",      "OffHive",           "RemnantsHive",         "SlackHive",
        "StringValuesHive",  "UnicodeHive",       "UpcaseHive",           "ValuesOrderHive",
        "WrongOrderHive"})
    hives.push_back(std::string("odd/") + odd);
  return hives;
}

class ReadersAgree : public testing::TestWithParam<std::string> {};

TEST_P(ReadersAgree, OnEveryKeyAndValue) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  const Bytes bytes = test::real_hive(GetParam());
  test::write_file(file, bytes);
  const Tree tree(bytes);
  // hivexregedit asks each key for its parent: here that is one of two, or the wrong one.
  static const std::vector<Explained> of_hivex = {
      {"odd/BadListHive", {"[\\2\\subkey]"}, {"[\\3\\subkey]"}},
      {"odd/BadSubkeyHive", {"[\\2\\subkey]"}, {"[\\3\\subkey]"}},
      {"odd/InvalidParentHive", {"[\\key_with_many_subkeys\\4900]"}, {"[\\4900]"}},
  };
  expect_same(exported_by_tree(tree), exported_by_hivex(file), explanation(of_hivex, GetParam()));
  // reglookup cuts names at a NUL.
  static const std::vector<Explained> of_reglookup = {
      {"odd/BogusKeyNamesHive", {"/testnu%00l,KEY,"}, {"/testnu,KEY,"}},
  };
  expect_same(looked_up_by_tree(tree), looked_up_by_reglookup(file),
              explanation(of_reglookup, GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, ReadersAgree, testing::ValuesIn(compared_hives()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c < '0'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace kvmnet::hive

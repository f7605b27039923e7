// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reg_export.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "hive/reg_file.h"
#include "hive/stored_name.h"
#include "hive/value.h"
#include "src/support/temp_dir.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet::hive {
namespace {

using Lines = std::vector<std::string>;

Bytes merged(const std::string& reg) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, test::minimal_hive());
  test::merge(file, reg);
  return test::read_file(file);
}

struct Export {
  Bytes file;
  Lines left_out;
};

Export export_of(const Bytes& hive, RegEncoding encoding, const std::string& path = "HKLM\\S") {
  Export result;
  const Tree tree(hive);
  result.left_out = export_reg(tree, tree.root(), path, encoding, [&](auto piece) {
    result.file.insert(result.file.end(), piece.begin(), piece.end());
  });
  return result;
}

std::string text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string utf8_of(const Bytes& hive) {
  return text_of(export_of(hive, RegEncoding::utf8).file);
}

TEST(RegExport, IsWrittenAsRegeditWritesIt) {
  const Bytes hive = merged(
      "[\\Key]\n"
      "@=\"default\"\n"
      "\"Back\\\\slash \\\"quote\\\"\"=\"C:\\\\a \\\"b\\\"\"\n"
      "\"Number\"=dword:000000ab\n"
      "\"Short number\"=hex(4):01,02\n"
      "\"Binary\"=hex(3):01,ff\n"
      "\"Nothing\"=hex(0):\n"
      "\"Expand\"=hex(2):25,00,00,00\n"
      "\"Odd string\"=hex(1):61,00,62\n"
      "\"Two lines\"=hex(1):61,00,0d,00,0a,00,00,00\n\n"
      "[\\Key\\Below]\n\n"
      "[\\Last]\n");
  const std::string text =
      "Windows Registry Editor Version 5.00\n"
      "\n"
      "[HKLM\\S]\n"
      "\n"
      "[HKLM\\S\\Key]\n"
      "@=\"default\"\n"
      "\"Back\\\\slash \\\"quote\\\"\"=\"C:\\\\a \\\"b\\\"\"\n"
      "\"Number\"=dword:000000ab\n"
      "\"Short number\"=hex(4):01,02\n"
      "\"Binary\"=hex:01,ff\n"
      "\"Nothing\"=hex(0):\n"
      "\"Expand\"=hex(2):25,00,00,00\n"
      "\"Odd string\"=hex(1):61,00,62\n"
      "\"Two lines\"=hex(1):61,00,0d,00,0a,00,00,00\n"
      "\n"
      "[HKLM\\S\\Key\\Below]\n"
      "\n"
      "[HKLM\\S\\Last]\n"
      "\n";
  EXPECT_EQ(utf8_of(hive), text);
  std::string crlf;
  for (const char c : text) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  Bytes utf16 = {std::byte{0xFF}, std::byte{0xFE}};
  const Bytes units = to_utf16le(crlf);
  utf16.insert(utf16.end(), units.begin(), units.end());
  EXPECT_EQ(export_of(hive, RegEncoding::utf16).file, utf16);
}

// The lines are what Wine's regedit has written for the same values.
TEST(RegExport, BreaksLinesWhereRegeditDoes) {
  const std::string bytes = "00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,15,16";
  std::string many = bytes;
  for (int i = 0; i < 3; ++i) many += "," + bytes;
  const std::string text = utf8_of(merged("[\\K]\n\"n\"=hex(3):" + bytes + "\n\"" +
                                          std::string(52, 'n') + "\"=hex(3):" + bytes + "\n\"" +
                                          std::string(99, 'n') + "\"=hex(7):61,00,00\n"));
  EXPECT_NE(text.find("\"n\"=hex:00,01,02,03,04,05,06,07,08,09,0a,0b,0c,0d,0e,0f,10,11,12,13,14,15,"
                      "16\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("nn\"=hex:00,01,02,03,04,05,\\\n  06,07,"), std::string::npos) << text;
  EXPECT_NE(text.find("nn\"=hex(7):61,\\\n  00,00\n"), std::string::npos) << text;
  const std::string long_text = utf8_of(merged("[\\K]\n\"n\"=hex(3):" + many + "\n"));
  EXPECT_NE(long_text.find(",16,\\\n  00,01,"), std::string::npos) << long_text;
}

// Whoever chooses names must not choose what the file says.
TEST(RegExport, LeavesOutNamesThatWouldMakeLinesOfTheirOwn) {
  Bytes hive = merged(
      "[\\KeyX]\n\"a\"=dword:00000001\n\n[\\Other]\n\"NameX\"=dword:00000002\n\"b\"=dword:"
      "00000003\n");
  const auto replace = [&](std::string_view name, std::string_view by) {
    const auto from = std::as_bytes(std::span(name));
    const auto found = std::ranges::search(hive, from);
    ASSERT_FALSE(found.empty());
    std::ranges::copy(std::as_bytes(std::span(by)), found.begin());
  };
  replace("KeyX", "Ke\r\n");
  replace("NameX", "Na\nme");
  const Export exported = export_of(hive, RegEncoding::utf8);
  EXPECT_EQ(exported.left_out, (Lines{"in key 'HKLM\\S' the key 'Ke\\x0d\\x0a'",
                                      "in key 'HKLM\\S\\Other' the value 'Na\\x0ame'"}));
  EXPECT_EQ(text_of(exported.file),
            "Windows Registry Editor Version 5.00\n\n[HKLM\\S]\n\n[HKLM\\S\\Other]\n"
            "\"b\"=dword:00000003\n\n");
}

TEST(RegExport, LeavesOutKeysThatLookAsIfACommentCameBehindThem) {
  const Export exported = export_of(merged("[\\a] \t;b]\n\n[\\c]d;]\n"), RegEncoding::utf8);
  EXPECT_EQ(exported.left_out, (Lines{"in key 'HKLM\\S' the key 'a] \\x09;b'"}));
  EXPECT_EQ(text_of(exported.file),
            "Windows Registry Editor Version 5.00\n\n[HKLM\\S]\n\n[HKLM\\S\\c]d;]\n\n");
  EXPECT_EQ(read_reg(exported.file, std::nullopt).at(1).key.back(), "c]d;");
}

// A name that is no text: Windows takes any UTF-16 units.
TEST(RegExport, LeavesOutNamesWithHalfASurrogatePair) {
  Bytes hive = merged("[\\Ключ]\n\"Имя\"=dword:00000001\n\"a\"=dword:00000002\n");
  const auto replace = [&](char16_t unit, char16_t by) {
    const std::array<std::byte, 2> from = {static_cast<std::byte>(unit & 0xFF),
                                           static_cast<std::byte>(unit >> 8)};
    const auto found = std::ranges::search(hive, from);
    ASSERT_FALSE(found.empty());
    found.front() = static_cast<std::byte>(by & 0xFF);
    found[1] = static_cast<std::byte>(by >> 8);
  };
  replace(u'И', 0xDC00);
  for (const RegEncoding encoding : {RegEncoding::utf8, RegEncoding::utf16}) {
    const Export exported = export_of(hive, encoding);
    EXPECT_EQ(exported.left_out, (Lines{"in key 'HKLM\\S\\Ключ' the value '\uFFFDмя'"}));
    const auto sections = read_reg(exported.file, std::nullopt);
    ASSERT_EQ(sections.size(), 2U);
    ASSERT_EQ(sections[1].values.size(), 1U);
    EXPECT_EQ(sections[1].values[0].name, "a");
  }
  replace(u'К', 0xD800);
  for (const RegEncoding encoding : {RegEncoding::utf8, RegEncoding::utf16}) {
    const Export exported = export_of(hive, encoding);
    EXPECT_EQ(exported.left_out, (Lines{"in key 'HKLM\\S' the key '\uFFFDлюч'"}));
    EXPECT_EQ(read_reg(exported.file, std::nullopt).size(), 1U);
  }
}

// What is for people is read on terminals, which obey such characters; and a guest chooses them.
TEST(RegExport, HasNoControlCharactersInUtf8) {
  Bytes hive = merged(
      "[\\Key]\n\"title\"=hex(1):1b,00,5d,00,30,00,07,00,00,00\n"
      "\"c1\"=hex(1):9b,00,6d,00,00,00\n\"delete\"=hex(1):7f,00,00,00\n"
      "\"tab\"=hex(1):61,00,09,00,62,00,00,00\n\"nameX\"=dword:00000001\n\n[\\KeyX]\n");
  const auto replace = [&](std::string_view name, std::string_view by) {
    const auto found = std::ranges::search(hive, std::as_bytes(std::span(name)));
    ASSERT_FALSE(found.empty());
    std::ranges::copy(std::as_bytes(std::span(by)), found.begin());
  };
  replace("nameX", "name\x1b");
  replace("KeyX", "Key\x9b");  // Latin-1
  const Export for_people = export_of(hive, RegEncoding::utf8);
  const std::string text = text_of(for_people.file);
  EXPECT_EQ(text,
            "Windows Registry Editor Version 5.00\n\n[HKLM\\S]\n\n[HKLM\\S\\Key]\n"
            "\"title\"=hex(1):1b,00,5d,00,30,00,07,00,00,00\n\"c1\"=hex(1):9b,00,6d,00,00,00\n"
            "\"delete\"=hex(1):7f,00,00,00\n\"tab\"=\"a\tb\"\n\n");
  EXPECT_EQ(for_people.left_out, (Lines{"in key 'HKLM\\S' the key 'Key\\u009b'",
                                        "in key 'HKLM\\S\\Key' the value 'name\\x1b'"}));
  // regedit shows no such file to a terminal, and writes them as they are.
  const Export for_regedit = export_of(hive, RegEncoding::utf16);
  EXPECT_EQ(for_regedit.left_out, Lines());
  const auto sections = read_reg(for_regedit.file, std::nullopt);
  EXPECT_EQ(sections.at(1).values.at(0).value, sz("\x1b]0\x07"));
  EXPECT_EQ(sections.at(1).values.back().name, "name\x1b");
}

// ---- all of a hive, there and back

using Key = std::pair<std::vector<std::string>, std::vector<NamedValue>>;

std::vector<Key> keys_of(const std::vector<RegSection>& sections) {
  std::vector<Key> keys;
  for (const RegSection& section : sections) {
    keys.emplace_back(section.key, std::vector<NamedValue>());
    for (const RegValue& value : section.values)
      keys.back().second.push_back({value.name, value.value.value()});
  }
  return keys;
}

void add_keys(const Tree& tree, CellOffset key, std::vector<std::string> path,
              std::vector<Key>& keys) {
  keys.emplace_back(path, std::vector<NamedValue>());
  for (const CellOffset offset : tree.values(key)) {
    const ValueRecord value = tree.value(offset);
    keys.back().second.push_back({StoredName{value.name, value.latin1_name}.text(),
                                  {static_cast<Type>(value.type), tree.value_data(offset)}});
  }
  for (const CellOffset below : tree.subkeys(key)) {
    const KeyRecord record = tree.key(below);
    path.push_back(StoredName{record.name, record.latin1_name}.text());
    add_keys(tree, below, path, keys);
    path.pop_back();
  }
}

class RegExportOfRealHives : public testing::TestWithParam<std::string> {};

TEST_P(RegExportOfRealHives, IsReadAsWhatTheyHold) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const Bytes hive = test::real_hive(GetParam());
  std::vector<Key> held;
  const Tree tree(hive);
  add_keys(tree, tree.root(), {"HKEY_LOCAL_MACHINE", "SYSTEM"}, held);
  // Large ones once: a debug build takes its time.
  std::vector<RegEncoding> encodings = {RegEncoding::utf8};
  if (hive.size() < 1'000'000) encodings.push_back(RegEncoding::utf16);
  for (const RegEncoding encoding : encodings) {
    const Export exported = export_of(hive, encoding, "HKEY_LOCAL_MACHINE\\SYSTEM");
    EXPECT_EQ(exported.left_out, Lines());
    const std::vector<Key> read = keys_of(read_reg(exported.file, std::nullopt));
    EXPECT_EQ(read.size(), held.size());
    const auto [first, second] = std::mismatch(read.begin(), read.end(), held.begin(), held.end());
    EXPECT_TRUE(first == read.end()) << first->first.back() << " " << second->first.back();
  }
}

INSTANTIATE_TEST_SUITE_P(RegExport, RegExportOfRealHives,
                         testing::Values("win7-x86.SYSTEM", "odd/BigDataHive",
                                         "odd/ExtendedASCIIHive", "odd/MultiSzHive",
                                         "odd/StringValuesHive", "odd/UnicodeHive",
                                         "odd/UpcaseHive", "odd/ValuesOrderHive"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                           return name;
                         });

}  // namespace
}  // namespace kvmnet::hive

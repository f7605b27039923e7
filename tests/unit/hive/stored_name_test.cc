// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/stored_name.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "hive/utf16.h"

namespace kvmnet::hive {
namespace {

Bytes latin1(const std::string& text) {
  Bytes bytes;
  for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
  return bytes;
}

Bytes utf16(const std::u16string& text) {
  Bytes bytes;
  for (const char16_t unit : text) {
    bytes.push_back(static_cast<std::byte>(unit & 0xFF));
    bytes.push_back(static_cast<std::byte>(unit >> 8));
  }
  return bytes;
}

std::optional<std::uint32_t> hash(const std::string& text) {
  const Bytes bytes = latin1(text);
  return name_hash({bytes, true});
}

// msuhanov/regf, "Hash leaf": for each character the hash is multiplied by 37 and the character, in
// upper case, added.
TEST(StoredNameTest, HashOfNamesOfAllLengths) {
  std::string name;
  std::uint32_t expected = 0;
  EXPECT_EQ(hash(name), expected);
  for (const char letter : std::string("tcpipParameters_9")) {
    name += letter;
    const bool is_lower = letter >= 'a' && letter <= 'z';
    expected = expected * 37 + static_cast<unsigned char>(is_lower ? letter - 'a' + 'A' : letter);
    EXPECT_EQ(hash(name), expected) << name;
  }
}

TEST(StoredNameTest, HashOfWhatIsNotLatin1) {
  std::u16string name;
  std::uint32_t expected = 0;
  for (const char16_t letter : std::u16string(u"\u6b63\u5f0f\u5e38\u7528\u0414\u0410")) {
    name += letter;
    expected = expected * 37 + letter;
    const Bytes bytes = utf16(name);
    EXPECT_EQ(name_hash({bytes, false}), expected) << name.size();
  }
}

TEST(StoredNameTest, OneLetterOfUnknownUpperCaseLeavesTheHashUnknown) {
  for (std::size_t at = 0; at < 9; ++at) {
    std::string name = "parameter";
    name[at] = '\xb5';  // the micro sign
    EXPECT_EQ(hash(name), std::nullopt) << at;
  }
}

TEST(StoredNameTest, WhatFoldsToTheSameHasTheSameHash) {
  const std::vector<std::u16string> names = {
      u"",           u"start",     u"START",   u"sTaRt",   u"tarts",        u"Parameters",
      u"parameterS", u"parameter", u"\u00e9t", u"\u00c9T", u"\u0434\u0430", u"\u0414\u0410",
      u"\u03c9",     u"\u03a9",    u"\uffff",  u"a\uffff"};
  std::size_t same = 0;
  for (const std::u16string& a : names)
    for (const std::u16string& b : names) {
      const Bytes a_bytes = utf16(a);
      const Bytes b_bytes = utf16(b);
      const StoredName a_name = {a_bytes, false};
      const StoredName b_name = {b_bytes, false};
      const bool differ = is_before(a_name, b_name) || is_before(b_name, a_name);
      same += differ ? 0 : 1;
      EXPECT_EQ(folded_hash(a_name) == folded_hash(b_name), !differ);
    }
  EXPECT_EQ(same, names.size() + 6 + 2 + 2 + 2);
}

TEST(StoredNameTest, TheHashOfAFoldedNameIsThatOfItsCharacters) {
  const Bytes narrow = latin1("Tcpip\xe9");
  const Bytes wide = utf16(u"tCPIP\u00c9");
  EXPECT_EQ(folded_hash({narrow, true}), folded_hash({wide, false}));
}

}  // namespace
}  // namespace kvmnet::hive

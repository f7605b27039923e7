// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/key_path.h"

#include <gtest/gtest.h>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

using Elements = std::vector<std::string>;

TEST(KeyPath, IsSplitAtBackslashes) {
  EXPECT_EQ(KeyPath::parse("Select").elements(), Elements{"Select"});
  EXPECT_EQ(KeyPath::parse("ControlSet001\\Services\\Tcpip").elements(),
            (Elements{"ControlSet001", "Services", "Tcpip"}));
  EXPECT_EQ(KeyPath::parse("a b/c.{d}").elements(), Elements{"a b/c.{d}"});
  EXPECT_TRUE(KeyPath().elements().empty());
}

TEST(KeyPath, RejectsEmptyElementsAndBadText) {
  for (const std::string_view text :
       {"", "\\", "a\\", "\\a", "a\\\\b", "\xFF", "a\\\xC3", "a\\\xED\xA0\x80\\b"})
    EXPECT_THROW(KeyPath::parse(text), Error) << text;
}

TEST(KeyPath, HasWindowsLimitForANameInUtf16Units) {
  const auto repeated = [](std::string_view text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  EXPECT_EQ(KeyPath::parse(repeated("x", 255)).elements().size(), 1U);
  EXPECT_EQ(KeyPath::parse(repeated("\xC3\xA9", 255)).elements().size(), 1U);
  EXPECT_EQ(KeyPath::parse(repeated("\xF0\x9F\x98\x80", 127)).elements().size(), 1U);
  EXPECT_THROW(KeyPath::parse(repeated("x", 256)), Error);
  EXPECT_THROW(KeyPath::parse(repeated("\xF0\x9F\x98\x80", 128)), Error);
  EXPECT_THROW(KeyPath::parse("a\\" + repeated("x", 256)), Error);
}

TEST(KeyPath, IsJoined) {
  const KeyPath set = KeyPath::parse("ControlSet001");
  EXPECT_EQ((set / "Services\\Tcpip").to_string(), "ControlSet001\\Services\\Tcpip");
  EXPECT_EQ(set.to_string(), "ControlSet001");  // unchanged
  EXPECT_EQ((KeyPath() / "Select").to_string(), "Select");
  EXPECT_EQ(KeyPath().to_string(), "");
  EXPECT_THROW(set / "", Error);
  EXPECT_THROW(set / "\\Services", Error);
}

TEST(KeyPath, KeepsItsLetterCaseAndIsEqualWithoutRegardToIt) {
  const KeyPath path = KeyPath::parse("CONTROLSET001\\services");
  EXPECT_EQ(path.to_string(), "CONTROLSET001\\services");
  EXPECT_EQ(path, KeyPath::parse("ControlSet001\\Services"));
  EXPECT_FALSE(path == KeyPath::parse("ControlSet001"));
  EXPECT_FALSE(path == KeyPath::parse("ControlSet001\\Services\\x"));
  EXPECT_FALSE(path == KeyPath::parse("ControlSet002\\Services"));
  EXPECT_FALSE(path == KeyPath());
}

TEST(SameName, FoldsAsciiLettersOnly) {
  EXPECT_TRUE(same_name("", ""));
  EXPECT_TRUE(same_name("abcxyzABCXYZ09{}", "ABCXYZabcxyz09{}"));
  // Neighbours of the letters differ from their partners by the same bit.
  for (const auto& [a, b] :
       {std::pair("@", "`"), {"[", "{"}, {"\\", "|"}, {"_", "\x7F"}, {"0", "P"}})
    EXPECT_FALSE(same_name(a, b)) << a << ' ' << b;
  EXPECT_FALSE(same_name("\xC3\x84", "\xC3\xA4"));
  EXPECT_TRUE(same_name("\xC3\xA4", "\xC3\xA4"));
  EXPECT_FALSE(same_name("abc", "ab"));
  EXPECT_FALSE(same_name("ab", "abc"));
}

}  // namespace
}  // namespace kvmnet::hive

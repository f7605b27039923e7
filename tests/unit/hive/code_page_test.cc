// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/code_page.h"

#include <gtest/gtest.h>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

struct Row {
  unsigned code_page;
  std::vector<unsigned> bytes;
  std::u16string text;
};

Bytes bytes_of(const std::vector<unsigned>& numbers) {
  Bytes bytes;
  for (const unsigned number : numbers) bytes.push_back(static_cast<std::byte>(number));
  return bytes;
}

// As MultiByteToWideChar has them, of Wine 8.0.
TEST(CodePage, HasTheCharactersThatWindowsHas) {
  const std::vector<Row> rows = {
      {1252, {0x61, 0x80, 0x81, 0xFF}, u"a\u20ac\u0081\u00ff"},
      {1258, {0x61, 0xCC, 0x00}, {u'a', u'\u0300', u'\0'}},
      {1255, {0xF9, 0xD1, 0xCA, 0xD9, 0xDF, 0xFC}, u"\u05e9\u05c1\u05ba\uf88d\uf893\uf895"},
      {874, {0x81, 0xA1, 0xDE, 0xFC}, u"\u0081\u0e01\uf8c4\uf8c5"},
      {1253, {0xAA, 0xD2, 0xFF, 0xE1}, u"\uf8f9\uf8fa\uf8fb\u03b1"},
      {1257, {0xA1, 0xA5}, u"\uf8fc\uf8fd"},
      {932, {0x80, 0x82, 0xA0, 0xA0, 0xFF, 0xB1}, u"\u0080\u3042\uf8f0\uf8f3\uff71"},
      {936, {0x80, 0xB0, 0xA1, 0xFF}, u"\u20ac\u554a\uf8f5"},
      {949, {0x80, 0xB0, 0xA1, 0xFF}, u"\u0080\uac00\uf8f7"},
      {950, {0xA4, 0x40, 0xFF}, u"\u4e00\uf8f8"},
      {65001, {0xC3, 0xA4}, u"\u00e4"},
  };
  for (const Row& row : rows) {
    const Bytes stored = CodePage(row.code_page).to_utf16le(bytes_of(row.bytes));
    std::u16string text;
    for (std::size_t i = 0; i + 1 < stored.size(); i += 2)
      text += static_cast<char16_t>(std::to_integer<unsigned>(stored[i]) |
                                    std::to_integer<unsigned>(stored[i + 1]) << 8);
    EXPECT_TRUE(text == row.text) << row.code_page;
  }
}

TEST(CodePage, HasNoCharacterForHalfOfOne) {
  std::string text;
  EXPECT_EQ(CodePage(932).append_utf8(bytes_of({0x61, 0x82}), text), 1U);
  EXPECT_EQ(CodePage(932).append_utf8(bytes_of({0xFD, 0x82, 0x20}), text), 1U);
  EXPECT_EQ(text, "a\uf8f1");
  EXPECT_THROW(CodePage(65001).to_utf16le(bytes_of({0xC3})), Error);
  EXPECT_THROW(CodePage(12345), Error);
}

}  // namespace
}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/utf16.h"

#include <gtest/gtest.h>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

using namespace std::string_view_literals;

Bytes bytes(std::string_view text) {
  const auto data = std::as_bytes(std::span(text));
  return {data.begin(), data.end()};
}

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

TEST(Utf16, EncodesEveryLengthOfUtf8) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"", ""},
      {"A", "A\0"sv},
      {"\0"sv, "\0\0"sv},
      {"\x7F", "\x7F\0"sv},
      {"\xC2\x80", "\x80\0"sv},
      {"\xDF\xBF", "\xFF\x07"sv},
      {"\xE0\xA0\x80", "\x00\x08"sv},
      {"\xED\x9F\xBF", "\xFF\xD7"sv},  // the last before the surrogates
      {"\xEE\x80\x80", "\x00\xE0"sv},  // the first behind them
      {"\xEF\xBF\xBF", "\xFF\xFF"sv},
      {"\xF0\x90\x80\x80", "\x00\xD8\x00\xDC"sv},
      {"\xF4\x8F\xBF\xBF", "\xFF\xDB\xFF\xDF"sv},
  };
  for (const auto& [utf8, utf16] : table) {
    EXPECT_EQ(to_utf16le(utf8), bytes(utf16)) << utf8;
    EXPECT_EQ(from_utf16le(bytes(utf16)), utf8);
  }
}

TEST(Utf16, RejectsWhatIsNotUtf8) {
  const std::string_view table[] = {
      "\x80",  // no lead byte
      "\xBF",
      "\xC0\x80",  // overlong
      "\xC1\xBF",
      "\xE0\x80\x80",
      "\xE0\x9F\xBF",
      "\xF0\x80\x80\x80",
      "\xF0\x8F\xBF\xBF",
      "\xED\xA0\x80",  // surrogates
      "\xED\xBF\xBF",
      "\xED\xA0\x80\xED\xB0\x80",
      "\xF4\x90\x80\x80",  // above U+10FFFF
      "\xF5\x80\x80\x80",
      "\xF8\x88\x80\x80\x80",
      "\xFE",
      "\xFF",
      "\xC3",  // cut
      "\xE4\xB8",
      "\xF0\x9F\x98",
      "\xC3"
      "A",  // not continued
      "\xE4\xB8"
      "A",
      "\xF0\x9F\x98"
      "A",
      "\xC3\xC3",
      "good\xFF",
      "\xC3\xA9\xC3",
  };
  for (const std::string_view text : table) EXPECT_THROW(to_utf16le(text), Error) << text;
}

TEST(Utf16, KeepsCodePoints) {
  // Every one of the basic plane, and every 251st (a prime) of the others.
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x10000 ? 1 : 251) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    Bytes units;
    const auto put = [&units](char32_t unit) {
      units.push_back(static_cast<std::byte>(unit & 0xFF));
      units.push_back(static_cast<std::byte>(unit >> 8));
    };
    if (c >= 0x10000) put(0xD800 + ((c - 0x10000) >> 10));
    put(c < 0x10000 ? c : 0xDC00 + ((c - 0x10000) & 0x3FF));
    ASSERT_EQ(to_utf16le(from_utf16le(units)), units) << std::hex << static_cast<unsigned>(c);
  }
}

TEST(Utf16, ReplacesWhatIsNotUtf16) {
  const std::pair<std::string_view, std::string> table[] = {
      {"\x00\xD8"sv, std::string(replacement)},  // high at the end
      {"\x00\xDC"sv, std::string(replacement)},  // low alone
      {"\x00\xD8"
       "A\0"sv,
       std::string(replacement) + "A"},
      {"\x00\xDC\x00\xD8"sv, std::string(replacement) + std::string(replacement)},
      {"\x00\xD8\x00\xD8\x00\xDC"sv, std::string(replacement) + "\xF0\x90\x80\x80"},
      {"A"sv, std::string(replacement)},  // odd byte
      {"A\0B"sv, "A" + std::string(replacement)},
      {"\x00\xD8\x00"sv, std::string(replacement) + std::string(replacement)},
  };
  for (const auto& [utf16, utf8] : table) EXPECT_EQ(from_utf16le(bytes(utf16)), utf8);
}

TEST(Utf16, MakesUtf8OfAnyBytes) {
  // Every pair of units from a set that has each kind, and an odd byte behind them.
  const unsigned units[] = {0x0000, 0x0041, 0x00E9, 0x07FF, 0x0800, 0xD7FF, 0xD800,
                            0xDBFF, 0xDC00, 0xDFFF, 0xE000, 0xFFFE, 0xFFFF};
  for (const unsigned a : units)
    for (const unsigned b : units)
      for (const std::size_t size : {3U, 4U, 5U}) {
        Bytes data = {static_cast<std::byte>(a & 0xFF), static_cast<std::byte>(a >> 8),
                      static_cast<std::byte>(b & 0xFF), static_cast<std::byte>(b >> 8),
                      std::byte{0xD8}};
        data.resize(size);
        ASSERT_NO_THROW(to_utf16le(from_utf16le(data))) << std::hex << a << ' ' << b;
      }
}

TEST(Latin1, IsTheFirst256CodePoints) {
  for (unsigned c = 0; c < 256; ++c) {
    const Bytes latin1 = {static_cast<std::byte>(c)};
    const Bytes utf16 = {static_cast<std::byte>(c), std::byte{0}};
    EXPECT_EQ(to_utf16le(from_latin1(latin1)), utf16) << c;
  }
  EXPECT_EQ(from_latin1(bytes("M\xFCll\xE9")), "M\xC3\xBCll\xC3\xA9");
  EXPECT_EQ(from_latin1({}), "");
}

}  // namespace
}  // namespace kvmnet::hive

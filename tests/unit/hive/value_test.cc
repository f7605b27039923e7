// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/value.h"

#include <gtest/gtest.h>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

Bytes bytes(std::string_view text) {
  const auto data = std::as_bytes(std::span(text));
  return {data.begin(), data.end()};
}

// The characters of `text` as UTF-16LE; ASCII only.
Bytes wide(std::string_view text) {
  Bytes out;
  for (const char c : text) {
    out.push_back(static_cast<std::byte>(c));
    out.push_back(std::byte{0});
  }
  return out;
}

using namespace std::string_view_literals;

TEST(Value, FactoriesMakeTheBytesThatWindowsStores) {
  const struct {
    Value value;
    Type type;
    Bytes data;
  } table[] = {
      {dword(0), Type::dword, bytes("\0\0\0\0"sv)},
      {dword(0x12345678), Type::dword, bytes("\x78\x56\x34\x12"sv)},
      {dword(0xFFFFFFFF), Type::dword, bytes("\xFF\xFF\xFF\xFF"sv)},
      {sz(""), Type::sz, bytes("\0\0"sv)},
      {sz("Ab"), Type::sz, bytes("A\0b\0\0\0"sv)},
      {sz("\xC3\xA9\xF0\x9F\x98\x80"), Type::sz, bytes("\xE9\0\x3D\xD8\x00\xDE\0\0"sv)},
      {expand_sz("%x"), Type::expand_sz, bytes("%\0x\0\0\0"sv)},
      {multi_sz({}), Type::multi_sz, bytes("\0\0"sv)},
      {multi_sz({"a"}), Type::multi_sz, bytes("a\0\0\0\0\0"sv)},
      {multi_sz({"a", "bc"}), Type::multi_sz, bytes("a\0\0\0b\0c\0\0\0\0\0"sv)},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(describe(row.value));
    EXPECT_EQ(row.value.type, row.type);
    EXPECT_EQ(row.value.data, row.data);
  }
}

TEST(Value, FactoriesRejectTextThatIsNotUtf8) {
  EXPECT_THROW(sz("\xFF"), Error);
  EXPECT_THROW(expand_sz("a\xC3"), Error);
  EXPECT_THROW(multi_sz({"good", "\xED\xA0\x80"}), Error);
}

TEST(Value, TypesHaveTheNumbersOfWinnt) {
  const std::vector<std::pair<Type, unsigned>> table = {
      {Type::none, 0},  {Type::sz, 1},       {Type::expand_sz, 2}, {Type::binary, 3},
      {Type::dword, 4}, {Type::multi_sz, 7}, {Type::qword, 11}};
  for (const auto& [type, number] : table) EXPECT_EQ(static_cast<unsigned>(type), number);
}

TEST(Value, IsANumberOnlyIfItIsADwordOfFourBytes) {
  EXPECT_EQ(as_dword(dword(0)), 0U);
  EXPECT_EQ(as_dword(dword(0x80000001)), 0x80000001U);
  const std::vector<Value> others = {{Type::dword, {}},
                                     {Type::dword, bytes("\1\0\0"sv)},
                                     {Type::dword, Bytes(5)},
                                     {Type::dword, Bytes(8)},
                                     {Type::binary, Bytes(4)},
                                     {Type::qword, Bytes(4)},
                                     {static_cast<Type>(5), Bytes(4)},
                                     sz("1"),
                                     {Type::none, Bytes(4)}};
  for (const Value& value : others) EXPECT_EQ(as_dword(value), std::nullopt) << describe(value);
}

TEST(Value, IsAStringUpToItsFirstNul) {
  const struct {
    Value value;
    std::optional<std::string> text;
  } table[] = {
      {sz("abc"), "abc"},
      {expand_sz("%a%"), "%a%"},
      {{Type::sz, {}}, ""},
      {{Type::sz, bytes("\0\0"sv)}, ""},
      {{Type::sz, wide("no end")}, "no end"},
      {{Type::sz, wide("seen\0hidden"sv)}, "seen"},
      {{Type::sz, bytes("a\0b"sv)}, "a\xEF\xBF\xBD"},  // odd length
      {{Type::sz, bytes("a"sv)}, "\xEF\xBF\xBD"},
      {{Type::sz, bytes("a\0\0\0b"sv)}, "a"},             // odd byte behind the end
      {{Type::sz, bytes("\x00\xD8"sv)}, "\xEF\xBF\xBD"},  // lone surrogates
      {{Type::sz, bytes("\x00\xDC"
                        "a\0"sv)},
       "\xEF\xBF\xBD"
       "a"},
      {{Type::sz, bytes("\x00\xD8"
                        "a\0"sv)},
       "\xEF\xBF\xBD"
       "a"},
      {{Type::sz, bytes("\x3D\xD8\x00\xDE"sv)}, "\xF0\x9F\x98\x80"},
      {multi_sz({"a"}), std::nullopt},
      {{Type::binary, wide("abc")}, std::nullopt},
      {dword(65), std::nullopt},
  };
  for (const auto& row : table) EXPECT_EQ(as_string(row.value), row.text) << describe(row.value);
}

TEST(Value, IsDescribedForPeople) {
  const struct {
    Value value;
    std::string_view text;
  } table[] = {
      {dword(0x00100000), "dword:0x00100000"},
      {sz("LocalSystem"), "\"LocalSystem\""},
      {sz(""), "\"\""},
      {expand_sz("%a%"), "expand:\"%a%\""},
      {multi_sz({"nsi", "Tdx"}), "multi:\"nsi,Tdx\""},
      {multi_sz({}), "multi:\"\""},
      {{Type::binary, bytes("\1\2\xFF"sv)}, "hex(3):01,02,ff"},
      {{Type::none, {}}, "hex(0):"},
      {{Type::dword, bytes("\1\2"sv)}, "hex(4):01,02"},
      {{Type::qword, bytes("\1\0\0\0\0\0\0\0"sv)}, "hex(b):01,00,00,00,00,00,00,00"},
      {{static_cast<Type>(0xFFFF0007), bytes("\7"sv)}, "hex(ffff0007):07"},
      {{Type::binary, Bytes(17)},
       "hex(3):00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00... (17 bytes)"},
  };
  for (const auto& row : table) EXPECT_EQ(describe(row.value), row.text);
}

TEST(Value, IsCutWhenItIsDescribed) {
  const std::string long_text(5000, 'x');
  EXPECT_EQ(describe(sz(long_text)), "\"" + std::string(200, 'x') + "...\"");
  EXPECT_EQ(describe(sz(std::string(200, 'x'))), "\"" + std::string(200, 'x') + "\"");
  EXPECT_LT(describe(multi_sz(std::vector<std::string>(1000, "word"))).size(), 300U);
  EXPECT_LT(describe({Type::binary, Bytes(1 << 20)}).size(), 100U);
}

// What would let guest data do more to a terminal than show text.
bool harmless(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return false;
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0)
      return false;
  }
  return true;
}

TEST(Value, IsHarmlessToATerminalWhenItIsDescribed) {
  // In every kind of string.
  for (unsigned c = 0; c < 0x10000; c += c < 0x300 ? 1 : 37) {
    Value value{Type::sz, Bytes(6)};
    value.data[0] = static_cast<std::byte>(c & 0xFF);
    value.data[1] = static_cast<std::byte>(c >> 8);
    value.data[2] = std::byte{'m'};
    for (const Type type : {Type::sz, Type::expand_sz, Type::multi_sz}) {
      value.type = type;
      ASSERT_TRUE(harmless(describe(value))) << "U+" << std::hex << c << ": " << describe(value);
    }
  }
}

TEST(Value, CannotCloseItsOwnQuotes) {
  // "a" could otherwise look like two words of ours.
  EXPECT_EQ(describe(sz(R"(a" -> "b)")), R"("a\" -> \"b")");
}

TEST(Value, IsStillUtf8WhenItIsCut) {
  std::string text = "x";
  for (int i = 0; i < 150; ++i) text += "\xC3\xA9";  // byte 200 is the middle of one
  EXPECT_NO_THROW(to_utf16le(describe(sz(text))));
}

TEST(Escaped, ShowsWhatIsNotPrintable) {
  const std::pair<std::string_view, std::string_view> table[] = {
      {"", ""},
      {"plain text, ~", "plain text, ~"},
      {"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"},
      {"\0"sv, "\\x00"},
      {"\x1B[31mred\x1B[0m", "\\x1b[31mred\\x1b[0m"},
      {"\x7F", "\\x7f"},
      {"\xC2\x80\xC2\x9B\xC2\x9F", "\\u0080\\u009b\\u009f"},
      {"\xC2\xA0\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80",
       "\xC2\xA0\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80"},
  };
  for (const auto& [text, shown] : table) EXPECT_EQ(escaped(text), shown);
}

}  // namespace
}  // namespace kvmnet::hive

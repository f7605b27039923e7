// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reg_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

using Path = std::vector<std::string>;

const std::string version_5 = "Windows Registry Editor Version 5.00\r\n\r\n";
const std::string version_4 = "REGEDIT4\r\n\r\n";

Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<RegSection> read(const std::string& text, std::optional<unsigned> ansi = {}) {
  return read_reg(bytes_of(text), ansi);
}

// The one value of a file that has nothing else.
std::optional<Value> value(const std::string& data, const std::string& format = version_5) {
  const auto sections = read(format + "[HKLM\\S]\r\n\"a\"=" + data + "\r\n");
  EXPECT_EQ(sections.size(), 1U);
  EXPECT_EQ(sections.at(0).values.size(), 1U);
  return sections.at(0).values.at(0).value;
}

// "line L, column C: WHAT", or nothing.
std::string error_in(const std::string& text, std::optional<unsigned> ansi = {}) {
  try {
    read(text, ansi);
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

Value binary(std::initializer_list<unsigned char> bytes) {
  Value value{Type::binary, {}};
  for (const unsigned char byte : bytes) value.data.push_back(std::byte{byte});
  return value;
}

TEST(RegFile, HasKeysAndTheirValuesInOrder) {
  const auto sections = read(version_5 +
                             "[HKEY_LOCAL_MACHINE\\SYSTEM\\Select]\r\n"
                             "\"Current\"=dword:00000001\r\n"
                             "@=\"default\"\r\n"
                             "\r\n"
                             "[-HKLM\\SYSTEM\\Old key]\r\n"
                             "[HKLM\\SYSTEM]\r\n"
                             "\"Gone\"=-\r\n");
  ASSERT_EQ(sections.size(), 3U);
  EXPECT_EQ(sections[0].key, (Path{"HKEY_LOCAL_MACHINE", "SYSTEM", "Select"}));
  EXPECT_EQ(sections[0].line, 3U);
  EXPECT_FALSE(sections[0].remove);
  EXPECT_EQ(sections[0].values,
            (std::vector<RegValue>{{"Current", dword(1), 4}, {"", sz("default"), 5}}));
  EXPECT_EQ(sections[1].key, (Path{"HKLM", "SYSTEM", "Old key"}));
  EXPECT_TRUE(sections[1].remove);
  EXPECT_EQ(sections[2].values, (std::vector<RegValue>{{"Gone", std::nullopt, 9}}));
}

TEST(RegFile, HasDataOfEveryForm) {
  EXPECT_EQ(value("\"C:\\\\a \\\"b\\\"\""), sz("C:\\a \"b\""));
  EXPECT_EQ(value("\"\""), sz(""));
  EXPECT_EQ(value("\"two\r\nlines\""), sz("two\r\nlines"));
  EXPECT_EQ(value("\"; no comment\""), sz("; no comment"));
  for (const char* one : {"dword:1", "dword:00000001", "DWORD:0001", "dword: 1"})
    EXPECT_EQ(value(one), dword(1)) << one;
  EXPECT_EQ(value("dword:FFFFfffe"), dword(0xFFFFFFFE));
  EXPECT_EQ(value("hex:"), binary({}));
  EXPECT_EQ(value("hex:0a,FF"), binary({10, 255}));
  EXPECT_EQ(value("hex: 1 , 02,"), binary({1, 2}));
  EXPECT_EQ(value("hex:01,\\\r\n  02,03,\\\r\n\t04"), binary({1, 2, 3, 4}));
  EXPECT_EQ(value("hex:01,\\\r\n\r\n  \r\n ; x\r\n\r\n  02,\\\r\n\r\n03"), binary({1, 2, 3}));
  EXPECT_EQ(value("hex(2):61,00,00,00"), expand_sz("a"));
  EXPECT_EQ(value("hex(b):01,02,03,04,05,06,07,08")->type, Type::qword);
  EXPECT_EQ(value("hex(0):")->type, Type::none);
  EXPECT_EQ(value("hex(ffff0001):01")->type, static_cast<Type>(0xFFFF0001));
  EXPECT_EQ(value("-"), std::nullopt);
}

// Windows would add a NUL; but a real hive's data are to come back from an export as they were.
TEST(RegFile, HasStringsOfBytesAsTheyAre) {
  for (const char* type : {"1", "2", "7"}) {
    const std::string hex = "hex(" + std::string(type) + "):";
    EXPECT_EQ(value(hex + "61,00")->data, binary({0x61, 0}).data);
    EXPECT_EQ(value(hex + "61,00,62")->data, binary({0x61, 0, 0x62}).data);
    EXPECT_EQ(read(version_4 + "[HKLM\\S]\n\"a\"=" + hex + "61,62").at(0).values.at(0).value->data,
              binary({0x61, 0, 0x62, 0}).data);
  }
}

TEST(RegFile, MayHaveBlanksAndCommentsAnywhere) {
  const auto sections = read(
      "  REGEDIT4\n"
      ";a comment [HKLM\\No]\n"
      " \t; another\n"
      "  [HKLM\\S] ; the key\n"
      "\n"
      "  \"a\" = dword:1 ; the value\n"
      "@ =\"x\";close\n"
      "\"b\"=hex:01,\\ ; the first\n"
      "  ; and in between\n"
      "  02 ; the last\n"
      "\"c\"= - ; gone");
  ASSERT_EQ(sections.size(), 1U);
  EXPECT_EQ(sections[0].key, (Path{"HKLM", "S"}));
  EXPECT_EQ(sections[0].values, (std::vector<RegValue>{{"a", dword(1), 6, 3},
                                                       {"", sz("x"), 7},
                                                       {"b", binary({1, 2}), 8},
                                                       {"c", std::nullopt, 11}}));
}

TEST(RegFile, HasNamesWithOddCharacters) {
  const auto sections = read(version_5 + "[HKLM\\a]b\\[c] \\;d]\n\"q\\\"\\\\ =\"=dword:1\n");
  EXPECT_EQ(sections.at(0).key, (Path{"HKLM", "a]b", "[c] ", ";d"}));
  EXPECT_EQ(sections.at(0).values.at(0).name, "q\"\\ =");
  EXPECT_EQ(read(version_5 + "[HKLM\\S\\]").at(0).key, (Path{"HKLM", "S"}));
  EXPECT_EQ(read(version_5 + "[HKLM\\a]b; c] ; d").at(0).key, (Path{"HKLM", "a]b; c"}));
}

TEST(RegFile, MayHaveLinesThatEndWithACarriageReturnAlone) {
  const auto sections =
      read("REGEDIT4\r\r; a comment\r[HKLM\\a]\r\"x\"=hex:01,\\\r  02\r\n\"y\"=\"a\rb\"\r@=-");
  ASSERT_EQ(sections.size(), 1U);
  EXPECT_EQ(sections[0].line, 4U);
  EXPECT_EQ(sections[0].values,
            (std::vector<RegValue>{
                {"x", binary({1, 2}), 5}, {"y", sz("a\rb"), 7}, {"", std::nullopt, 9}}));
}

TEST(RegFile, NeedsNoBlankLinesAndNoLineEndAtItsEnd) {
  const auto sections = read("REGEDIT4\n[HKLM\\a]\n\"x\"=dword:1\n[HKLM\\b]\n\"y\"=dword:2");
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_EQ(sections[1].values.at(0).value, dword(2));
  EXPECT_TRUE(read("REGEDIT4").empty());
}

// What is in the registry as UTF-16 is in the file as bytes.
TEST(RegFile, OfVersion4HasStringsInACodePage) {
  EXPECT_EQ(value("hex(2):61,e4,00", version_4), expand_sz("a\u00e4"));
  EXPECT_EQ(value("hex(7):61,00,62,00,00", version_4), multi_sz({"a", "b"}));
  EXPECT_EQ(value("hex(3):61,e4", version_4), binary({0x61, 0xE4}));
  const std::string text = version_4 + "[HKLM\\S]\r\n\"\xe4\"=hex(2):e4,00\r\n";
  EXPECT_EQ(read(text).at(0).values.at(0), (RegValue{"\u00e4", expand_sz("\u00e4"), 4}));
  EXPECT_EQ(read(text, 1251).at(0).values.at(0), (RegValue{"\u0434", expand_sz("\u0434"), 4}));
}

// Windows has a character for each byte.
TEST(RegFile, HasControlCharactersWhereACodePageHasNoLetter) {
  EXPECT_EQ(value("hex(1):61,81,8d,9d,62", version_4),
            (Value{Type::sz, to_utf16le("a\u0081\u008d\u009db")}));
  EXPECT_EQ(read(version_4 + "[HKLM\\a\x90\xe4\x8f]").at(0).key.at(1), "a\u0090\u00e4\u008f");
  EXPECT_EQ(read(version_4 + "[HKLM\\\x98\xe4]", 1251).at(0).key.at(1), "\u0098\u0434");
  EXPECT_EQ(error_in(version_4 + "[HKLM\\\x81\xff]", 932),
            "line 3, column 7: byte 0x81 at offset 18 of the file is no character in the encoding "
            "CP932");
}

// Nobody can tell what they are: of Wine it is known that it takes them for UTF-16.
TEST(RegFile, OfVersion4AndUtf16HasNoStringsAsBytes) {
  const auto read_as_utf16 = [](const std::string& text) {
    return read_reg(to_utf16le("\uFEFF" + text), std::nullopt);
  };
  const std::string text = version_4 + "[HKLM\\S]\n\"a\"=hex:61\n\"b\"=\"c\"\n";
  EXPECT_EQ(read_as_utf16(text), read(text));
  try {
    read_as_utf16(text + "\"d\"=hex(2):61,00\n");
    ADD_FAILURE() << "taken";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).find("line 6, column 12: a string as bytes in a file"), 0U)
        << e.what();
  }
}

// In these code pages a mark may follow a letter and make another one of it.
TEST(RegFile, KeepsTheLastLetterOfVietnameseAndHebrew) {
  for (const unsigned code_page : {1255U, 1258U}) {
    const std::string text = version_4 + "[HKLM\\S]\n\"b\"=hex(1):62,61\n\"a\"=dword:1a";
    const auto sections = read(text, code_page);
    EXPECT_EQ(sections.at(0).values.at(0).value, (Value{Type::sz, to_utf16le("ba")})) << code_page;
    EXPECT_EQ(sections.at(0).values.at(1).value, dword(0x1A)) << code_page;
  }
  EXPECT_EQ(read(version_4 + "[HKLM\\\xe9]", 1255).at(0).key.at(1), "\u05d9");
  EXPECT_EQ(read(version_4 + "[HKLM\\S]\n\"b\"=hex(1):e9", 1255).at(0).values.at(0).value,
            (Value{Type::sz, to_utf16le("\u05d9")}));
}

TEST(RegFile, ComesInEveryEncoding) {
  const std::string text = version_5 + "[HKLM\\\u00dcber]\r\n\"\u65e5\"=\"\U0001F600\"\r\n";
  const Bytes utf16 = to_utf16le(text);
  std::vector<Bytes> files = {bytes_of(text), bytes_of("\xEF\xBB\xBF" + text), utf16};
  files.push_back(bytes_of("\xFF\xFE"));
  files.back().insert(files.back().end(), utf16.begin(), utf16.end());
  files.push_back(bytes_of("\xFE\xFF"));
  for (std::size_t i = 0; i < utf16.size(); i += 2) {
    files.back().push_back(utf16[i + 1]);
    files.back().push_back(utf16[i]);
  }
  for (const Bytes& file : files) {
    const auto sections = read_reg(file, std::nullopt);
    EXPECT_EQ(sections.at(0).key.at(1), "\u00dcber");
    EXPECT_EQ(sections.at(0).values.at(0), (RegValue{"\u65e5", sz("\U0001F600"), 4}));
  }
  // Not UTF-8, so the usual code page; and what looks like UTF-8 if the user says what it is.
  EXPECT_EQ(read(version_5 + "[HKLM\\\xdc]").at(0).key.at(1), "\u00dc");
  EXPECT_EQ(read(version_5 + "[HKLM\\\u00dc]", 1252).at(0).key.at(1), "\u00c3\u0153");
}

TEST(RegFile, WithAMistakeIsAnErrorThatNamesThePlace) {
  const std::string key = version_5 + "[HKLM\\S]\r\n";
  struct Case {
    std::string text;
    const char* error;
  };
  const std::string long_name(256, 'k');
  for (const auto& [text, error] : std::vector<Case>{
           {"", "line 1, column 1: not a .reg file"},
           {"REGEDIT\n", "line 1, column 1: not a .reg file"},
           {"REGEDIT5\n", "line 1, column 1: not a .reg file"},
           {"regedit4\n", "line 1, column 1: not a .reg file"},
           {"WINDOWS REGISTRY EDITOR VERSION 5.00\n", "line 1, column 1: not a .reg file"},
           {"REGEDIT4 x\n", "line 1, column 9: more behind the format"},
           {" REGEDIT4; x\n", "line 1, column 10: more behind the format"},
           {"Windows Registry Editor Version 5.001\n", "line 1, column 37: more behind the format"},
           {version_5 + "\"a\"=dword:1", "line 3, column 1: a value that is in no key"},
           {version_5 + "[HKLM\\S", "line 3, column 2: a key without its closing bracket"},
           {version_5 + "[]", "line 3, column 2: a key with an empty name"},
           {version_5 + "[HKLM\\\\S]", "line 3, column 8: a key with an empty name"},
           {version_5 + "[HKLM\\" + long_name + "]", "line 3, column 263: a key's name of more"},
           {version_5 + "[HKLM\\a] ; see [1]", "line 3, column 8: a comment with a bracket behind"},
           {version_5 + "[-HKLM\\a]b\\c];]", "line 3, column 13: a comment with a bracket behind"},
           {"REGEDIT4\r[HKLM\\a\rb]", "line 2, column 2: a key without its closing bracket"},
           {"REGEDIT4\r;x\r\ny\n\r", "line 3, column 1: neither a key"},
           {version_5 + "[-HKLM\\S]\n\"a\"=-", "line 4, column 1: a value in a key that is to go"},
           {key + "a=dword:1", "line 4, column 1: neither a key"},
           {key + "\"a\" dword:1", "line 4, column 5: '=' is missing"},
           {key + "\"a\"=1", "line 4, column 5: a value is to be"},
           {key + "\"a\"=", "line 4, column 5: a value is to be"},
           {key + "\"a=1\r\n", "line 4, column 5: a string without its closing quote"},
           {key + "\"\u00e4\"=\"b", "line 4, column 7: a string without its closing quote"},
           {key + "\"a\"=\"C:\\x\"", "line 4, column 9: a backslash in a string"},
           {key + "\"a\"=\"b\" c", "line 4, column 9: more than one thing"},
           {key + "\"a\"=dword:", "line 4, column 11: a hexadecimal number is missing"},
           {key + "\"a\"=dword:123456789", "line 4, column 19: more than eight digits"},
           {key + "\"a\"=dword:12x", "line 4, column 13: more than one thing"},
           {key + "\"a\"=hex:01 02", "line 4, column 12: ',' is missing"},
           {key + "\"a\"=hex:001", "line 4, column 11: a byte of more than two digits"},
           {key + "\"a\"=hex:01,,02", "line 4, column 12: a byte of two"},
           {key + "\"a\"=hex:01,\\\r\n  0g", "line 5, column 4: ',' is missing"},
           {key + "\"a\"=hex:01\\\r\n  ,02", "line 4, column 11: ',' is missing"},
           {key + "\"a\"=hex:01\\\r\n  02", "line 4, column 11: ',' is missing"},
           {key + "\"a\"=hex:01,\\\r\n ,02", "line 5, column 2: the bytes that a"},
           {key + "\"a\"=hex:01,\\\r\n\\\r\n02", "line 5, column 1: the bytes that a"},
           {key + "\"a\"=hex:01,\\ 02", "line 4, column 14: more than one thing"},
           {key + "\"a\"=hex(7):4c,69,\\\r\n\r\n\"b\"=\"x\"",
            "line 6, column 1: the bytes that a backslash has announced are missing"},
           {key + "\"a\"=hex:01,\\\n ;\n[HKLM\\T]", "line 6, column 1: the bytes that a"},
           {key + "\"a\"=hex:01,\\\n@=\"x\"", "line 5, column 1: the bytes that a"},
           {key + "\"a\"=hex:01,\\\r\n\r\n", "line 6, column 1: the bytes that a"},
           {key + "\"a\"=hex:01,\\", "line 4, column 13: the bytes that a"},
           {key + "\"a\"=hex(2:01", "line 4, column 10: '):' is missing"},
           {key + "\"a\"=hex():01", "line 4, column 9: a hexadecimal number is missing"},
           {key + std::string("\"a\"=\"\0\"", 7), "line 4, column 6: a string with a NUL"},
           {version_5 + std::string("[HKLM\\\0]", 8), "line 3, column 8: a key's name with a NUL"},
       })
    EXPECT_EQ(error_in(text).substr(0, std::string_view(error).size()), error) << text;
}

TEST(RegFile, WithAKeyThatLiesTooDeepIsAnErrorThatNamesThePlace) {
  std::string path = "HKLM";
  for (int level = 1; level < 511; ++level) path += "\\a";
  EXPECT_EQ(read(version_5 + "[" + path + "]").at(0).key.size(), 511U);
  EXPECT_EQ(read(version_5 + "[" + path + "\\]").at(0).key.size(), 511U);
  const char* error = "a key that lies deeper than the 512 levels that Windows allows";
  EXPECT_EQ(error_in(version_5 + "[" + path + "\\a]"),
            std::string("line 3, column 1028: ") + error);
  for (int level = 511; level < 60'000; ++level) path += "\\a";
  EXPECT_EQ(error_in(version_5 + "[" + path + "]"), std::string("line 3, column 1029: ") + error);
}

TEST(RegFile, OfAnotherEncodingIsAnErrorThatNamesThePlace) {
  EXPECT_EQ(error_in(version_5 + "\x81\xff", 932),
            "line 3, column 1: byte 0x81 at offset 40 of the file is no character in the encoding "
            "CP932");
  EXPECT_EQ(error_in("REGEDIT4\r\n;\r;\x82\xa0\x81\xff", 932),
            "line 3, column 3: byte 0x81 at offset 15 of the file is no character in the encoding "
            "CP932");
  EXPECT_EQ(error_in("\xEF\xBB\xBFREGEDIT4\n;\xC3\xA4\xFF"),
            "line 2, column 3: byte 0xff at offset 15 of the file is no character in the encoding "
            "UTF-8");
  EXPECT_EQ(error_in(version_5, 12345), "this host cannot convert text in the encoding CP12345");
  EXPECT_EQ(error_in("\xFF\xFE" + std::string("R\0\0\xd8x\0", 6)),
            "line 1, column 2: byte 0x00 at offset 4 of the file is no character in the encoding "
            "UTF-16LE");
  // The whole value is converted at once.
  EXPECT_EQ(error_in(version_4 + "[HKLM\\S]\n\"a\"=hex(2):61,\\\n81,ff,00\n", 932),
            "line 4, column 12: byte 0x81 at offset 1 is no character in the encoding CP932");
}

// The line where it begins says more than the one where it is noticed.
TEST(RegFile, WithAStringThatHasLostItsClosingQuoteIsAnErrorWhereThatBegins) {
  const std::string key = version_5 + "[HKLM\\S]\n\"a\"=\"open\n";
  EXPECT_EQ(
      error_in(key + "\"b\"=dword:1\n"),
      "line 4, column 5: a string that ends in line 5, with more behind it: its closing quote "
      "may be missing");
  EXPECT_EQ(
      error_in(key + "[HKLM\\T]\n"),
      "line 5, column 7: a backslash in a string is to be written twice, a quote as \\\"; the "
      "string begins in line 4");
  EXPECT_EQ(error_in(key + "x"), "line 4, column 5: a string without its closing quote");
  EXPECT_EQ(read(key + "x\" ; comment").at(0).values.at(0).value, sz("open\nx"));
}

TEST(RegFile, MayHaveBackslashesAtTheEndOfAKey) {
  EXPECT_EQ(read(version_5 + "[HKLM\\S\\]\n[HKLM\\T\\\\]").at(1).key, (Path{"HKLM", "T"}));
  EXPECT_EQ(error_in(version_5 + "[HKLM\\\\S]"), "line 3, column 8: a key with an empty name");
  EXPECT_EQ(error_in(version_5 + "[\\\\]"), "line 3, column 3: a key with an empty name");
}

// windows-tcp.md's source, the page of the KVM wiki, gives its settings so.
TEST(RegFile, OfTheKvmWikiHasItsFiveValues) {
  const auto sections = read(
      "Windows Registry Editor Version 5.00\n\n"
      "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\AFD\\Parameters]\n"
      "\"DefaultSendWindow\"=dword:00100000\n"
      "\"DefaultReceiveWindow\"=dword:00100000\n"
      "\"FastSendDatagramThreshold\"=dword:00004000\n\n\n"
      "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters]\n"
      "\"Tcp1323Opts\"=dword:00000001\n"
      "\"TcpWindowSize\"=dword:00100000\n");
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_EQ(sections[0].values.size(), 3U);
  EXPECT_EQ(sections[0].values[2].value, dword(0x4000));
  EXPECT_EQ(sections[1].values.size(), 2U);
}

}  // namespace
}  // namespace kvmnet::hive

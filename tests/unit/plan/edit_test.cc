// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/edit.h"

#include <gtest/gtest.h>

namespace kvmnet {
namespace {

void expect_text(const Edit& edit, const EditText& expected) {
  const EditText text = describe(edit);
  EXPECT_EQ(text.verb, expected.verb);
  EXPECT_EQ(text.target, expected.target);
  EXPECT_EQ(text.old, expected.old);
  EXPECT_EQ(text.value, expected.value);
  EXPECT_EQ(text.why, expected.why);
}

TEST(Edit, AValueIsNamedFromHklmWithOldAndNew) {
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");
  const std::string target = "HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters\\EnableWsd";
  expect_text(SetValue{key, "EnableWsd", std::nullopt, hive::dword(0), "w"},
              {"set", target, "(absent)", "dword:0x00000000", "w"});
  expect_text(SetValue{key, "EnableWsd", hive::sz("1"), hive::dword(0), "w"},
              {"set", target, "\"1\"", "dword:0x00000000", "w"});
}

hive::Value text_of(std::string_view text) {
  return {hive::Type::sz, hive::to_utf16le(text)};
}

TEST(Edit, AChangeThatCannotBeSeenInTheTextIsShownInBytes) {
  const auto expect = [](const hive::Value& old, const hive::Value& value, const std::string& from,
                         const std::string& to) {
    const EditText text = describe(SetValue{hive::KeyPath::parse("K"), "", old, value, "w"});
    EXPECT_EQ(text.target, "HKLM\\SYSTEM\\K\\(default)");
    EXPECT_EQ(text.old, from);
    EXPECT_EQ(text.value, to);
  };
  expect(text_of("a"), hive::sz("a"), "\"a\" (2 bytes)", "\"a\" (4 bytes, from byte 2 on: 00,00)");
  expect(text_of(std::string("a\0b", 3)), text_of(std::string("a\0cdefgh", 8)),
         "\"a\" (6 bytes, from byte 4 on: 62,00)",
         "\"a\" (16 bytes, from byte 4 on: 63,00,64,00,65,00,66,00,...)");
  const std::string same(300, 'x');
  const std::string start = hive::describe(hive::sz(same + "a"));
  expect(hive::sz(same + "a"), hive::sz(same + "b"),
         start + " (604 bytes, from byte 600 on: 61,00,00,00)",
         start + " (604 bytes, from byte 600 on: 62,00,00,00)");
}

TEST(Edit, WhatGoesFromTheRegistryIsNamedTheSameWay) {
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");
  const std::string target = "HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters";
  expect_text(DeleteValue{key, "EnableWsd", hive::dword(0), "w"},
              {"delete", target + "\\EnableWsd", "dword:0x00000000", "(absent)", "w"});
  expect_text(DeleteKey{key, "w"}, {"delete", target, "key", "(absent)", "w"});
  expect_text(CreateKey{key, "w"}, {"create", target, "(absent)", "key", "w"});
}

TEST(Edit, AFileIsNamedAsTheGuestNamesItAndShownByItsSize) {
  expect_text(WriteFile{"kvmnet/firstboot.cmd", std::nullopt, "1234", "w"},
              {"write", "%SystemRoot%\\kvmnet\\firstboot.cmd", "(absent)", "file of 4 bytes", "w"});
  expect_text(WriteFile{"a/b/c", "\x1b[31m", "", "w"},
              {"write", "%SystemRoot%\\a\\b\\c", "file of 5 bytes", "file of 0 bytes", "w"});
  expect_text(RemoveFile{"kvmnet/firstboot.done", "w"},
              {"remove", "%SystemRoot%\\kvmnet\\firstboot.done", "file", "(absent)", "w"});
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The user's own first-boot work: what cmd.exe would take otherwise than it is meant is refused.
#include "src/plan/user_work.h"

#include <gtest/gtest.h>

#include <set>

#include "src/support/error.h"

namespace kvmnet {
namespace {

// The message of the UsageError; "" if there is none.
template <typename Make>
std::string error_of(Make make) {
  try {
    make();
  } catch (const UsageError& e) {
    return e.what();
  }
  return "";
}

std::string command_error(const std::string& command) {
  return error_of([&] { work_of_command(command); });
}
std::string script_error(const std::string& content) {
  return error_of([&] { work_of_script("/tmp/a b.cmd", content); });
}

void expect_has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

TEST(UserWork, ACommandIsABatchFileOfItsOwnAsItWasWritten) {
  for (const std::string command :
       {"net user test /delete", "echo 100%% of \"%PATH%\" & dir | find \"^\" >x 2>&1", " a\tb "})
    EXPECT_EQ(work_of_command(command), (UserWork{"command", "@echo off\r\n" + command + "\r\n"}));
}

TEST(UserWork, ACommandIsOneLine) {
  for (const std::string command : {"a\nb", "a\r\nb", "a\r", "\na"})
    expect_has(command_error(command), "--firstboot-script");
  for (const std::string command : {"", " ", "\t"}) expect_has(command_error(command), "is empty");
}

TEST(UserWork, ALineIsNotLongerThanCmdTakesIt) {
  EXPECT_EQ(command_error(std::string(8000, 'a')), "");
  expect_has(command_error(std::string(8001, 'a')), "8001");
  EXPECT_EQ(script_error(std::string(8000, 'a') + "\n" + std::string(8000, 'b')), "");
  expect_has(script_error("a\n" + std::string(8001, 'a')), "line 2");
}

TEST(UserWork, ALabelIsNoCommand) {
  expect_has(command_error(":start"), "label");
  expect_has(command_error("  :: a remark"), "label");
  EXPECT_EQ(command_error("echo :"), "");
}

TEST(UserWork, AScriptIsABatchFile) {
  expect_has(script_error("MZ\x90"), "a program");
  expect_has(script_error("#!/bin/sh\necho a\n"), "another interpreter");
  EXPECT_EQ(script_error("echo MZ #!\n"), "");
}

TEST(UserWork, WhatIsNotAsciiIsRefusedWithTheLineAndARemedy) {
  for (const std::string word : {"\xc3\xa4", "\xe4", "\xff", "\x80"}) {
    expect_has(command_error("echo " + word), "not ASCII");
    expect_has(script_error("echo a\r\nrem " + word), "/tmp/a b.cmd: line 2");
    expect_has(script_error("echo a\r\nrem " + word), "PowerShell");
  }
  for (const char c : {'\0', '\x1a', '\x1b', '\x7f', '\f', '\x01'}) {
    expect_has(command_error(std::string("a") + c), "control character");
    expect_has(script_error(std::string("a\n") + c), "line 2 has a control character");
  }
  expect_has(script_error("a\rb\n"), "control character (0x0d)");
  // UTF-16, as Notepad once called "Unicode".
  expect_has(script_error(std::string("\xff\xfe"
                                      "e\0c\0",
                                      6)),
             "not ASCII");
}

TEST(UserWork, AScriptGetsTheLineEndsThatCmdWants) {
  for (const std::string content :
       {"@echo off\necho a\n", "@echo off\r\necho a\r\n", "@echo off\r\necho a",
        "@echo off\necho a\r\n", "\xef\xbb\xbf@echo off\necho a"})
    EXPECT_EQ(work_of_script("a.cmd", content).content, "@echo off\r\necho a\r\n") << content;
  EXPECT_EQ(work_of_script("a.cmd", "\n\na\n\n").content, "\r\n\r\na\r\n\r\n");
}

TEST(UserWork, AScriptIsNotEmptyAndNotLarge) {
  for (const std::string content : {"", "\n", " \r\n", "\xef\xbb\xbf", "\xef\xbb\xbf\r\n"})
    expect_has(script_error(content), "is empty");
  std::string large;
  while (large.size() < largest_user_script) large += "rem 4567\n";
  large.resize(largest_user_script);
  EXPECT_EQ(script_error(large), "");
  expect_has(script_error(large + "a"), "256 KiB");
}

TEST(UserWork, AScriptsNameIsPlain) {
  const std::pair<std::string, std::string> table[] = {
      {"install.cmd", "install.cmd"},
      {"/home/a b/my script & more%PATH%.cmd", "my_script___more_PATH_.cmd"},
      {"\xc3\xa4.cmd", "__.cmd"},
      {"a\nb.cmd", "a_b.cmd"},
      {"/dev/fd/63", "63"},
      {"dir/", "script"},
      {std::string(100, 'a'), std::string(60, 'a')}};
  for (const auto& [file, name] : table) EXPECT_EQ(work_of_script(file, "x").name, name) << file;
}

TEST(UserWork, IdsTellTextsApartAndRepetitions) {
  const UserWork a = work_of_command("a");
  const UserWork b = work_of_command("b");
  const std::vector<std::string> ids = work_ids({a, b, a, a});
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 4U);
  for (const std::string& id : ids) {
    EXPECT_EQ(id.size(), 16U);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
  }
  EXPECT_EQ(work_ids({b, a}), (std::vector<std::string>{ids[1], ids[0]}));
  EXPECT_EQ(work_ids({{"other name", a.content}}).front(), ids[0]);
  EXPECT_TRUE(work_ids({}).empty());
}

}  // namespace
}  // namespace kvmnet

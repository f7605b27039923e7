// SPDX-License-Identifier: GPL-2.0-or-later
// Our part of SetupComplete.cmd: where it goes, and that taking it out gives every byte back.
#include "src/plan/setup_complete.h"

#include <gtest/gtest.h>

#include <vector>

namespace kvmnet {
namespace {

using firstboot::with_setup_call;
using firstboot::without_setup_call;
using namespace std::string_view_literals;

const std::string call =
    "@if exist \"%SystemRoot%\\kvmnet\\firstboot.cmd\" \"%SystemRoot%\\System32\\cmd.exe\" /d /c "
    "%SystemRoot%\\kvmnet\\firstboot.cmd setup\r\n";
const std::string last_line = "@rem kvmnet first boot: end\r\n";

std::string part(const std::string& note = "") {
  return "@rem kvmnet first boot: begin" + note + "\r\n" + call + last_line;
}
const std::string made_by_us = part(" (kvmnet has made this file)");
const std::string after_line_end = part(" (the line end before this is kvmnet's, too)");

// Files whose every line is run, one after the other.
std::vector<std::string> straight_files() {
  return {"",
          "\r\n",
          "@echo off\r\nnet user Administrator /active:yes\r\n",
          "@echo off\nnet user Administrator /active:yes\n",
          "@echo off\r\nif 1==1 (\r\n  echo a\r\n) else (\r\n  echo b\r\n)\r\n",
          "echo a^\r\n b\r\n",
          "rem \xe9\xff\r\n",
          "\xef\xbb\xbf@echo off\r\n",
          "echo a\r\n\r\n\r\n",
          ":label\r\n",
          "%SystemRoot%\\System32\\reg.exe add HKLM\\X /f >nul 2>&1\r\n",
          "\"C:\\Windows\\System32\\netsh.exe\" interface show interface\r\n",
          "REM C:\\x | y\r\n:: & z\r\nECHO.\r\n\tSET A=1\r\n"};
}

// Files that have no line end at their end.
std::vector<std::string> open_files() {
  return {"echo a", "echo a\r\necho b", "echo a\necho b", "\r", "echo a\r", " ", "echo a\n\r"};
}

// Files after which nothing may be run.
std::vector<std::string> files_that_may_end_early() {
  return {"exit\r\n",
          "@echo off\r\nif errorlevel 1 EXIT /b 1\r\necho a\r\n",
          "goto :eof\r\n",
          "Goto end\r\n:end\r\n",
          "C:\\Install\\run.cmd\r\n",
          "call C:\\install\\RUN.BAT\r\n",
          "\"%~dp0first\"\r\n",
          "del %0",
          "rd /s /q C:\\Windows\\Setup\r\n",
          "del /q %windir%\\setup\\scripts\\*.*\r\n",
          "cd C:\\OEM\\Scripts\r\n",
          "shutdown /r /t 0\r\n",
          "powershell Restart-Computer\r\n",
          "C:\\Install\\run\r\n",
          "run first second\r\n",
          "\"C:\\Program Files\\run\" x\r\n",
          "powershell -File C:\\Install\\run.ps1\r\n",
          "powershell.exe -ExecutionPolicy Bypass -File run.ps1\r\n",
          "msiexec /i x.msi /qn\r\n",
          "if exist C:\\run call C:\\run\r\n",
          "if exist C:\\run (\r\n  C:\\run\r\n)\r\n",
          "echo a & run\r\n",
          "for %%i in (a b) do %%i\r\n",
          "echo a ^",
          "echo a ^\r\n",
          "if 1==1 (\r\necho a\r\n",
          "echo a\r\n\x1a",
          std::string("\xff\xfe@\0e\0c\0h\0o\0\r\0\n\0"sv)};
}

TEST(SetupComplete, IsMadeWhereThereIsNone) {
  EXPECT_EQ(with_setup_call(std::nullopt), made_by_us);
  EXPECT_EQ(without_setup_call(made_by_us), std::nullopt);
}

TEST(SetupComplete, OursComesBehindWhatIsThere) {
  for (const std::string& file : straight_files())
    EXPECT_EQ(with_setup_call(file), file + part()) << file;
  for (const std::string& file : open_files())
    EXPECT_EQ(with_setup_call(file), file + "\r\n" + after_line_end) << file;
}

TEST(SetupComplete, OursComesInFrontOfWhatMayEndEarly) {
  for (const std::string& file : files_that_may_end_early())
    EXPECT_EQ(with_setup_call(file), part() + file) << file;
}

std::vector<std::string> all_files() {
  std::vector<std::string> all = straight_files();
  for (const auto& more : {open_files(), files_that_may_end_early()})
    all.insert(all.end(), more.begin(), more.end());
  // With what looks like a part of ours and is none.
  const std::string begin = "@rem kvmnet first boot: begin\r\n";
  for (const std::string& stray : std::vector<std::string>{
           begin, last_line, last_line + begin, begin + "echo", "echo a & " + last_line,
           "@rem kvmnet first boot: begin of something else\r\n" + last_line,
           " " + begin + last_line, last_line + "exit\r\n", begin + "exit\r\n", begin + begin})
    all.push_back(stray);
  return all;
}

TEST(SetupComplete, TakingOursOutGivesEveryByteBack) {
  for (const std::string& file : all_files())
    EXPECT_EQ(without_setup_call(with_setup_call(file)), file) << file;
}

TEST(SetupComplete, PuttingItInAgainChangesNothing) {
  EXPECT_EQ(with_setup_call(made_by_us), made_by_us);
  for (const std::string& file : all_files())
    EXPECT_EQ(with_setup_call(with_setup_call(file)), with_setup_call(file)) << file;
}

TEST(SetupComplete, AFileWithoutOursIsItselfWithoutIt) {
  for (const std::string& file : all_files()) EXPECT_EQ(without_setup_call(file), file) << file;
}

TEST(SetupComplete, OursIsFoundAmongWhatOthersHaveAddedSince) {
  for (const std::string& file : all_files()) {
    const std::string patched = with_setup_call(file);
    if (!patched.ends_with(last_line)) continue;  // others add to the end
    const std::string line_end = patched.ends_with(after_line_end) ? "\r\n" : "";
    EXPECT_EQ(without_setup_call(patched + "echo later\r\n"), file + line_end + "echo later\r\n")
        << file;
  }
  EXPECT_EQ(without_setup_call(made_by_us + "echo later\r\n"), "echo later\r\n");
  EXPECT_EQ(without_setup_call("echo first\r\n" + part() + "exit\r\n"), "echo first\r\nexit\r\n");
}

TEST(SetupComplete, AnOlderPartIsReplaced) {
  std::string older = with_setup_call("echo a\r\n");
  older.replace(older.find(call), call.size(), "rem another call\r\n");
  EXPECT_EQ(with_setup_call(older), "echo a\r\n" + part());
}

TEST(SetupComplete, OursIsFoundWithOtherLineEnds) {
  std::string text = with_setup_call("echo a\r\necho b");
  std::erase(text, '\r');
  EXPECT_EQ(without_setup_call(text), "echo a\necho b");
}

TEST(SetupComplete, OursIsTakenOutHoweverOftenItIsThere) {
  const std::string twice = with_setup_call("echo a\r\n") + with_setup_call("echo b\r\n");
  EXPECT_EQ(without_setup_call(twice), "echo a\r\necho b\r\n");
  EXPECT_EQ(without_setup_call(made_by_us + made_by_us), std::nullopt);
  EXPECT_EQ(with_setup_call(twice), "echo a\r\necho b\r\n" + part());
}

TEST(SetupComplete, AMebibyteOfAnythingIsReadWithoutHarm) {
  for (const char c : {'\0', 'a', '\n', '('}) {
    const std::string file(1 << 20, c);
    EXPECT_TRUE(without_setup_call(with_setup_call(file)) == file) << static_cast<int>(c);
  }
  std::string begins;
  while (begins.size() < 1 << 20) begins += "@rem kvmnet first boot: begin\n";
  EXPECT_TRUE(without_setup_call(with_setup_call(begins)) == begins);
}

// A guest may have filled it up: to look again from the start for each would take minutes.
TEST(SetupComplete, OursIsTakenOutOfAMebibyteOfParts) {
  const std::string small = "@rem kvmnet first boot: begin\n\n@rem kvmnet first boot: end\n";
  std::string parts;
  std::string rest;
  while (parts.size() < 1 << 20) {
    parts += small + "x\n";
    rest += "x\n";
  }
  EXPECT_TRUE(without_setup_call(parts) == rest);
  parts = small;
  while (parts.size() < 1 << 20) parts += small;
  EXPECT_EQ(without_setup_call(parts + std::string(1 << 20, '\n')), std::string(1 << 20, '\n'));
}

TEST(SetupComplete, WhatSomebodyHasAddedBetweenOurLinesIsKept) {
  std::string content = with_setup_call("echo theirs\r\n");
  content.insert(content.find("@if exist"), "echo added\r\n");
  EXPECT_EQ(without_setup_call(content), content);
  EXPECT_EQ(without_setup_call(with_setup_call(content)), content);
}

}  // namespace
}  // namespace kvmnet

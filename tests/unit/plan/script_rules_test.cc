// SPDX-License-Identifier: GPL-2.0-or-later
// That the rules bite: each of them on a script that breaks it.
#include "tests/unit/plan/script_rules.h"

#include <gtest/gtest.h>

namespace kvmnet::plan_tests {
namespace {

constexpr const char* last_line =
    "move /y \"%~f0\" \"%DIR%\\firstboot.old\" >nul 2>&1 & if not exist \"%~f0\" del /f /q "
    "\"%DIR%\\firstboot.done\" & del /f /q \"%DIR%\\firstboot.old\" & exit /b 0\r\n";

// The rules that a script of these lines breaks, as one text; nothing if it breaks none.
std::string broken_by(const std::string& body) {
  std::string text;
  for (const char c : body) text += c == '\n' ? std::string("\r\n") : std::string(1, c);
  std::string all;
  for (const std::string& rule : broken_rules(text + last_line)) all += rule + "\n";
  return all;
}

void expect_broken(const std::string& body, const std::string& rule) {
  EXPECT_NE(broken_by(body).find(rule), std::string::npos)
      << "of " << body << "not found: " << rule << "\nfound: " << broken_by(body);
}

TEST(ScriptRules, PassAScriptThatKeepsThem) {
  EXPECT_EQ(broken_by("@echo off\n"
                      "setlocal EnableExtensions\n"
                      "rem (a comment) may say && or timeout\n"
                      "\n"
                      "goto main\n"
                      ":run\n"
                      "\"%SYS%\\netsh.exe\" interface tcp %* <nul >>\"%LOG%\" 2>&1\n"
                      "set \"RC=%ERRORLEVEL%\"\n"
                      ">>\"%NEW%\" echo %RC%\n"
                      "if not \"%RC%\"==\"0\" goto :eof\n"
                      "goto :eof\n"
                      ":main\n"
                      "\"%SYS%\\reg.exe\" query KEY 2>nul | \"%SYS%\\find.exe\" \"0x1\" >nul\n"
                      "if not errorlevel 1 exit /b 0\n"
                      "call :run set global autotuninglevel=normal\n"
                      "call :run set global autotuninglevel=normal 2>\"%DIR%\\a b\"\n"
                      "\"%SYS%\\netsh.exe\" interface tcp show global >nul 2>&1\n"
                      "set \"RC=%ERRORLEVEL%\"\n"
                      "\"%SYS%\\netsh.exe\" interface tcp dump >nul 2>&1\n"
                      "set \"RC=%ERRORLEVEL%\"\n"
                      "if exist \"%DIR%\\a b\" set \"BOOT=2\"\n"),
            "");
}

TEST(ScriptRules, BiteOnText) {
  expect_broken("echo \xc3\xa4\n", "not plain ASCII");
  expect_broken("echo a\tb\n", "not plain ASCII");
  expect_broken("echo " + std::string(1000, 'a') + "\n", "longer than 1000");
  expect_broken("move a b && del c\n", "has &&");
  expect_broken("move a b || del c\n", "has ||");
  expect_broken("(echo a) >>file\n", "has (");
  expect_broken("echo(\n", "has (");
  expect_broken("for /l %%i in (1,1,3) do goto x\n", "has (");
  expect_broken("echo a^b\n", "has ^");
  expect_broken("echo %TIME%\n", "reads the time");
}

TEST(ScriptRules, BiteOnLineEnds) {
  const std::vector<std::string> lone_newline = broken_rules("echo a\n" + std::string(last_line));
  ASSERT_EQ(lone_newline.size(), 1U);
  EXPECT_EQ(lone_newline.front(), "line 1: does not end in CRLF: echo a");
  EXPECT_FALSE(broken_rules("echo a\r" + std::string(last_line)).empty());
  EXPECT_FALSE(
      broken_rules(std::string(last_line).substr(0, std::string(last_line).size() - 2)).empty());
  EXPECT_FALSE(broken_rules("").empty());
}

TEST(ScriptRules, BiteOnPrograms) {
  expect_broken("netsh interface tcp show global\n", "runs 'netsh'");
  expect_broken(">nul netsh interface tcp show global\n", "runs 'netsh'");
  expect_broken("if exist a if not \"%B%\"==\"c d\" sc delete x\n", "runs 'sc'");
  expect_broken("echo a & ping -n 6 127.0.0.1\n", "runs 'ping'");
  expect_broken("\"%SYS%\\reg.exe\" query x | find \"a\"\n", "runs 'find'");
  for (const std::string word : {"timeout", "findstr", "wmic", "powershell", "cmd", "chcp"})
    expect_broken("\"%SYS%\\" + word + ".exe\" /x\n", "runs '" + word + "'");
  EXPECT_EQ(broken_by("\"%SYS%\\cmd.exe\" /d /e:on /v:off /c %DIR%\\firstboot-%1.cmd <nul "
                      ">>\"%OUT%\" 2>&1\nset \"RC=%ERRORLEVEL%\"\n"),
            "");
  EXPECT_EQ(broken_by("if \"%~1\"==\"setup\" start \"\" /b \"%SYS%\\cmd.exe\" /d /c "
                      "%DIR%\\firstboot.cmd detached <nul >nul 2>&1\n"),
            "");
  expect_broken("start \"\" /b \"%SYS%\\cmd.exe\" /d /c %DIR%\\firstboot.cmd\n", "runs 'start'");
  expect_broken("\"%SYS%\\cmd.exe\" /c %DIR%\\firstboot-%1.cmd\n", "runs 'cmd'");
  expect_broken("\"netsh.exe\" interface tcp show global\n", "without its full path");
  expect_broken("\"%SYS%\\netsh.exe\" interface tcp set global rss=enabled\n", "outside :run");
  expect_broken(
      "\"%SYS%\\netsh.exe\" interface tcp %* <nul >>\"%LOG%\" 2>&1\n"
      "\"%SYS%\\netsh.exe\" interface tcp %* <nul >>\"%LOG%\" 2>&1\n",
      "outside :run");
}

TEST(ScriptRules, BiteOnCommands) {
  expect_broken("echo boot 1 >>\"%LOG%\"\n", "redirects after echo");
  expect_broken("exit /b\n", "exits without a number");
  expect_broken("exit\n", "exits without a number");
  expect_broken("call other.cmd\n", "calls something else");
  expect_broken(":x\ncall :x a%b\n", "may change");
  expect_broken(":x\ncall :x \"A\"\n", "may change");
}

TEST(ScriptRules, BiteOnLabels) {
  expect_broken("goto nowhere\n", "0 labels 'nowhere'");
  expect_broken("if \"%A%\"==\"1\" goto nowhere\n", "0 labels 'nowhere'");
  expect_broken("call :nowhere\n", "0 labels 'nowhere'");
  expect_broken("goto twice\n:twice\n:twice\n", "2 labels 'twice'");
}

TEST(ScriptRules, BiteOnExitCodes) {
  const std::string program = "\"%SYS%\\sc.exe\" delete x\n";
  const std::string take = "set \"RC=%ERRORLEVEL%\"\n";
  const std::string use = "if \"%RC%\"==\"0\" exit /b 0\n";
  expect_broken(program + "echo a\n", "loses its exit code");
  expect_broken(program + program + take, "loses its exit code");
  EXPECT_EQ(broken_by(program + take + use), "");
  expect_broken(program + "echo a\n" + take + use, "not of the line before");
  expect_broken(program + "\n" + take + use, "not of the line before");
  expect_broken(program + use, "RC of an earlier command");
  expect_broken(program + take + program + use, "RC of an earlier command");
  expect_broken(program + "if \"%ERRORLEVEL%\"==\"0\" exit /b 0\n", "reads ERRORLEVEL");
  expect_broken("if errorlevel 1 exit /b 0\n", "not of the line before");
}

TEST(ScriptRules, BiteOnTheEnd) {
  EXPECT_FALSE(broken_rules("@echo off\r\n").empty());
  expect_broken(last_line, "before its end");
  EXPECT_FALSE(broken_rules(std::string(last_line) + "exit /b 0\r\n").empty());
  // The mark that all is done must outlive a script that stays.
  EXPECT_FALSE(
      broken_rules("del /f /q \"%~f0\" & del /f /q \"%DIR%\\firstboot.done\" & exit /b 0\r\n")
          .empty());
}

}  // namespace
}  // namespace kvmnet::plan_tests

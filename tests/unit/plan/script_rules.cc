// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/plan/script_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace kvmnet::plan_tests {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view take_code = R"(set "RC=%ERRORLEVEL%")";
// The script itself first: cmd.exe goes on in the line, and nobody else can start the script and
// find that the work is still to be done; not if it could not be moved away, either. `if` governs
// all the rest of its line. Moved before it is deleted, because Wine's cmd.exe keeps it open: there
// a deleted script is still seen.
constexpr std::string_view delete_itself =
    R"(move /y "%~f0" "%DIR%\firstboot.old" >nul 2>&1 & if not exist "%~f0" )"
    R"(del /f /q "%DIR%\firstboot.done" & del /f /q "%DIR%\firstboot.old" & exit /b 0)";
constexpr std::string_view netsh = R"("%SYS%\netsh.exe")";
// What a call may pass on: cmd.exe reads % ^ & and quotes in it a second time.
constexpr std::string_view argument_characters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=._- ";
// How another batch file is run: `call` loses its exit code in Wine, and would run it in our
// variables.
constexpr std::string_view run_work =
    R"("%SYS%\cmd.exe" /d /e:on /v:off /c %DIR%\firstboot-%1.cmd <nul >>"%OUT%" 2>&1)";
// How the script leaves Setup, which is not to wait for work. Both write where nobody waits.
constexpr std::string_view leave_setup =
    R"(if "%~1"=="setup" start "" /b "%SYS%\cmd.exe" /d /c %DIR%\firstboot.cmd detached)"
    R"( <nul >nul 2>&1)";
// Programs that are in every Windows from Vista on; others are missing from some, or only stubs.
constexpr std::array programs = {"find"sv, "netsh"sv, "ping"sv, "reg"sv, "sc"sv, "shutdown"sv};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Takes the first word off `text`; a word ends at a blank that is not between quotes.
std::string_view take_word(std::string_view& text) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size() && (quoted || text[end] != ' '); ++end)
    if (text[end] == '"') quoted = !quoted;
  const std::string_view word = text.substr(0, end);
  text = trimmed(text.substr(end));
  return word;
}

bool is_redirection(std::string_view word) {
  return word.starts_with('>') || word.starts_with("2>") || word.starts_with("1>");
}

// A line's commands: split at & and | outside quotes, without redirections before them and without
// the conditions of `if`. A 2>&1 is no separator.
std::vector<std::string_view> commands_of(std::string_view line) {
  std::vector<std::string_view> parts;
  bool quoted = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= line.size(); ++i) {
    const bool at_end = i == line.size();
    if (!at_end && line[i] == '"') quoted = !quoted;
    const bool is_handle = !at_end && line[i] == '&' && i > 0 && line[i - 1] == '>';
    const bool separates = !quoted && !is_handle && !at_end && (line[i] == '&' || line[i] == '|');
    if (!at_end && !separates) continue;
    parts.push_back(trimmed(line.substr(begin, i - begin)));
    begin = i + 1;
  }
  return parts;
}

std::string_view without_redirections_before(std::string_view command) {
  std::string_view rest = command;
  while (is_redirection(take_word(rest))) command = rest;
  return command;
}

// What `if CONDITION COMMAND` runs; other commands as they are.
std::string_view conditional(std::string_view command) {
  std::string_view rest = command;
  if (take_word(rest) != "if") return command;
  std::string_view word = take_word(rest);
  while (word == "not" || word == "/i") word = take_word(rest);
  if (word == "exist" || word == "errorlevel" || word == "defined") take_word(rest);
  return conditional(without_redirections_before(rest));
}

bool changes_nothing(std::string_view arguments) {
  return arguments.starts_with("interface tcp show ") ||
         arguments.starts_with("interface tcp dump ");
}

struct Line {
  std::size_t number;
  std::string_view text;
  std::vector<std::string_view> commands;
  bool is_label() const { return text.starts_with(':'); }
  bool is_comment() const { return text.starts_with("rem "); }
  bool runs_program() const {
    return std::any_of(commands.begin(), commands.end(),
                       [](std::string_view c) { return c.starts_with('"'); });
  }
};

class Checker {
 public:
  std::vector<std::string> run(std::string_view script) {
    split(script);
    for (const Line& line : lines_) {
      check_text(line);
      if (line.is_label()) ++labels_[std::string(trimmed(line.text.substr(1)))];
      for (const std::string_view command : line.commands) check_command(line, command);
      check_exit_codes(line);
    }
    check_end();
    for (const auto& [label, line] : jumps_)
      if (labels_[label] != 1) broken(*line, fmt::format("{} labels '{}'", labels_[label], label));
    return std::move(found_);
  }

 private:
  void split(std::string_view script) {
    if (!script.ends_with("\r\n")) found_.emplace_back("the last line does not end in CRLF");
    for (std::size_t number = 1; !script.empty(); ++number) {
      const std::size_t end = script.find('\n');
      std::string_view text = script.substr(0, end);
      script.remove_prefix(end == std::string_view::npos ? script.size() : end + 1);
      const bool has_cr = text.ends_with('\r');
      if (has_cr) text.remove_suffix(1);
      Line line{number, text, {}};
      if (!has_cr) broken(line, "does not end in CRLF");
      if (!text.empty() && !line.is_label() && !line.is_comment())
        for (std::string_view part : commands_of(text[0] == '@' ? text.substr(1) : text))
          line.commands.push_back(conditional(without_redirections_before(part)));
      lines_.push_back(std::move(line));
    }
  }

  void check_text(const Line& line) {
    for (const char c : line.text)
      if (c < ' ' || c > '~') broken(line, "is not plain ASCII");
    if (line.text.size() > 1000) broken(line, "is longer than 1000 characters");
    if (line.is_comment()) return;
    for (const std::string_view part : {"&&"sv, "||"sv, "("sv, ")"sv, "^"sv, "!"sv})
      if (has(line.text, part)) broken(line, fmt::format("has {}", part));
    if (has(line.text, "%TIME%")) broken(line, "reads the time");
  }

  void check_command(const Line& line, std::string_view command) {
    std::string_view rest = command;
    const std::string_view word = take_word(rest);
    constexpr std::array internal = {"echo"sv, "echo."sv, "set"sv,  "setlocal"sv, "goto"sv,
                                     "call"sv, "exit"sv,  "move"sv, "del"sv,      "type"sv};
    if (line.text == leave_setup) return;
    if (word.starts_with('"')) {
      check_program(line, word);
    } else if (std::find(internal.begin(), internal.end(), word) == internal.end()) {
      broken(line, fmt::format("runs '{}'", word));
    }
    if (word == "echo" && has(rest, ">")) broken(line, "redirects after echo");
    if (word == "goto") jump(line, rest);
    if (word == "call") check_call(line, rest);
    if (word == "exit" && (!rest.starts_with("/b ") || rest.size() < 4))
      broken(line, "exits without a number");
    if (word == netsh && changes_nothing(rest)) return;
    if (word == netsh && (!rest.starts_with("interface tcp %* <nul >>") || netsh_is_run_))
      broken(line, "runs netsh outside :run");
    if (word == netsh) netsh_is_run_ = true;
  }

  void check_program(const Line& line, std::string_view word) {
    constexpr std::string_view before = R"("%SYS%\)";
    constexpr std::string_view after = R"(.exe")";
    if (!word.starts_with(before) || !word.ends_with(after)) {
      broken(line, fmt::format("runs {} without its full path", word));
      return;
    }
    word.remove_prefix(before.size());
    word.remove_suffix(after.size());
    if (line.text != run_work &&
        std::find(programs.begin(), programs.end(), word) == programs.end())
      broken(line, fmt::format("runs '{}'", word));
  }

  void jump(const Line& line, std::string_view label) {
    if (label.starts_with(':')) label.remove_prefix(1);
    if (label != "eof") jumps_.emplace_back(label, &line);
  }

  void check_call(const Line& line, std::string_view rest) {
    rest = rest.substr(0, std::min(rest.find(" >"), rest.find(" 2>")));
    const std::string_view label = take_word(rest);
    if (!label.starts_with(':')) broken(line, "calls something else than a label");
    jump(line, label);
    if (rest.find_first_not_of(argument_characters) != std::string_view::npos)
      broken(line, "passes characters that cmd.exe may change");
  }

  // The code of a program is read on the line after it: `set` itself resets it.
  void check_exit_codes(const Line& line) {
    const Line* before = line.number > 1 ? &lines_[line.number - 2] : nullptr;
    const bool after_program = before != nullptr && before->runs_program();
    if (has(line.text, "%ERRORLEVEL%") && line.text != take_code)
      broken(line, "reads ERRORLEVEL other than by taking it");
    if ((line.text == take_code || has(line.text, "if errorlevel") ||
         has(line.text, "not errorlevel")) &&
        !after_program)
      broken(line, "reads an exit code that is not of the line before");
    if (after_program && line.text != take_code && !has(line.text, "errorlevel 1"))
      broken(*before, "loses its exit code");
    if (line.runs_program()) code_is_taken_ = false;
    if (line.text == take_code || has(line.text, "call :")) code_is_taken_ = true;
    if (has(line.text, "%RC%") && !code_is_taken_) broken(line, "uses RC of an earlier command");
  }

  void check_end() {
    if (lines_.empty() || lines_.back().text != delete_itself)
      found_.emplace_back("the last line does not delete the script");
    for (const Line& line : lines_)
      if (has(line.text, "%~f0") && &line != &lines_.back())
        broken(line, "deletes the script before its end");
  }

  void broken(const Line& line, std::string_view rule) {
    found_.push_back(fmt::format("line {}: {}: {}", line.number, rule, line.text));
  }

  std::vector<Line> lines_;
  std::map<std::string, int> labels_;
  std::vector<std::pair<std::string, const Line*>> jumps_;
  std::vector<std::string> found_;
  bool netsh_is_run_ = false;
  bool code_is_taken_ = false;
};

}  // namespace

std::vector<std::string> broken_rules(std::string_view script) {
  return Checker().run(script);
}

}  // namespace kvmnet::plan_tests

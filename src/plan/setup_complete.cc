// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/setup_complete.h"

#include <algorithm>
#include <array>
#include <vector>

namespace kvmnet::firstboot {
namespace {

using std::string_view_literals::operator""sv;

// Our part: a first line that says what taking it out has to undo, the call, and a last line.
constexpr std::string_view begin = "@rem kvmnet first boot: begin";
constexpr std::string_view of_new_file = " (kvmnet has made this file)";
constexpr std::string_view after_line_end = " (the line end before this is kvmnet's, too)";
constexpr std::string_view end = "@rem kvmnet first boot: end";
constexpr std::string_view line_end = "\r\n";

// A cmd.exe of its own: `exit` in the script, variables and the current directory stay there. The
// word tells the script that Setup, which it waits for else, has called it.
constexpr std::string_view call =
    "@if exist \"%SystemRoot%\\kvmnet\\firstboot.cmd\" \"%SystemRoot%\\System32\\cmd.exe\" /d /c "
    "%SystemRoot%\\kvmnet\\firstboot.cmd setup";

std::string part(std::string_view note) {
  std::string text(begin);
  for (const std::string_view piece : {note, line_end, call, line_end, end, line_end})
    text += piece;
  return text;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Commands that control comes back from: cmd.exe's own, and programs of Windows. Any other word may
// name a batch file, which does not return unless it is called.
bool comes_back(std::string_view command) {
  constexpr std::array known = {
      "echo"sv,  "rem"sv,      "set"sv,     "setlocal"sv, "endlocal"sv, "md"sv,       "mkdir"sv,
      "copy"sv,  "move"sv,     "ren"sv,     "rename"sv,   "del"sv,      "erase"sv,    "rd"sv,
      "rmdir"sv, "type"sv,     "cd"sv,      "chdir"sv,    "pushd"sv,    "popd"sv,     "ver"sv,
      "title"sv, "cls"sv,      "mklink"sv,  "attrib"sv,   "bcdedit"sv,  "cacls"sv,    "chcp"sv,
      "find"sv,  "findstr"sv,  "fsutil"sv,  "icacls"sv,   "ipconfig"sv, "net"sv,      "netsh"sv,
      "ping"sv,  "powercfg"sv, "reg"sv,     "robocopy"sv, "route"sv,    "sc"sv,       "schtasks"sv,
      "setx"sv,  "takeown"sv,  "timeout"sv, "tzutil"sv,   "w32tm"sv,    "wevtutil"sv, "wmic"sv,
      "xcopy"sv};
  std::string_view name = command.substr(command.rfind('\\') + 1);
  if (name.ends_with(".exe")) name.remove_suffix(4);
  if (name.starts_with("echo.") || name.starts_with("::")) return true;
  return std::find(known.begin(), known.end(), name) != known.end();
}

// A line in lower case, with what is known to come back as its only command; or one that begins or
// ends a block.
bool comes_back_line(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t@"), line.size()));
  while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
    line.remove_suffix(1);
  if (line.empty() || line.starts_with(':') || line == ")" || line == "(") return true;
  if (line.starts_with("rem ")) return true;
  // More commands than one; 2>&1 is none.
  for (std::size_t i = 0; i < line.size(); ++i)
    if (line[i] == '|' || (line[i] == '&' && (i == 0 || line[i - 1] != '>'))) return false;
  if (line.starts_with("if ") || line.starts_with(")")) return line.ends_with('(');
  const bool quoted = line.starts_with('"');
  if (quoted) line.remove_prefix(1);
  return comes_back(line.substr(0, line.find_first_of(quoted ? "\"" : " \t/>")));
}

bool all_lines_come_back(std::string_view content) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (content.starts_with(byte_order_mark)) content.remove_prefix(byte_order_mark.size());
  bool goes_on = false;  // the line before, which a ^ at its end makes longer
  while (!content.empty()) {
    const std::size_t length = std::min(content.find('\n'), content.size());
    const std::string_view line = content.substr(0, length);
    content.remove_prefix(std::min(length + 1, content.size()));
    if (!goes_on && !comes_back_line(line)) return false;
    goes_on = line.ends_with("^\r") || line.ends_with('^');
  }
  return true;
}

// Whether what is put behind `content` is sure to be run after it. Said of more than really ends
// early: in front our part is run, too.
bool comes_to_its_end(std::string content) {
  std::transform(content.begin(), content.end(), content.begin(), lower);
  // What ends a script, leaves it for another (`x.cmd` without `call`), removes it, or ends
  // Windows.
  constexpr std::array words = {"exit"sv,
                                "goto"sv,
                                ".cmd"sv,
                                ".bat"sv,
                                "%0"sv,
                                "%~"sv,
                                "\\scripts"sv,
                                "\\setup"sv,
                                "setupcomplete"sv,
                                "shutdown"sv,
                                "restart-computer"sv,
                                "stop-computer"sv};
  if (!all_lines_come_back(content)) return false;
  for (const std::string_view word : words)
    if (content.find(word) != std::string::npos) return false;
  // cmd.exe reads no further than to a ^Z; a NUL is in no text that it understands (UTF-16).
  if (content.find('\x1a') != std::string::npos || content.find('\0') != std::string::npos)
    return false;
  // A block that is not closed, or a last line that goes on, would swallow the beginning of ours.
  if (std::count(content.begin(), content.end(), '(') !=
      std::count(content.begin(), content.end(), ')'))
    return false;
  const std::size_t last = content.find_last_not_of("\r\n \t");
  return last == std::string::npos || content[last] != '^';
}

// Where a part is in a content: from its first byte to the one behind its last.
struct Place {
  std::size_t from = 0;
  std::size_t to = 0;
  std::string_view note;
};

bool starts_line(std::string_view content, std::size_t at) {
  return at == 0 || content[at - 1] == '\n';
}

// What follows `at` up to the line's end; a CR before the LF is not part of it.
std::string_view rest_of_line(std::string_view content, std::size_t at) {
  std::string_view rest = content.substr(at, content.find('\n', at) - at);
  if (rest.ends_with('\r')) rest.remove_suffix(1);
  return rest;
}

std::size_t next_line(std::string_view content, std::size_t at) {
  const std::size_t newline = content.find('\n', at);
  return newline == std::string_view::npos ? content.size() : newline + 1;
}

// The last part of `content` that has both its ends.
std::optional<Place> find_part(std::string_view content) {
  std::optional<std::size_t> end_line;
  for (std::size_t at = content.size(); at-- > 0;) {
    if (!starts_line(content, at)) continue;
    if (rest_of_line(content, at) == end) end_line = at;
    if (!end_line || !content.substr(at).starts_with(begin)) continue;
    // The call is one line; with more between the ends it is not all ours.
    if (next_line(content, next_line(content, at)) != *end_line) continue;
    const std::string_view note = rest_of_line(content, at + begin.size());
    if (note.empty() || note == of_new_file || note == after_line_end)
      return Place{at, next_line(content, *end_line), note};
  }
  return std::nullopt;
}

// The CRLF that we had to put before our part, or what has become of it.
std::size_t before_line_end(std::string_view content, std::size_t at) {
  if (at > 0 && content[at - 1] == '\n') --at;
  if (at > 0 && content[at - 1] == '\r') --at;
  return at;
}

}  // namespace

std::string with_setup_call(const std::optional<std::string>& there) {
  const std::optional<std::string> rest = there ? without_setup_call(*there) : std::nullopt;
  if (!rest) return part(of_new_file);
  if (!comes_to_its_end(*rest)) return part("") + *rest;
  if (rest->empty() || rest->ends_with('\n')) return *rest + part("");
  return *rest + std::string(line_end) + part(after_line_end);
}

// Once through the content, from its end on: a guest may have filled it with parts.
std::optional<std::string> without_setup_call(const std::string& content) {
  std::string_view before = content;     // what has not been looked through
  std::vector<std::string_view> behind;  // what stays of the rest, the last piece first
  // Somebody may have put two files together that had one each.
  while (const auto place = find_part(before)) {
    if (place->to < before.size()) behind.push_back(before.substr(place->to));
    // What somebody has added behind our part needs the line end.
    const bool is_last = behind.empty();
    const std::size_t from = place->note == after_line_end && is_last
                                 ? before_line_end(before, place->from)
                                 : place->from;
    if (place->note == of_new_file && from == 0 && is_last) return std::nullopt;
    before = before.substr(0, from);
  }
  std::string rest(before);
  for (auto piece = behind.rbegin(); piece != behind.rend(); ++piece) rest += *piece;
  return rest;
}

}  // namespace kvmnet::firstboot

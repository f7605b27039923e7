// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/setup_complete.h"

#include <algorithm>
#include <array>

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

std::optional<std::string> without_setup_call(const std::string& content) {
  const auto place = find_part(content);
  if (!place) return content;
  // What somebody has added behind our part needs the line end.
  const bool is_last = place->to == content.size();
  const std::size_t from = place->note == after_line_end && is_last
                               ? before_line_end(content, place->from)
                               : place->from;
  std::string rest = content.substr(0, from) + content.substr(place->to);
  if (place->note == of_new_file && rest.empty()) return std::nullopt;
  return rest;
}

}  // namespace kvmnet::firstboot

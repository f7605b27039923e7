// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/user_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "src/plan/text.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

// cmd.exe takes 8191 characters (Microsoft KB830473), of which variables may need some.
constexpr std::size_t longest_line = 8000;

// Throws for a line that cmd.exe does not take; `where` names it.
void check_line(std::string_view line, const std::string& where) {
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80)
      throw UsageError(fmt::format(
          "{} has a character that is not ASCII: what it means in the guest depends on a code page "
          "that kvmnet does not know; write it in another way, e.g. in a PowerShell script that "
          "the "
          "command starts",
          where));
    if ((byte < ' ' && c != '\t') || byte == 0x7F)
      throw UsageError(fmt::format("{} has a control character ({:#04x})", where, byte));
  }
  if (line.size() > longest_line)
    throw UsageError(
        fmt::format("{} has {} characters: cmd.exe takes 8191 with its variables expanded, and "
                    "kvmnet up to {}; "
                    "make several shorter lines of it",
                    where, line.size(), longest_line));
}

// Throws for a file that is something else than a batch file.
void check_is_batch(std::string_view content, const std::string& option) {
  const std::string_view is = content.starts_with("MZ") ? "a program"
                              : content.starts_with("#!")
                                  ? "a script for another interpreter than cmd.exe"
                                  : "";
  if (!is.empty())
    throw UsageError(
        fmt::format("{}: is {}; what runs is a batch file of cmd.exe in ASCII", option, is));
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

// The last part of a path, of characters that mean nothing to cmd.exe.
std::string plain_name(std::string_view path) {
  constexpr std::size_t longest_name = 60;
  std::string name(path.substr(path.rfind('/') + 1));
  for (char& c : name)
    if (std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
            .find(c) == std::string_view::npos)
      c = '_';
  name.resize(std::min(name.size(), longest_name));
  return name.empty() ? "script" : name;
}

}  // namespace

UserWork work_of_command(std::string_view command) {
  if (is_blank(command)) throw UsageError("--firstboot-command: the command is empty");
  if (command.find_first_of("\r\n") != std::string_view::npos)
    throw UsageError(
        "--firstboot-command: a command is one line; several are a file for --firstboot-script");
  if (command[command.find_first_not_of(" \t")] == ':')
    throw UsageError(
        "--firstboot-command: the command begins with ':', which is a label of a batch file and "
        "runs nothing");
  check_line(command, "--firstboot-command: the command");
  return {"command", with_crlf(fmt::format("@echo off\n{}\n", command))};
}

UserWork work_of_script(std::string_view file, std::string_view content) {
  const std::string option = fmt::format("--firstboot-script {}", file);
  if (content.size() > largest_user_script)
    throw UsageError(fmt::format("{}: has more than {} KiB", option, largest_user_script >> 10));
  check_is_batch(content, option);
  if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
  if (is_blank(content)) throw UsageError(option + ": is empty");
  std::string text;
  for (std::size_t number = 1; !content.empty(); ++number) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    check_line(line, fmt::format("{}: line {}", option, number));
    text.append(line).append("\r\n");
  }
  return {plain_name(file), std::move(text)};
}

std::vector<std::string> work_ids(const std::vector<UserWork>& work) {
  std::map<std::string_view, int> seen;
  std::vector<std::string> ids;
  for (const UserWork& piece : work)
    ids.push_back(hash_of(fmt::format("{} {}", ++seen[piece.content], piece.content)));
  return ids;
}

}  // namespace kvmnet

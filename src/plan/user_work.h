// SPDX-License-Identifier: GPL-2.0-or-later
// The user's own work for the first boot: batch files that the first-boot script runs, as cmd.exe
// wants them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvmnet {

struct UserWork {
  std::string name;     // for results: "command", or the script's file name, plain and short
  std::string content;  // of the batch file: ASCII, every line ended by CRLF
  bool operator==(const UserWork&) const = default;
};

// So many that two digits number them.
inline constexpr std::size_t most_user_work = 99;
inline constexpr std::size_t largest_user_script = 256 << 10;  // bytes

// A command becomes a batch file of its own, so a percent sign in it is what it is there:
// %VARIABLE%, and %% for the sign itself. Both throw UsageError, saying where and what to do, on
// what cmd.exe would not take as it is meant: text that is not ASCII (what it means depends on the
// guest's code page, which is not known), control characters, lines that are too long, and nothing
// at all.
UserWork work_of_command(std::string_view command);
// `file`: its name, for messages and for the work's name. Other line ends become CRLF; a UTF-8 byte
// order mark is left out.
UserWork work_of_script(std::string_view file, std::string_view content);

// What tells pieces of work apart, in their order: 16 hexadecimal digits each. The same text has
// the same id, whatever its name; where it is there twice, the second has another one.
std::vector<std::string> work_ids(const std::vector<UserWork>& work);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// Our part of %SystemRoot%\Setup\Scripts\SetupComplete.cmd, which Windows Setup runs as SYSTEM when
// it ends, before anybody can log on; its exit code is ignored (learn.microsoft.com, "Add a custom
// script to Windows Setup"). The file may be the user's: what is in it is kept, byte for byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvmnet::firstboot {

inline constexpr std::string_view setup_complete_path = "Setup/Scripts/SetupComplete.cmd";

// The content with our part in it: behind what is there; or in front of it where control may not
// come to the end of the file. `there`: the present content; nothing if there is no such file. A
// part that is in it already is replaced.
std::string with_setup_call(const std::optional<std::string>& there);

// Larger ones are left alone, and none is made.
inline constexpr std::size_t largest_setup_complete = 1 << 20;  // bytes

// The content without our part, however often it is there: the inverse of with_setup_call. Nothing:
// kvmnet has made the file, and nobody has added to it.
std::optional<std::string> without_setup_call(const std::string& content);

}  // namespace kvmnet::firstboot

// SPDX-License-Identifier: GPL-2.0-or-later
// The work on what comes from a guest, behind the wall: what the child does with a call of
// hive_client.h.
#pragma once

#include "src/wall/wall.h"

namespace kvmnet {

wall::Child hive_child();

// The operations, and the files that they get.
namespace hive_operation {
// SYSTEM, its edited copy to be, its logs. All but the first expect a clean one.
inline constexpr std::string_view probe = "probe";  // makes it clean
inline constexpr std::string_view edit = "edit";
inline constexpr std::string_view prove = "prove";  // what the same edits have come to
inline constexpr std::string_view reg = "reg";
inline constexpr std::string_view reg_of_edited = "reg of edited";
inline constexpr std::string_view record = "record";  // the message is a record's text

inline constexpr std::string_view software = "version";  // through read_at: SOFTWARE and its logs
inline constexpr std::string_view check = "check";       // any hive and its logs; makes it clean
inline constexpr std::string_view merge = "merge";       // any hive, its copy to be, its logs
inline constexpr std::string_view write_reg = "export";  // any hive, the file to be, its logs
}  // namespace hive_operation

}  // namespace kvmnet

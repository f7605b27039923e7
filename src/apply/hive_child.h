// SPDX-License-Identifier: GPL-2.0-or-later
// The work on what comes from a guest, behind the wall: what the child does with a call of
// hive_client.h.
#pragma once

#include "src/wall/wall.h"

namespace kvmnet {

wall::Child hive_child();

// The operations, and the files that they get.
namespace hive_operation {
inline constexpr std::string_view probe = "probe";       // SYSTEM and its logs; makes it clean
inline constexpr std::string_view edit = "edit";         // a clean SYSTEM, its copy to be, its logs
inline constexpr std::string_view software = "version";  // through read_at: SOFTWARE and its logs
inline constexpr std::string_view check = "check";       // any hive and its logs; makes it clean
inline constexpr std::string_view merge = "merge";       // any hive, its copy to be, its logs
inline constexpr std::string_view reg = "reg";           // a clean SYSTEM; only reads
inline constexpr std::string_view write_reg = "export";  // any hive, the file to be, its logs
inline constexpr std::string_view record = "record";     // none: the message is a record's text
}  // namespace hive_operation

}  // namespace kvmnet

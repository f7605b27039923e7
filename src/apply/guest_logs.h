// SPDX-License-Identifier: GPL-2.0-or-later
// The transaction logs beside a hive in a guest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "guestfs/guest_files.h"

namespace kvmnet {

struct GuestLog {
  std::string ending;  // ".LOG", ".LOG1", ".LOG2"
  std::string path;    // in the volume's letter case
  std::uint64_t size = 0;
};

// Those that there are, in the order .LOG1, .LOG2 (since Vista), .LOG (Windows XP and 2003; since
// Vista left over from Setup). Throws Error if one is no regular file, or larger than any log that
// Windows writes.
std::vector<GuestLog> find_logs(guestfs::GuestFiles& guest, const std::string& hive_path);

// How many of them, from the first on, Windows uses.
std::size_t count_in_use(const std::vector<GuestLog>& logs);

// Makes the logs invalid, in place: after an edit none may ever be replayed into the hive, and a
// DIRT log would fit it by its time (msuhanov/regf, "Transaction log files"). They are not removed:
// new ones would have other permissions.
void neutralise(guestfs::GuestFiles& guest, const std::vector<GuestLog>& logs);
bool is_neutral(guestfs::GuestFiles& guest, const GuestLog& log);

}  // namespace kvmnet

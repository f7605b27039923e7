// SPDX-License-Identifier: GPL-2.0-or-later
// Plan -> hive bytes, and plan -> guest files.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "guestfs/guest_files.h"
#include "src/plan/edit.h"
#include "src/support/fd.h"

namespace kvmnet {

// Makes the registry edits in the hive in `file`, in place: one open, one commit, then every edited
// value is read back. Touches nothing if there are no such edits. Throws hive::Unsupported for an
// edit that would damage the hive, hive::Error and Error otherwise; the file is then of no use.
void edit_hive(const Fd& file, const std::vector<Edit>& edits);

// Makes the file edits. `root` is the system root's directory on the volume, mounted read-write.
void apply_files(guestfs::GuestFiles& guest, const std::string& root,
                 const std::vector<Edit>& edits);

// Brings a hive in the guest from what it was when downloaded to `after`: only the pages that
// differ are written. Throws Error if `after` is shorter, which no edit makes it.
void update_hive(guestfs::GuestFiles& guest, const std::string& path,
                 std::span<const std::byte> before, std::span<const std::byte> after);

bool has_registry_edits(const std::vector<Edit>& edits);

}  // namespace kvmnet

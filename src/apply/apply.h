// SPDX-License-Identifier: GPL-2.0-or-later
// Plan and edited hive -> files of the guest.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "guestfs/guest_files.h"
#include "src/plan/edit.h"
#include "src/support/refusal.h"

namespace kvmnet {

// Refused: where an edit writes a file there is something else than a file, or than a directory on
// the way to it. `root` as below, mounted in any way.
std::optional<Refusal> check_places(guestfs::GuestFiles& guest, const std::string& root,
                                    const std::vector<Edit>& edits);

// Makes the file edits. `root` is the system root's directory on the volume, mounted read-write.
// Directories that are made new, and our own directory, are private to SYSTEM and Administrators,
// and so is each file whose edit says so.
void apply_files(guestfs::GuestFiles& guest, const std::string& root,
                 const std::vector<Edit>& edits);

// Those of the edited files, and our directory, that are not as private as apply_files() makes
// them.
std::vector<std::string> find_open_files(guestfs::GuestFiles& guest, const std::string& root,
                                         const std::vector<Edit>& edits);

// Brings a hive in the guest from what it was when downloaded to `after`: only the pages that
// differ are written, and returned. Throws Error if `after` is shorter, which no edit makes it.
std::vector<guestfs::FilePart> update_hive(guestfs::GuestFiles& guest, const std::string& path,
                                           std::span<const std::byte> before,
                                           std::span<const std::byte> after);

}  // namespace kvmnet

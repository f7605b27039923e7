// SPDX-License-Identifier: GPL-2.0-or-later
// Runs of kvmnet keep each other away from a bare hive.
#pragma once

#include <string>

#include "src/apply/patch_guest.h"
#include "src/disk/image_lock.h"
#include "src/support/fd.h"

namespace kvmnet {

// Locks the open file against other runs, until its descriptor is closed. Throws Refused,
// `image-in-use`, naming the holder where it can be found; Error where there are no locks.
void lock_hive(const Fd& file, const std::string& path, disk::Use use);

// How a hive is locked for that.
disk::Use use_for(Mode mode);

// The name under which a successor of the hive is written.
std::string successor_path(const std::string& hive);

// An empty file that is there from just before a hive is replaced until its logs are invalid.
std::string unfinished_path(const std::string& hive);

// Removes what a run that was killed has left under the first name; the hive is locked by us.
// Throws Refused if a run that lives has it open, Error if it cannot be removed or is no file of
// ours.
void remove_left_successor(const std::string& hive);

}  // namespace kvmnet

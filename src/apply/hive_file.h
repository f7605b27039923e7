// SPDX-License-Identifier: GPL-2.0-or-later
// The registry part on a bare SYSTEM hive file, without libguestfs.
#pragma once

#include <string>
#include <vector>

#include "src/apply/hive_messages.h"
#include "src/apply/outcome.h"
#include "src/apply/patch_guest.h"
#include "src/plan/settings.h"
#include "src/plan/windows.h"

namespace kvmnet {

struct HiveFileRequest {
  Mode mode = Mode::plan;
  WindowsVersion version;  // a SYSTEM hive does not say it
  Settings settings;
  DirtyHive dirty_hive = DirtyHive::replay;
  // The hive's transaction logs; none: those beside it. Whatever lies beside it is made invalid,
  // too.
  std::vector<std::string> logs = {};
};

// The file is replaced as a whole: written beside it, brought to disk, and renamed over it, with
// the same owner and mode; then its logs are made invalid, in place. Nothing is touched unless the
// edit succeeds, and all that is to be written can be.
Outcome patch_hive_file(const std::string& path, const HiveFileRequest& request);

// Applies the logs to a dirty hive of any kind, in the same way. `edits` of the outcome is empty;
// its warnings say how many entries came from the logs.
Outcome replay_hive_file(const std::string& path, const HiveFileRequest& request);

// The structure of a hive as it is with its logs applied, or without them where they do not apply:
// its condition tells. Writes nothing. Throws Error if a file cannot be read, Refused for a hive
// that brings down its reader.
HiveCheck check_hive_file(const std::string& path, const std::vector<std::string>& logs);

}  // namespace kvmnet

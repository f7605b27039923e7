// SPDX-License-Identifier: GPL-2.0-or-later
// The registry part on a bare SYSTEM hive file, without libguestfs.
#pragma once

#include <string>

#include "src/apply/outcome.h"
#include "src/apply/patch_guest.h"
#include "src/plan/settings.h"
#include "src/plan/windows.h"

namespace kvmnet {

struct HiveFileRequest {
  Mode mode = Mode::plan;
  WindowsVersion version;  // a SYSTEM hive does not say it
  Settings settings;
};

// The file is replaced as a whole: written beside it, brought to disk, and renamed over it, with
// the same owner and mode. It is not touched unless the edit succeeds.
Outcome patch_hive_file(const std::string& path, const HiveFileRequest& request);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The work inside a guest's file systems: find Windows, probe, plan, apply, verify.
#pragma once

#include <string>

#include "guestfs/guest_files.h"
#include "src/apply/outcome.h"
#include "src/apply/phase.h"
#include "src/plan/facts.h"
#include "src/plan/settings.h"

namespace kvmnet {

enum class Mode {
  plan,  // says what would change
  patch,
};

struct GuestRequest {
  Mode mode = Mode::plan;
  Settings settings;
  std::string root = "single";        // see choose_root
  std::string backup_directory = {};  // where patch backs up the SYSTEM hive; empty: nowhere
  std::string backup_name = {};       // the file name of the image
  DirtyHive dirty_hive = DirtyHive::replay;
};

// Fills in `outcome`: `unchanged`, `pending` (plan), or `patched`, which means that every edit has
// been read back on a fresh mount and nothing is left to be done; the caller then has to bring the
// guest's disk to rest. Throws Refused, hive::Unsupported, and errors; what is on the disk then
// must not be used. A backup is made before anything changes, and stays if it is `patched`. `plan`,
// too, mounts as `patch` does, so that it foretells the same refusals: give it a disk that can be
// thrown away.
void patch_guest(guestfs::GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                 Outcome& outcome);

}  // namespace kvmnet

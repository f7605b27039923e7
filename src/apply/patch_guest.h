// SPDX-License-Identifier: GPL-2.0-or-later
// The work inside a guest's file systems: find Windows, probe, plan, apply, verify.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "guestfs/guest_files.h"
#include "src/apply/find_windows.h"
#include "src/apply/outcome.h"
#include "src/apply/phase.h"
#include "src/plan/facts.h"
#include "src/plan/plan_revert.h"
#include "src/plan/settings.h"
#include "src/wall/wall.h"

namespace kvmnet {

enum class Mode {
  plan,   // says what would change
  patch,  // changes it
};

// What is to be done in a guest of which the facts are known.
using Decision = std::function<std::variant<Plan, Refusal>(const Facts&)>;
Decision to_patch(Settings settings);
Decision to_revert(RevertOptions options);

// What the caller has to do where there is time. It asks nothing of the guest but what is said.
struct Meanwhile {
  std::function<void()> found = [] {};   // when a Windows is, and nothing has been said of it yet
  std::function<void()> edited = [] {};  // while the SYSTEM hive is being edited; for `patch`
  // While the edit is being proven: all has been written by then, and nothing more will be.
  std::function<void()> proven = [] {};
  std::function<void()> released = [] {};  // when the guest is not needed any more; for `patch`
};

struct GuestRequest {
  Mode mode = Mode::plan;
  Decision decide;
  std::string root = "single";             // see choose_root
  std::string backup_directory = {};       // where patch backs up the SYSTEM hive; empty: nowhere
  std::string backup_name = {};            // the file name of the image
  std::vector<hive::RegSection> reg = {};  // what `decide` is to know of, see probe_guest()
  DirtyHive dirty_hive = DirtyHive::replay;
  bool accept_unclean_ntfs = false;  // and lose what is only in its journal
  std::vector<VolumeKey> keys = {};
  Meanwhile meanwhile = {};
  Status done = Status::patched;  // what an outcome says when every edit is made: or `reverted`
};

// Processes that have nothing to do any more, and memory that takes a while to be freed.
using Remains = std::vector<std::unique_ptr<wall::Session>>;

// Fills in `outcome`: `unchanged`, `pending` (plan), or `request.done`, which means that every edit
// has been read back on a fresh mount and nothing is left to be done; the caller then has to bring
// the guest's disk to rest. Throws Refused, hive::Unsupported, and errors; what is on the disk then
// must not be used. A backup is made before anything changes, and stays if it is done. `plan`,
// too, mounts as `patch` does, so that it foretells the same refusals: give it a disk that can be
// thrown away.
Remains patch_guest(guestfs::GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                    Outcome& outcome);

// Fills in `outcome` with what the guest says of patches: `reported`, or `pending` where something
// is still to happen. The guest is only read.
void look_at_guest(guestfs::GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                   Outcome& outcome);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// What became of one image: everything that a report says.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/guest_status.h"
#include "src/plan/plan_firstboot.h"
#include "src/plan/restore.h"
#include "src/support/refusal.h"

namespace kvmnet {

enum class Status {
  patched,
  reverted,   // what earlier patches have done is taken back
  unchanged,  // nothing to do
  pending,    // `plan`: edits would be made; `status`: something is still to happen
  reported,   // `status`: nothing is
  refused,    // not touched; `refusal` says why
  recovered,  // `recover`: the interrupted patch is complete
  discarded,  // `recover`: the interrupted patch was dropped; the image is as it was before it
  replayed,   // `hive replay`: the hive has what was only in its logs
  failed,     // `error` says why; the image is as it was, unless that says something else
};

struct Outcome {
  std::string image;  // as the user named it
  Status status = Status::failed;
  std::optional<Refusal> refusal;
  std::string error;
  std::optional<Facts> facts;  // as before any edit; nothing if it was not got that far
  std::string device;          // of the Windows root
  std::vector<Edit> edits;     // made, or that would be made
  std::string registry_root = "HKLM\\SYSTEM";         // of the hive that they are for
  std::optional<FirstBoot> firstboot = std::nullopt;  // nothing: a bare hive, or not got that far
  std::vector<RestoredSetting> restored;              // see Plan
  std::optional<GuestStatus> guest_status = std::nullopt;  // `status`
  bool recovered = false;  // `patch` has finished an interrupted patch first
  std::string output;      // the patched copy, if one was asked for
  std::vector<std::string> warnings;
  std::string backup;       // directory that has the untouched hive
  std::string backend;      // "libguestfs", "direct"; empty: none was used
  std::string accelerator;  // "KVM", "TCG"; empty: no appliance
  std::vector<std::pair<std::string, double>> phases;  // name and seconds
};

}  // namespace kvmnet

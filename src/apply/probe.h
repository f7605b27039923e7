// SPDX-License-Identifier: GPL-2.0-or-later
// Gathers the facts of a guest; decides nothing.
#pragma once

#include <string>

#include "guestfs/guest_files.h"
#include "src/plan/facts.h"
#include "src/support/fd.h"

namespace kvmnet {

struct Probe {
  Facts facts;
  Fd system_hive;           // a copy in memory, as downloaded
  std::string system_path;  // of the SYSTEM hive in the guest
};

// The guest's root volume is mounted; `root` is the system root's directory on it.
Probe probe_guest(guestfs::GuestFiles& guest, const std::string& root);

// The facts that the SYSTEM hive in `file` alone gives.
Facts probe_system_hive(const Fd& file);

}  // namespace kvmnet

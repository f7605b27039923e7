// SPDX-License-Identifier: GPL-2.0-or-later
// Gathers the facts of a guest; decides nothing.
#pragma once

#include <string>
#include <vector>

#include "guestfs/guest_files.h"
#include "src/apply/guest_logs.h"
#include "src/apply/hive_client.h"
#include "src/plan/facts.h"
#include "src/support/fd.h"
#include "src/support/memory_view.h"

namespace kvmnet {

struct Probe {
  Facts facts;
  std::string system_path;      // of the SYSTEM hive in the guest
  MemoryView downloaded;        // the hive as it is there
  Fd system_hive;               // the same, clean (its logs replayed)
  std::vector<GuestLog> logs;   // beside it
  std::vector<Fd> log_files;    // the same in memory
  bool is_generalised = false;  // by its SOFTWARE hive

  HiveFiles in_memory() const { return {system_hive, log_files, count_in_use(logs)}; }
};

// The guest's root volume is mounted; `root` is the system root's directory on it. Throws Refused
// for a hive that brings down its reader. `reg`: what .reg files are to be merged, see
// RegInput::sections().
Probe probe_guest(guestfs::GuestFiles& guest, const std::string& root, DirtyHive policy,
                  const std::vector<hive::RegSection>& reg = {});

// The same of a guest whose SYSTEM hive has the content of `hive`, which its child has checked and
// read when it made it: neither is done again. Of the logs there is no copy.
Probe probe_guest_with(const EditedHive& hive, guestfs::GuestFiles& guest, const std::string& root,
                       const std::vector<hive::RegSection>& reg);

// The facts of the guest when these edits, which have given `edited`, are made; nothing is asked of
// the guest.
Facts facts_after(const Probe& probe, const EditedHive& edited, const std::vector<Edit>& edits,
                  const std::vector<hive::RegSection>& reg);

}  // namespace kvmnet

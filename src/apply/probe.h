// SPDX-License-Identifier: GPL-2.0-or-later
// Gathers the facts of a guest; decides nothing.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "guestfs/guest_files.h"
#include "src/apply/guest_logs.h"
#include "src/apply/hive_client.h"
#include "src/plan/facts.h"
#include "src/support/fd.h"
#include "src/support/memory_view.h"

namespace kvmnet {

// A guest's SYSTEM hive and its logs in memory.
struct HiveInMemory {
  // Empty files; `size`: of what is to come into them, in bytes.
  HiveInMemory(const std::vector<GuestLog>& found, std::uint64_t size);

  const Fd file;  // the hive; clean, its logs replayed, once it has been probed
  const std::vector<Fd> logs;
  SystemHive work;
};

struct Probe {
  Facts facts;
  std::string system_path;             // of the SYSTEM hive in the guest
  MemoryView downloaded;               // the hive as it is there
  std::unique_ptr<HiveInMemory> hive;  // the same in memory
  std::vector<GuestLog> logs;          // beside it
  std::shared_ptr<SoftwareHive> software;
  bool is_generalised = false;  // by its SOFTWARE hive
};

// The guest's root volume is mounted; `root` is the system root's directory on it. Throws Refused
// for a hive that brings down its reader. `reg`: what .reg files are to be merged, see
// RegInput::sections(). `software`: who is to answer for that hive.
Probe probe_guest(guestfs::GuestFiles& guest, const std::string& root, DirtyHive policy,
                  const std::vector<hive::RegSection>& reg = {},
                  std::shared_ptr<SoftwareHive> software = std::make_shared<SoftwareHive>());

// The same of a guest that `before` is about, and whose SYSTEM hive has been edited as there: its
// child has checked and read it, and neither is done again. Throws Error if there is no proof of
// the edit. There is no copy of the hive and its logs.
Probe probe_again(const Probe& before, guestfs::GuestFiles& guest, const std::string& root,
                  const std::vector<hive::RegSection>& reg);

// The facts of the guest when these edits are made, as they have been in the SYSTEM hive in memory;
// nothing is asked of the guest. Throws Error if there is no proof of that.
Facts facts_after(const Probe& probe, const std::vector<Edit>& edits,
                  const std::vector<hive::RegSection>& reg);

}  // namespace kvmnet

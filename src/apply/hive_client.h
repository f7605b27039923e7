// SPDX-License-Identifier: GPL-2.0-or-later
// Work on a guest's hives, done behind the wall (src/wall/wall.h). A hive that makes the process
// behind it crash, hang or do what it must not is refused as damaged: everything here throws
// Refused then.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/apply/hive_messages.h"
#include "src/apply/reg_messages.h"
#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/reg_input.h"
#include "src/support/fd.h"

namespace kvmnet {

// A hive and all of its transaction logs, copies in memory.
struct HiveFiles {
  const Fd& hive;
  std::span<const Fd> logs = {};
  std::size_t logs_in_use = logs.size();  // the first of them: LOG1, LOG2, or the one LOG
};

// The facts that the SYSTEM hive gives. If that goes well, the file is the clean hive afterwards.
Facts probe_system_hive(const HiveFiles& files, DirtyHive policy);

struct EditedHive {
  Fd file;      // in memory
  Facts facts;  // read from it
  std::vector<hive::LogKind> logs;
};

// What the registry edits, and nothing else, make of a hive that probe_system_hive() has made clean
// and that stays as it is. There must be such edits. Throws hive::Unsupported for an edit that
// would damage the hive, and Error.
EditedHive edit_hive(const HiveFiles& files, const std::vector<Edit>& edits);

// The SOFTWARE hive and its logs, read where they are: only what is needed is asked for.
struct DistantHive {
  std::vector<std::uint64_t> sizes;  // of the hive and its logs, in bytes
  std::function<std::vector<std::byte>(unsigned file, std::uint64_t offset, std::size_t size)>
      read_at;
};
SoftwareFacts probe_software_hive(const DistantHive& hive, DirtyHive policy);

// Any hive, and its structure. If its condition and the structure are good, the file is the clean
// hive afterwards.
HiveCheck check_hive(const HiveFiles& files, DirtyHive policy);

// The place of a key in .reg files.
struct RegKey {
  std::vector<std::string> hive;  // of the hive's root, e.g. HKEY_LOCAL_MACHINE, SYSTEM
  std::vector<std::string> key;   // below it
};

// What .reg files make of any hive. Their keys are below its root; CurrentControlSet there is the
// control set that boots next.
struct MergedHive {
  Fd file;  // in memory; of no use where nothing changes
  Merged merged;
};
MergedHive merge_into_hive(const HiveFiles& files, DirtyHive policy, RegInput input);

// What a SYSTEM hive that probe_system_hive() has made clean answers.
RegFacts ask_reg(const Fd& hive, const RegQuestion& question);

// A key of any hive with all that is below it, as a .reg file.
struct ExportedKey {
  Fd file;  // in memory
  Exported exported;
};
ExportedKey export_key(const HiveFiles& files, DirtyHive policy, const RegKey& key,
                       hive::RegEncoding encoding);

// The record that an earlier patch has left in the guest, from its text. One that brings down its
// reader is damaged, too.
RecordReading read_record(const std::string& text);

bool has_registry_edits(const std::vector<Edit>& edits);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// .reg files on the host: read, and into and out of bare hive files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hive/reg_export.h"
#include "src/apply/outcome.h"
#include "src/apply/patch_guest.h"
#include "src/plan/facts.h"
#include "src/plan/reg_input.h"
#include "src/support/fd.h"

namespace kvmnet {

// Where the hive file's root is in the registry: what the user says ("HKLM\SYSTEM"), or what the
// file's name says (SYSTEM, SOFTWARE, SAM, SECURITY, DEFAULT, NTUSER.DAT, UsrClass.dat, in any
// letter case, with anything behind a dot). Throws UsageError where neither does.
std::vector<std::string> registry_path(const std::string& hive_file, const std::string& given);

struct RegRequest {
  Mode mode = Mode::patch;
  std::vector<std::string> root;  // see registry_path()
  DirtyHive dirty_hive = DirtyHive::replay;
  std::vector<std::string> logs = {};  // see HiveFileRequest
};

// The .reg files in their order; `code_page` and `root` as RegInput::add() has them. Throws
// UsageError for what cannot be read, and for what is wrong in them.
RegInput read_reg_files(const std::vector<std::string>& files, std::optional<unsigned> code_page,
                        const std::vector<std::string>& root);

// Merges .reg files into the hive, one after the other, all or nothing; the file is replaced as
// patch_hive_file() does it.
Outcome import_reg_files(const std::string& path, RegInput files, const RegRequest& request);

// Writes a key as a .reg file to a descriptor. `key`: below the hive's root, or from the
// registry's; empty: the root. The hive file is not written to. Throws UsageError for what is no
// such key.
Outcome export_reg_file(const std::string& path, const std::string& key, hive::RegEncoding encoding,
                        const Fd& to, const RegRequest& request);

}  // namespace kvmnet

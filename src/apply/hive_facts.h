// SPDX-License-Identifier: GPL-2.0-or-later
// What hives say about a guest. Runs behind the wall: everything here comes from the guest.
#pragma once

#include "hive/contents.h"
#include "hive/reader.h"
#include "src/plan/facts.h"

namespace kvmnet {

// What the SOFTWARE hive tells.
struct SoftwareFacts {
  HiveFacts condition;
  std::optional<WindowsVersion> version;
  std::string product_name;
  bool is_generalised = false;  // by sysprep; Windows Setup has still to run
  bool is_complete = false;     // installed
  bool is_windows_pe = false;
  bool is_undeployable = false;  // Windows Setup is in the middle of it
};

// The facts that a clean SYSTEM hive gives, all but its condition. Throws hive::Error.
void read_system(const hive::Contents& system, Facts& facts);

// The same of a clean SOFTWARE hive.
void read_software(hive::Reader& software, SoftwareFacts& facts);

}  // namespace kvmnet

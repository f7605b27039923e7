// SPDX-License-Identifier: GPL-2.0-or-later
// An outcome as text for people and as JSON for programs.
#pragma once

#include <string>

#include "src/apply/hive_file.h"
#include "src/apply/outcome.h"

namespace kvmnet::cli {

// Raised when a field changes its meaning or goes; new fields do not raise it.
inline constexpr int schema_version = 1;

struct ReportOptions {
  bool json = false;
  bool quiet = false;    // text only: nothing unless refused or failed
  bool verbose = false;  // text only: the phases with their times
  bool colour = false;
};

// Lines with their ends; one line if JSON. Everything that comes from a guest is escaped.
std::string report(const Outcome& outcome, const ReportOptions& options);
// The same for `kvmnet hive check`.
std::string report(const std::string& file, const HiveCheck& check, const ReportOptions& options);

}  // namespace kvmnet::cli

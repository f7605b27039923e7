// SPDX-License-Identifier: GPL-2.0-or-later
// The commands.
#pragma once

#include "src/cli/options.h"

namespace kvmnet::cli {

// Carries out what the options say and returns the exit status. Throws only what main() reports.
int run(const Options& options);

}  // namespace kvmnet::cli

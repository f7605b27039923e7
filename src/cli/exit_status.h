// SPDX-License-Identifier: GPL-2.0-or-later
// What kvmnet's exit status means.
#pragma once

#include "src/apply/outcome.h"

namespace kvmnet::cli {

enum class ExitStatus {
  ok = 0,  // done, or nothing to do
  failed = 1,
  usage = 2,
  refused = 3,  // not touched; the message says why and what to do
  pending = 4,  // only with --exit-code: changes would be made
};

// Of several images the most serious: failed, refused, pending, ok.
ExitStatus worse(ExitStatus a, ExitStatus b);

ExitStatus exit_status(Status status, bool exit_code_option);

}  // namespace kvmnet::cli

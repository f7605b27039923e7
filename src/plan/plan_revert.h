// SPDX-License-Identifier: GPL-2.0-or-later
// The way back: what takes a patch out of a guest. Pure, as make_plan() is.
#pragma once

#include <variant>

#include "src/plan/facts.h"
#include "src/plan/plan.h"
#include "src/support/refusal.h"

namespace kvmnet {

struct RevertOptions {
  // Also where somebody has changed a value since: put back what was there before the patch. And do
  // not wait any longer for a guest that cannot restore its settings.
  bool force = false;
  // Where a first boot has made settings: let the next boot undo them.
  bool firstboot = true;
};

// Puts back every value that a patch has changed, as it was before the first patch, and removes all
// that patches have added. Where the guest has run a first-boot script, its settings are Windows'
// own by now: then another script puts them back at the next boot; until that has run, the record
// and what netsh said before stay, and the plan for the guest is empty. Once it has, the next
// revert removes them, too.
// Empty for a guest without a patch. Refused: a record that is damaged, or missing where there is a
// patch; values that somebody has changed since.
std::variant<Plan, Refusal> make_revert(const Facts& facts, const RevertOptions& options);

}  // namespace kvmnet

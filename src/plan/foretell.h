// SPDX-License-Identifier: GPL-2.0-or-later
// What is known of a guest once a plan is carried out, before it is: .reg files can change what
// kvmnet itself goes by, and a plan that would leave something to be done is to be refused.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/plan.h"
#include "src/support/refusal.h"

namespace kvmnet {

// The facts of the guest with these edits made. `edited`: what the edited SYSTEM hive gives of
// them; the rest follows from the edits of files. Facts::reg is empty: it is to be asked for.
Facts facts_after(const Facts& before, const Facts& edited, const std::vector<Edit>& edits);

// `again`: what was decided from those facts. Refused unless nothing is left to be done; the
// message names what is, and where .reg files change what the facts are made of.
std::optional<Refusal> check_settled(const std::variant<Plan, Refusal>& again,
                                     const std::vector<Edit>& edits);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The part of a plan that .reg files make.
#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/reg_facts.h"
#include "src/plan/reg_input.h"
#include "src/support/refusal.h"

namespace kvmnet {

// What a patch could not take back, or must not touch, is wrong usage: whole keys that are to go,
// values that a record or hivex cannot hold, and the keys of is_off_limits(). Throws UsageError,
// "NAME, line L: WHAT".
void require_revertible(const RegInput& input);

// The sections for this guest: CurrentControlSet stands for each control set that is edited.
std::vector<hive::RegSection> resolved(const std::vector<hive::RegSection>& sections,
                                       const std::vector<ControlSet>& sets);

// What resolved sections say last of a value; null: nothing.
const hive::RegValue* wanted_value(const std::vector<hive::RegSection>& sections,
                                   const hive::KeyPath& key, std::string_view name);

// What is to be asked of the hive of a guest whose other facts are known, so that Facts::reg says
// what plans, reverts and reports need; nothing to be asked: an empty question.
RegQuestion reg_question(const Facts& facts, const std::vector<hive::RegSection>& sections);

// The edits, from the hive's answer. Refused: what the hive cannot hold, and a control set that the
// guest does not have.
std::variant<std::vector<Edit>, Refusal> plan_reg(const Facts& facts, const RegInput& input);

}  // namespace kvmnet

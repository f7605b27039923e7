// SPDX-License-Identifier: GPL-2.0-or-later
// A guest for what is decided from a hostile record or answer, and what must hold of the decision.
#pragma once

#include <vector>

#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/reg_input.h"

namespace kvmnet::fuzz {

// A Windows 7 with two control sets and a copy of one, with all keys that kvmnet asks for.
Facts guest_facts();

// .reg files with every kind of line that `patch --reg` takes.
RegInput guest_reg();

// Whether which control set boots is said there.
bool chooses_control_set(const hive::KeyPath& key);

// The files and directories of the edits are ones that kvmnet has in a guest, and no control set is
// chosen by them. Aborts if not.
void expect_harmless(const std::vector<Edit>& edits);

// Reads what status says of the guest, and plans to patch and to revert it: each is an answer or a
// refusal, and harmless. `reg`: to be merged, may be empty.
void decide(const Facts& facts, const RegInput& reg);

}  // namespace kvmnet::fuzz

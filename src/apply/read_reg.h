// SPDX-License-Identifier: GPL-2.0-or-later
// The answer of a SYSTEM hive to what .reg files and a record ask: behind the wall.
#pragma once

#include <cstddef>
#include <span>

#include "src/plan/reg_facts.h"

namespace kvmnet {

// `hive`: a sound one. Throws hive::Error.
RegFacts read_reg(std::span<const std::byte> hive, const RegQuestion& question);

}  // namespace kvmnet

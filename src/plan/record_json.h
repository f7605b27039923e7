// SPDX-License-Identifier: GPL-2.0-or-later
// A record as JSON: in the guest as text, over the wall as CBOR.
#pragma once

#include <nlohmann/json.hpp>

#include "src/plan/record.h"

namespace kvmnet {

nlohmann::ordered_json to_json(const Record& record);

// As parse_record(). Also throws what nlohmann::json throws.
Record to_record(const nlohmann::json& from);

}  // namespace kvmnet

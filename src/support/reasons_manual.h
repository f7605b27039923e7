// SPDX-License-Identifier: GPL-2.0-or-later
// The manual of the reasons for which an image is refused, made of their table in refusal.cc.
#pragma once

#include <string>

namespace kvmnet {

// All of them as a Markdown table: what `kvmnet reasons` prints, and docs/reasons.md has.
std::string manual_of_reasons();

}  // namespace kvmnet

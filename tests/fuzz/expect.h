// SPDX-License-Identifier: GPL-2.0-or-later
// What holds for every input, in fuzz targets.
#pragma once

#include <string_view>

namespace kvmnet::fuzz {

// Says what does not hold, and aborts, which libFuzzer takes for a finding.
void expect(bool holds, std::string_view what);

}  // namespace kvmnet::fuzz

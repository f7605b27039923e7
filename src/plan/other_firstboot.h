// SPDX-License-Identifier: GPL-2.0-or-later
// Services of other programs that do first-boot work, too. They are noticed, and left alone.
#pragma once

#include <string>
#include <vector>

#include "src/plan/facts.h"

namespace kvmnet {

struct OtherFirstBoot {
  std::string service;
  std::string program;  // "cloudbase-init"
  bool operator==(const OtherFirstBoot&) const = default;
};

// The keys (relative to a control set) that the control sets are to hold for other_firstboots.
std::vector<std::string> other_firstboot_keys();

std::vector<OtherFirstBoot> other_firstboots(const std::vector<ControlSet>& sets);

}  // namespace kvmnet

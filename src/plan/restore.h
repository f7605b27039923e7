// SPDX-License-Identifier: GPL-2.0-or-later
// The way back for settings that a first boot has made: netsh commands again, because only Windows
// itself knows where it keeps them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/plan/netsh.h"

namespace kvmnet {

// Whether a first-boot script of some kvmnet may have been given that command: what plan_netsh()
// plans, as `netsh interface tcp` gets it.
bool is_known_netsh(std::string_view arguments);

// One setting that is put back, for people.
struct RestoredSetting {
  std::string name;        // "receive window auto-tuning level"
  std::string value;       // "normal"
  bool from_dump = false;  // the guest's own value; else what Windows has by default
  bool operator==(const RestoredSetting&) const = default;
};

struct Restoration {
  std::vector<NetshStep> steps;
  std::vector<RestoredSetting> settings;
};

// What undoes `commands`, which are known ones (is_known_netsh). `dump` is what `netsh interface
// tcp dump` printed before the first of them; it comes from a guest, and anybody in there may have
// written it: only words of known settings are taken from it, into commands of our own. A setting
// that it does not have goes to Windows' default.
Restoration plan_restoration(const std::vector<std::string>& commands, std::string_view dump);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// Which netsh commands make the wanted settings, in the form that a Windows version accepts.
//
// The table in netsh.cc is the whole knowledge; its sources stand there, row by row.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/plan/settings.h"
#include "src/plan/windows.h"
#include "src/support/refusal.h"

namespace kvmnet {

enum class Duty {
  mandatory,  // a failure is tried again at the next boot, and is a failed result in the end
  soft,       // a failure is logged and no more: some editions do not accept the command
};

// One call: `netsh interface tcp ARGUMENTS`. One setting each, because netsh rejects a call as a
// whole when it does not know one of several.
struct NetshCommand {
  std::string arguments;
  Duty duty = Duty::mandatory;
  bool operator==(const NetshCommand&) const = default;
};

// A step of the first-boot script: a command and, where it is refused, what to run instead.
struct NetshStep {
  NetshCommand command;
  std::vector<NetshCommand> otherwise;  // empty: nothing
  bool operator==(const NetshStep&) const = default;
};

struct NetshPlan {
  std::vector<NetshStep> steps;
  std::vector<std::string> shows;  // what `netsh interface tcp show` of this Windows has to say
  std::vector<std::string> warnings;
};

// For Windows 6.0 and later (is_supported). Refused: an option whose value that Windows does not
// know.
std::variant<NetshPlan, Refusal> plan_netsh(const WindowsVersion& version, ProductType product,
                                            const Settings& settings);

}  // namespace kvmnet

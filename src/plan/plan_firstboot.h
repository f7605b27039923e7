// SPDX-License-Identifier: GPL-2.0-or-later
// The part of a plan that is not registry settings: the first-boot script and what starts it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/netsh.h"
#include "src/plan/other_firstboot.h"
#include "src/plan/settings.h"
#include "src/support/refusal.h"

namespace kvmnet {

// What starts the first-boot script.
enum class Mechanism {
  none,                        // there is no script to start
  service,                     // at the first boot that is not one of Windows Setup
  service_and_setup_complete,  // the same, and Windows Setup when it ends
};
std::string_view to_string(Mechanism mechanism);  // "none", "service", "service+setupcomplete"

struct FirstBoot {
  Mechanism mechanism = Mechanism::none;
  std::string why;  // half a sentence
  std::vector<OtherFirstBoot> beside;
  std::vector<NetshStep> steps;  // of the script, before the user's work; no script: empty
  bool operator==(const FirstBoot&) const = default;
};

struct FirstBootPlan {
  std::vector<Edit> files;   // before any of the values
  std::vector<Edit> values;  // of the SYSTEM hive
  std::vector<std::string> warnings;
  FirstBoot chosen;
};

// The keys (relative to a control set) and files (relative to the system root) that facts are to
// hold for plan_firstboot.
std::vector<std::string> firstboot_keys();
std::vector<std::string> firstboot_files();
// What private_paths() of plan.h says.
std::vector<std::string> firstboot_private_paths();

// The facts have passed the checks of make_plan.
std::variant<FirstBootPlan, Refusal> plan_firstboot(const Facts& facts, const Settings& settings);

}  // namespace kvmnet

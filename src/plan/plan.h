// SPDX-License-Identifier: GPL-2.0-or-later
// The decision: facts and settings in, a plan or a refusal out. Pure: no I/O, no clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/plan_firstboot.h"
#include "src/plan/restore.h"
#include "src/plan/settings.h"
#include "src/support/refusal.h"

namespace kvmnet {

// Edits that are already satisfied are not in it: planning a patched guest gives no edits. That
// one property is idempotence, dry run and verification at once.
struct Plan {
  std::vector<Edit> edits;  // files first, then values of the SYSTEM hive; to be done in this order
  std::vector<std::string> warnings;
  std::optional<FirstBoot> firstboot;  // nothing: a bare hive
  // Of a revert: what a first boot has set, and the next one will put back.
  std::vector<RestoredSetting> restored;
};

// What part of a guest is planned for.
enum class Scope {
  guest,      // the hive, the first-boot script and its service
  bare_hive,  // registry values only: a service without its script would fail at every boot
};

// The keys (relative to a control set) and files (relative to the system root) that Facts are to
// hold for make_plan.
std::vector<std::string> asked_keys();
std::vector<std::string> asked_files();
// Files, and the directory of ours, that nobody else is to have access to: they decide what runs as
// SYSTEM.
std::vector<std::string> private_paths();

// A hive that is not clean; `name`: for the message.
std::optional<Refusal> check_condition(const HiveFacts& hive, std::string_view name);

// What boots next is not there.
Refusal no_control_set(const Facts& facts);

// What is said where a hive that Windows has not closed is edited: its logs come first, or are
// lost.
std::vector<std::string> log_warnings(const HiveFacts& hive);

// No installed Windows that has come to rest: Windows PE, or Setup in the middle of its work.
std::optional<Refusal> check_installed(const Facts& facts);

// A record of an earlier patch that cannot be trusted; `trust_open`: though others than SYSTEM and
// Administrators may have written it.
std::optional<Refusal> check_record(const Facts& facts, bool trust_open);

std::variant<Plan, Refusal> make_plan(const Facts& facts, const Settings& settings, Scope scope);

}  // namespace kvmnet

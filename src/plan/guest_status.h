// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest's files and registry say of patches: nothing is decided, nothing is changed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/plan/facts.h"
#include "src/plan/firstboot_result.h"
#include "src/plan/other_firstboot.h"

namespace kvmnet {

enum class PatchState {
  none,       // no trace of kvmnet
  patched,    // there is a record
  restoring,  // reverted, but for what the guest itself has to do at its next boot
  unknown,    // traces, but no record that could be read
};
std::string_view to_string(PatchState state);  // "none", "patched", "restoring", "unknown"

// A value that a patch has set.
struct ValueStatus {
  enum class State {
    as_patched,
    as_before,    // somebody has put it back
    changed,      // neither
    set_is_gone,  // its control set is not there any more
  };
  RecordedRegValue recorded;
  std::optional<hive::Value> present;
  State state = State::as_patched;
};
std::string_view to_string(ValueStatus::State state);  // "as patched", "as before", "changed", ...

enum class FirstBootState {
  none,     // there is no script, and no trace of one
  pending,  // the script waits for the next boot
  begun,    // a boot has begun it, and has not come to its end
  retry,    // a command has failed: it is run again at the next boot
  done,
  failed,   // three boots have not done it
  unknown,  // the script has gone and has left no result that could be read, or nothing starts it
};
std::string_view to_string(FirstBootState state);

struct GuestStatus {
  PatchState patch = PatchState::none;
  std::string damage;   // of an unknown patch: what is wrong with the record
  std::string version;  // of kvmnet
  std::string profile;
  std::vector<ValueStatus> values;
  FirstBootState firstboot = FirstBootState::none;
  std::optional<firstboot::Result> result;  // what the guest says
  std::vector<OtherFirstBoot> beside;
  std::vector<std::string> warnings;

  // Something is still to happen, or is not as the patch has left it.
  bool is_pending() const;
  // Two reasons for that: the first boot has not come to a good end, a value is not as it was left.
  bool waits() const;
  bool has_changed() const;
};

// The facts need not have passed any check.
GuestStatus status_of(const Facts& facts);

}  // namespace kvmnet

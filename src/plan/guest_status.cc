// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/guest_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "src/plan/firstboot.h"
#include "src/plan/firstboot_service.h"
#include "src/plan/plan.h"
#include "src/plan/plan_record.h"
#include "src/plan/setup_complete.h"
#include "src/plan/window_warnings.h"

namespace kvmnet {
namespace {

ValueStatus status_of(const RecordedRegValue& value, const Facts& facts) {
  ValueStatus status = {value, std::nullopt, ValueStatus::State::set_is_gone};
  if (is_in_lost_set(facts, value.key)) return status;
  status.present = present_value(facts, value.key, value.name);
  status.state = status.present == value.after    ? ValueStatus::State::as_patched
                 : status.present == value.before ? ValueStatus::State::as_before
                                                  : ValueStatus::State::changed;
  return status;
}

// Also of the control sets that Windows starts from and no patch was made in.
std::vector<RecordedRegValue> values_of(const Record& record, const Facts& facts) {
  const Record known = with_copies(record, facts);
  std::vector<RecordedRegValue> wanted = all_values(known);
  const std::vector<std::string> sources = recorded_sets(record);
  for (const ControlSet& set : facts.control_sets) {
    if (sources.empty() || knows_set(known, set.name)) continue;
    Record copy;
    add_copy(record, sources.front(), set.name, copy);
    for (RecordedRegValue& value : all_values(copy))
      if (std::none_of(wanted.begin(), wanted.end(), [&](const RecordedRegValue& there) {
            return there.is(value.key, value.name);
          }))
        wanted.push_back(std::move(value));
  }
  return wanted;
}

bool has_our_service(const Facts& facts) {
  return std::any_of(facts.control_sets.begin(), facts.control_sets.end(),
                     [](const ControlSet& set) { return has_key(set, firstboot_service_key); });
}

bool has_setup_call(const Facts& facts) {
  const auto file = facts.files.find(std::string(firstboot::setup_complete_path));
  return file != facts.files.end() &&
         firstboot::without_setup_call(file->second) != std::optional(file->second);
}

PatchState patch_state(const Facts& facts) {
  if (facts.record)
    return facts.record->state == Record::State::restoring ? PatchState::restoring
                                                           : PatchState::patched;
  const bool has_traces =
      !facts.our_files.empty() || has_our_service(facts) || has_setup_call(facts);
  return has_traces || !facts.record_damage.empty() ? PatchState::unknown : PatchState::none;
}

bool has_script(const Facts& facts) {
  return facts.our_files.contains(std::string(firstboot::script_path));
}

// Windows removes a service that is marked for deletion before it would start; and somebody may
// have disabled it, or have it start something else.
bool starts_script(const ControlSet& set) {
  if (!has_key(set, firstboot_service_key) || value_of(set, firstboot_service_key, "DeleteFlag"))
    return false;
  const std::vector<hive::NamedValue> wanted = firstboot::service_values(false);
  return std::all_of(wanted.begin(), wanted.end(), [&set](const hive::NamedValue& value) {
    return (value.name != "Start" && value.name != "ImagePath") ||
           value_of(set, firstboot_service_key, value.name) == value.value;
  });
}

bool starts_script(const Facts& facts) {
  return has_setup_call(facts) ||
         std::any_of(facts.control_sets.begin(), facts.control_sets.end(),
                     [](const ControlSet& set) { return starts_script(set); });
}

// A result that is there counts for the script that has gone; one that waits has removed it.
FirstBootState firstboot_state(const Facts& facts, const GuestStatus& status) {
  const bool waits = has_script(facts) && starts_script(facts);
  if (status.result) {
    if (status.result->status == firstboot::Status::done) return FirstBootState::done;
    if (status.result->status == firstboot::Status::failed) return FirstBootState::failed;
    return waits ? FirstBootState::retry : FirstBootState::unknown;
  }
  const std::vector<std::string> state = firstboot::state_paths();
  const bool begun = std::any_of(state.begin(), state.end(), [&](const std::string& path) {
    return facts.our_files.contains(path);
  });
  if (waits) return begun ? FirstBootState::begun : FirstBootState::pending;
  const bool was_added =
      facts.record && std::find(facts.record->files.begin(), facts.record->files.end(),
                                firstboot::script_path) != facts.record->files.end();
  return was_added || begun || has_script(facts) ? FirstBootState::unknown : FirstBootState::none;
}

void add_warning(GuestStatus& status, std::string text) {
  status.warnings.push_back(std::move(text));
}

void warn_about_windows(const ControlSet& set, GuestStatus& status) {
  const auto window = value_of(set, tcpip_parameters, "TcpWindowSize");
  for (std::string& text : window_warnings(set, window ? hive::as_dword(*window) : std::nullopt))
    add_warning(status, std::move(text));
}

// What only another revert can end.
void warn_about_revert(GuestStatus& status) {
  if (status.patch != PatchState::restoring) return;
  if (status.firstboot == FirstBootState::done)
    add_warning(status,
                "the guest has put its settings back: revert it again, to remove the last traces");
  if (status.firstboot == FirstBootState::failed)
    add_warning(
        status,
        "the guest could not put all settings back: revert it again to have it try again, or "
        "with --force to leave them as they are");
}

void add_warnings(const Facts& facts, GuestStatus& status) {
  if (facts.system.logs_given_up)
    add_warning(
        status,
        "the SYSTEM hive is dirty and its logs do not apply: what is shown of it may be old");
  if (facts.control_sets.empty()) add_warning(status, no_control_set(facts).message);
  if (is_record_open(facts)) add_warning(status, fmt::format("record.json: {}", open_record));
  warn_about_revert(status);
  if (facts.version && is_legacy(*facts.version))
    for (const ControlSet& set : facts.control_sets) warn_about_windows(set, status);
  for (const OtherFirstBoot& other : status.beside)
    add_warning(status, fmt::format("the guest has a first-boot service of {} (service {})",
                                    other.program, other.service));
  if (status.firstboot == FirstBootState::unknown && has_script(facts))
    add_warning(status,
                "nothing starts the guest's first-boot script any more: patch it again, or revert");
  if (facts.unreadable_files.contains(std::string(firstboot::result_path)))
    add_warning(status, "the result of the first boot is not one plain file of 1 MiB at most");
  const auto result = facts.files.find(std::string(firstboot::result_path));
  if (result != facts.files.end() && !status.result)
    add_warning(status, "the result of the first boot has not the form that kvmnet gives it");
}

template <typename State, std::size_t count>
std::string_view word(State state, const std::array<std::string_view, count>& words) {
  return words.at(static_cast<std::size_t>(state));
}

}  // namespace

std::string_view to_string(PatchState state) {
  return word(state, std::array<std::string_view, 4>{"none", "patched", "restoring", "unknown"});
}

std::string_view to_string(ValueStatus::State state) {
  return word(state, std::array<std::string_view, 4>{"as patched", "as before", "changed",
                                                     "control set is gone"});
}

std::string_view to_string(FirstBootState state) {
  return word(state, std::array<std::string_view, 7>{"none", "pending", "begun", "retry", "done",
                                                     "failed", "unknown"});
}

bool GuestStatus::waits() const {
  const bool came_to_its_end =
      firstboot == FirstBootState::none || firstboot == FirstBootState::done;
  return !came_to_its_end || patch == PatchState::restoring;
}

bool GuestStatus::has_changed() const {
  return std::any_of(values.begin(), values.end(), [](const ValueStatus& value) {
    return value.state != ValueStatus::State::as_patched;
  });
}

bool GuestStatus::is_pending() const {
  return waits() || has_changed() || patch == PatchState::unknown;
}

GuestStatus status_of(const Facts& facts) {
  GuestStatus status;
  status.patch = patch_state(facts);
  status.damage = facts.record_damage;
  if (facts.record) {
    status.version = facts.record->version;
    status.profile = facts.record->profile;
    for (const RecordedRegValue& value : values_of(*facts.record, facts))
      status.values.push_back(status_of(value, facts));
  }
  const auto result = facts.files.find(std::string(firstboot::result_path));
  if (result != facts.files.end()) status.result = firstboot::parse_result(result->second);
  status.firstboot = firstboot_state(facts, status);
  status.beside = other_firstboots(facts.control_sets);
  add_warnings(facts, status);
  return status;
}

}  // namespace kvmnet

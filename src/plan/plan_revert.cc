// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/plan_revert.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "src/plan/firstboot.h"
#include "src/plan/firstboot_result.h"
#include "src/plan/firstboot_service.h"
#include "src/plan/plan_record.h"
#include "src/plan/setup_complete.h"

namespace kvmnet {
namespace {

constexpr std::string_view as_before = "as it was before the first patch";

hive::KeyPath key_in(const ControlSet& set, std::string_view key) {
  return hive::KeyPath::parse(set.name) / key;
}

std::string shown(const std::optional<hive::Value>& value) {
  return value ? hive::describe(*value) : "(absent)";
}

std::string shown(const RecordedRegValue& value) {
  return hive::escaped(path_of_value(value.key.to_string(), value.name));
}

bool is_child_of(const hive::KeyPath& key, const hive::KeyPath& parent) {
  const auto& names = key.elements();
  return names.size() == parent.elements().size() + 1 &&
         std::equal(parent.elements().begin(), parent.elements().end(), names.begin(),
                    hive::same_name);
}

// All but the service, which is not only a patch's; each once, those below others first.
std::vector<hive::KeyPath> made_keys(const Record& record) {
  std::vector<hive::KeyPath> made = record.reg_keys;
  for (const RecordedKey& key : record.keys)
    if (key.key != firstboot_service_key) made.push_back(hive::KeyPath::parse(key.set) / key.key);
  std::vector<hive::KeyPath> keys;
  std::set<std::string> names;
  for (hive::KeyPath& key : made)
    if (names.insert(hive::folded(key.to_string())).second) keys.push_back(std::move(key));
  std::stable_sort(keys.begin(), keys.end(), [](const hive::KeyPath& a, const hive::KeyPath& b) {
    return a.elements().size() > b.elements().size();
  });
  return keys;
}

class Planner {
 public:
  Planner(const Facts& facts, const RevertOptions& options, const Record& record)
      : facts_(facts),
        options_(options),
        record_(with_copies(record, facts)),
        sets_(all_sets(facts)) {}

  std::variant<Plan, Refusal> run() {
    plan_values();
    if (!drift_.empty() && !options_.force) return changed_since();
    if (auto refusal = plan_firstboot()) return *refusal;
    plan_keys();
    if (!values_.empty())
      for (std::string& text : log_warnings(facts_.system)) warn(std::move(text));
    std::move(values_.begin(), values_.end(), std::back_inserter(plan_.edits));
    return plan_;
  }

 private:
  void plan_values() {
    for (const RecordedRegValue& value : all_values(record_)) {
      if (value.before == value.after)
        note_left_alone(value);
      else if (is_in_lost_set(facts_, value.key))
        warn(fmt::format("{} is not there any more, and needs nothing",
                         value.key.elements().front()));
      else
        plan_value(value);
    }
    for (const ControlSet* set : sets_)
      if (!knows_set(record_, set->name)) warn_about_unknown(*set);
  }

  // The patches have left it as it was: whatever has become of it is not theirs.
  void note_left_alone(const RecordedRegValue& value) {
    const auto present = present_value(facts_, value.key, value.name);
    if (present == value.before || is_in_lost_set(facts_, value.key)) return;
    warn(fmt::format("{} is {}, was {} before the patch and after it: it stays as it is",
                     shown(value), shown(present), shown(value.before)));
  }

  // It may be a copy of one that a patch was made in, and changed since; or its own.
  void warn_about_unknown(const ControlSet& set) {
    for (const RecordedRegValue& value : all_values(record_)) {
      if (!value.after || value.before == value.after ||
          !is_control_set_name(value.key.elements().front()))
        continue;
      const RecordedRegValue here = {moved(value.key, set.name), value.name, {}, {}};
      if (present_value(facts_, here.key, here.name) == value.after && !is_recorded(here))
        warn(fmt::format("{} stays as it is, {}: no patch was made in this control set",
                         shown(here), hive::describe(*value.after)));
    }
  }

  bool is_recorded(const RecordedRegValue& value) const {
    return std::any_of(
        record_.reg_values.begin(), record_.reg_values.end(),
        [&](const RecordedRegValue& recorded) { return recorded.is(value.key, value.name); });
  }

  void plan_value(const RecordedRegValue& value) {
    const auto present = present_value(facts_, value.key, value.name);
    if (present == value.before) return;
    if (value.before && !state_of(facts_, value.key).is_there) return note_lost_key(value);
    if (present != value.after)
      drift_.push_back(fmt::format("{} is {}, was {}", shown(value), shown(present),
                                   value.after ? "set to " + shown(value.after) : "removed"));
    if (value.before)
      values_.push_back(
          SetValue{value.key, value.name, present, *value.before, std::string(as_before)});
    else
      values_.push_back(DeleteValue{value.key, value.name, *present, "was not there before"});
  }

  // Half a key would be worse than none.
  void note_lost_key(const RecordedRegValue& value) {
    drift_.push_back(fmt::format("{} has gone with its key, was {}", shown(value),
                                 value.after ? "set to " + shown(value.after) : "removed"));
    warn(fmt::format("{} is not put back: its key is not there any more", shown(value)));
  }

  Refusal changed_since() const {
    constexpr std::size_t most = 20;
    const auto shown_end =
        drift_.begin() + static_cast<std::ptrdiff_t>(std::min(most, drift_.size()));
    const std::string more =
        drift_.size() > most ? fmt::format("; and {} more", drift_.size() - most) : "";
    return {Reason::changed_since_patch,
            fmt::format("somebody has changed since the patch: {}{}",
                        fmt::join(drift_.begin(), shown_end, "; "), more),
            drift_};
  }

  // Keys that a patch has made go again, unless somebody has put something into them.
  void plan_keys() {
    std::vector<hive::KeyPath> going;
    for (const hive::KeyPath& key : made_keys(record_)) {
      const KeyState state = state_of(facts_, key);
      if (!state.is_there) continue;
      const auto below = std::count_if(going.begin(), going.end(),
                                       [&](const hive::KeyPath& k) { return is_child_of(k, key); });
      if (state.values == count_going_from(key) && state.subkeys == static_cast<std::size_t>(below))
        going.push_back(key);
      else
        warn(fmt::format("{} stays: there is something in it that kvmnet has not put there",
                         hive::escaped(key.to_string())));
    }
    for (const hive::KeyPath& key : going) remove_key(key, going);
  }

  // Its values go with it, and so does it with the key above.
  void remove_key(const hive::KeyPath& key, const std::vector<hive::KeyPath>& going) {
    std::erase_if(values_, [&](const Edit& edit) {
      const auto* deleted = std::get_if<DeleteValue>(&edit);
      return deleted != nullptr && deleted->key == key;
    });
    if (std::none_of(going.begin(), going.end(),
                     [&](const hive::KeyPath& above) { return is_child_of(key, above); }))
      values_.push_back(DeleteKey{key, "made by a patch"});
  }

  std::size_t count_going_from(const hive::KeyPath& key) const {
    return static_cast<std::size_t>(
        std::count_if(values_.begin(), values_.end(), [&](const Edit& edit) {
          const auto* deleted = std::get_if<DeleteValue>(&edit);
          return deleted != nullptr && deleted->key == key;
        }));
  }

  bool has(std::string_view path) const { return facts_.our_files.contains(std::string(path)); }

  std::optional<std::string> content_of(std::string_view path) const {
    const auto found = facts_.files.find(std::string(path));
    return found != facts_.files.end() ? std::optional(found->second) : std::nullopt;
  }

  bool was_added(std::string_view path) const {
    return std::find(record_.files.begin(), record_.files.end(), path) != record_.files.end();
  }

  // The commands may have been run: the script has left something behind, or has gone.
  bool has_run() const {
    if (record_.state == Record::State::restoring) return true;
    if (!was_added(firstboot::script_path)) return false;
    return has_begun(facts_);
  }

  std::optional<firstboot::Result> result() const {
    const auto content = content_of(firstboot::result_path);
    return content ? firstboot::parse_result(*content) : std::nullopt;
  }

  // The guest has run the restoring script to its end, whatever came of it.
  bool has_ended(const std::vector<NetshStep>& steps, firstboot::Status status) const {
    const auto found = result();
    return found && found->id == firstboot::script_id(steps) && found->status == status;
  }

  std::optional<Refusal> plan_firstboot() {
    if (facts_.unreadable_files.contains(std::string(firstboot::setup_complete_path)) &&
        was_added(firstboot::setup_complete_path)) {
      const std::string_view why =
          "%SystemRoot%\\Setup\\Scripts\\SetupComplete.cmd is not one plain file of 1 MiB at most "
          "any more: what the patch has added cannot be taken out";
      if (!options_.force) return Refusal{Reason::changed_since_patch, std::string(why)};
      warn(std::string(why));
    }
    plan_setup_complete();
    const Restoration restoration =
        plan_restoration(record_.commands, content_of(firstboot::before_path).value_or(""));
    const auto& steps = restoration.steps;
    const bool restored =
        !has_firstboot_service(facts_) && has_ended(steps, firstboot::Status::done);
    if (steps.empty() || !has_run() || restored || !options_.firstboot || gives_up(steps)) {
      if (!steps.empty() && has_run() && !restored) warn_about_settings(restoration);
      if (restored) warn_about_failures(*result());
      remove_all();
      return std::nullopt;
    }
    return restore(restoration);
  }

  bool gives_up(const std::vector<NetshStep>& steps) const {
    return options_.force && has_ended(steps, firstboot::Status::failed);
  }

  void warn_about_settings(const Restoration& restoration) {
    for (const RestoredSetting& setting : restoration.settings)
      warn(fmt::format("the guest keeps what its first boot has set: {}", setting.name));
  }

  // The script does not wait for it, nor try it again: a Windows that refuses such a command has as
  // a rule refused the one that it undoes.
  void warn_about_failures(const firstboot::Result& result) {
    for (const firstboot::CommandResult& command : result.commands)
      if (command.exit_code != 0)
        warn(fmt::format("the guest's netsh has refused to put this back (exit code {}): {}",
                         command.exit_code, command.text));
  }

  std::optional<Refusal> restore(const Restoration& restoration) {
    for (const ControlSet& set : facts_.control_sets)
      if (value_of(set, firstboot_service_key, "DeleteFlag"))
        return Refusal{Reason::service_marked_for_deletion,
                       fmt::format("{}\\{} is marked for deletion: Windows would remove it before "
                                   "it runs",
                                   set.name, firstboot_service_key)};
    plan_.restored = restoration.settings;
    plan_.firstboot = {
        Mechanism::service, "puts back what an earlier first boot has set", {}, restoration.steps};
    plan_script(restoration.steps);
    for (const ControlSet& set : facts_.control_sets) plan_service(set);
    for (const ControlSet& set : facts_.other_sets) remove_service(set);
    plan_record();
    return std::nullopt;
  }

  void plan_script(const std::vector<NetshStep>& steps) {
    std::string content = firstboot::script({steps, {"global"}, {}}, {}, firstboot::Dump::none);
    const auto old = content_of(firstboot::script_path);
    // A script that has given up and is still there would only remove itself.
    const bool gave_up = has(firstboot::done_path) && !has_ended(steps, firstboot::Status::done);
    if (old == content && !gave_up) return;
    for (const std::string& path : firstboot::state_paths())
      if (has(path)) remove(path, "left by an earlier first-boot script");
    for (std::size_t number = 1; number <= most_user_work; ++number)
      if (has(firstboot::work_path(number)))
        remove(firstboot::work_path(number), "work of a patch");
    if (old != content)
      plan_.edits.emplace_back(WriteFile{std::string(firstboot::script_path), old,
                                         std::move(content),
                                         "netsh commands that put the settings back", true});
  }

  void plan_service(const ControlSet& set) {
    for (hive::NamedValue& v :
         firstboot::service_values(has_key(set, firstboot::nsi_service_key))) {
      auto old = value_of(set, firstboot_service_key, v.name);
      if (old != v.value)
        values_.emplace_back(SetValue{key_in(set, firstboot_service_key), v.name, std::move(old),
                                      std::move(v.value), "service that runs the script"});
    }
  }

  // What is left to be taken back when the script has run, or stays.
  void plan_record() {
    Record left;
    left.state = Record::State::restoring;
    left.version = record_.version;
    left.profile = record_.profile;
    left.commands = record_.commands;
    left.files = {std::string(firstboot::script_path)};
    for (const std::string& path : record_.directories)
      if (!is_going(path)) left.directories.push_back(path);
    left.begun = true;
    if (auto edit = write_record(facts_, left, "what the guest itself has still to put back"))
      plan_.edits.emplace_back(std::move(*edit));
  }

  void plan_setup_complete() {
    if (const auto old = content_of(firstboot::setup_complete_path)) {
      auto content = firstboot::without_setup_call(*old);
      if (!content)
        remove(std::string(firstboot::setup_complete_path), "made by a patch");
      else if (old != content)
        plan_.edits.emplace_back(WriteFile{std::string(firstboot::setup_complete_path), old,
                                           std::move(*content), "without the part of the patch"});
    }
    const std::vector<std::string> paths = known_directories();
    for (auto path = paths.rbegin(); path != paths.rend(); ++path)
      if (*path != firstboot::directory) remove_directory(*path);
  }

  bool is_going(const std::string& path) const {
    return std::any_of(plan_.edits.begin(), plan_.edits.end(), [&](const Edit& edit) {
      const auto* gone = std::get_if<RemoveDirectory>(&edit);
      return gone != nullptr && gone->path == path;
    });
  }

  // How many of the things in a directory go.
  std::size_t count_going_from(const std::string& directory) const {
    const auto is_in = [&](std::string_view path) {
      return path.substr(0, std::min(path.rfind('/'), path.size())) == directory;
    };
    return static_cast<std::size_t>(
        std::count_if(plan_.edits.begin(), plan_.edits.end(), [&](const Edit& edit) {
          const auto* file = std::get_if<RemoveFile>(&edit);
          const auto* subdirectory = std::get_if<RemoveDirectory>(&edit);
          return (file != nullptr && is_in(file->path)) ||
                 (subdirectory != nullptr && is_in(subdirectory->path));
        }));
  }

  // If a patch has made it, and nothing else is in it.
  void remove_directory(const std::string& path) {
    const auto there = facts_.directories.find(path);
    const auto& made = record_.directories;
    if (there == facts_.directories.end() ||
        std::find(made.begin(), made.end(), path) == made.end())
      return;
    if (there->second == count_going_from(path)) {
      plan_.edits.emplace_back(RemoveDirectory{path, "made by a patch"});
      return;
    }
    std::string name = path;
    std::replace(name.begin(), name.end(), '/', '\\');
    warn(
        fmt::format("%SystemRoot%\\{} stays: there is something in it that is not kvmnet's", name));
  }

  void remove_all() {
    for (const std::string& path : facts_.our_files) remove(path, "made by a patch");
    remove_directory(std::string(firstboot::directory));
    for (const ControlSet* set : sets_) remove_service(*set);
    if (has(firstboot::begun_path))
      warn("what the user's own first-boot work has done in the guest stays as it is");
  }

  void remove_service(const ControlSet& set) {
    if (has_key(set, firstboot_service_key))
      values_.emplace_back(DeleteKey{key_in(set, firstboot_service_key), "made by a patch"});
  }

  void remove(std::string path, std::string why) {
    plan_.edits.emplace_back(RemoveFile{std::move(path), std::move(why)});
  }

  void warn(std::string text) {
    if (std::find(plan_.warnings.begin(), plan_.warnings.end(), text) == plan_.warnings.end())
      plan_.warnings.push_back(std::move(text));
  }

  const Facts& facts_;
  const RevertOptions& options_;
  const Record record_;
  std::vector<const ControlSet*> sets_;
  std::vector<std::string> drift_;
  std::vector<Edit> values_;
  Plan plan_;
};

// Something of ours is there, but not what was before it.
bool has_patch_without_record(const Facts& facts) {
  const auto setup = facts.files.find(std::string(firstboot::setup_complete_path));
  return !facts.our_files.empty() || has_firstboot_service(facts) ||
         (setup != facts.files.end() &&
          firstboot::without_setup_call(setup->second) != std::optional(setup->second));
}

}  // namespace

std::variant<Plan, Refusal> make_revert(const Facts& facts, const RevertOptions& options) {
  if (auto refusal = check_condition(facts.system, "SYSTEM")) return *refusal;
  if (auto refusal = check_installed(facts)) return *refusal;
  if (auto refusal = check_record(facts, options.force)) return *refusal;
  // What is there cannot be told from what is gone.
  if (facts.control_sets.empty()) return no_control_set(facts);
  if (facts.record) return Planner(facts, options, *facts.record).run();
  if (has_patch_without_record(facts))
    return Refusal{Reason::record_missing,
                   "the guest was patched by a kvmnet that left no record, or the record was "
                   "removed: what was there before is not known"};
  return Plan();
}

}  // namespace kvmnet

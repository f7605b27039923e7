// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/plan_firstboot.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "src/plan/firstboot.h"
#include "src/plan/firstboot_result.h"
#include "src/plan/firstboot_service.h"
#include "src/plan/netsh.h"
#include "src/plan/setup_complete.h"

namespace kvmnet {
namespace {

constexpr std::string_view open_to_others =
    "others than SYSTEM and Administrators have access to what runs as SYSTEM";

// The first-boot service's command line holds the system root without quotes.
bool is_plain_path(std::string_view path) {
  return path.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "._-/") == std::string_view::npos;
}

// A key that Windows only has to finish deleting (sc.exe has marked it).
bool is_marked_for_deletion(const ControlSet& set) {
  return value_of(set, firstboot_service_key, "DeleteFlag").has_value();
}

class Planner {
 public:
  Planner(const Facts& facts, const Settings& settings) : facts_(facts), settings_(settings) {}

  std::variant<FirstBootPlan, Refusal> run() {
    plan_.chosen.beside = other_firstboots(facts_.control_sets);
    if (is_legacy(*facts_.version)) return of_legacy();
    if (auto refusal = check_notes()) return *refusal;
    if (settings_.firstboot == FirstBootChoice::none) return by_choice_none();
    auto netsh = plan_netsh(*facts_.version, *facts_.product_type, settings_);
    if (auto* refusal = std::get_if<Refusal>(&netsh)) return *refusal;
    auto& wanted = std::get<NetshPlan>(netsh);
    plan_.warnings = std::move(wanted.warnings);
    find_begun();
    // Without commands a script that is still waiting is replaced by one that only removes itself.
    if (wanted.steps.empty() && settings_.work.empty() && !is_waiting())
      return without_script("no setting needs one");
    warn_about_begun();
    if (is_done(wanted.steps)) return without_script("the guest has run it already");
    if (auto refusal = check()) return *refusal;
    choose();
    plan_work();
    plan_script(wanted);
    plan_service();
    plan_setup_complete();
    warn_about_others();
    plan_.chosen.steps = std::move(wanted.steps);
    return plan_;
  }

 private:
  FirstBootPlan without_script(std::string why) {
    plan_.chosen.mechanism = Mechanism::none;
    plan_.chosen.why = std::move(why);
    return plan_;
  }

  std::variant<FirstBootPlan, Refusal> of_legacy() {
    const std::string_view needs =
        !settings_.work.empty() ? "--firstboot-command and --firstboot-script need"
        : settings_.firstboot == FirstBootChoice::service ? "--firstboot service needs"
                                                          : "";
    if (!needs.empty())
      return Refusal{Reason::option_unsupported,
                     fmt::format("Windows NT {} gets no first-boot script, which {}",
                                 to_string(*facts_.version), needs)};
    return without_script("this Windows has all its settings in the registry");
  }

  std::optional<Refusal> check_notes() const {
    if (settings_.work.empty() || !is_unreadable(firstboot::begun_path)) return std::nullopt;
    return Refusal{Reason::option_unsupported,
                   "%SystemRoot%\\kvmnet\\firstboot.ran is no plain file of 1 MiB at most: what "
                   "the guest has begun of --firstboot-command and --firstboot-script cannot be "
                   "told, nor be noted"};
  }

  // A generalised image in which no script waits: what a script has noted there is about the
  // template. Each clone is a guest of its own. GeneralizationState alone may be stale: it says so
  // for good in guests that were not installed to the letter.
  bool is_new_clone() const {
    return facts_.setup_unfinished && !facts_.is_complete && !is_waiting();
  }

  // Which pieces of the user's work the guest has begun, at whatever boot: those that the script,
  // too, finds noted.
  void find_begun() {
    const std::string noted = is_new_clone() ? "" : content_of(firstboot::begun_path).value_or("");
    for (const std::string& id : work_ids(settings_.work))
      begun_.push_back(noted.find(id) != std::string::npos);
  }

  void warn_about_begun() {
    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < begun_.size(); ++i)
      if (begun_[i]) names.push_back(settings_.work[i].name);
    if (!names.empty())
      warn(
          fmt::format("the guest has begun this first-boot work already, and does not begin it "
                      "again (to have it run once more, change its text, if only a comment): {}",
                      fmt::join(names, ", ")));
  }

  FirstBootPlan by_choice_none() {
    const std::array<const Setting*, 4> settings = {&settings_.autotuning,
                                                    &settings_.congestion_provider,
                                                    &settings_.heuristics, &settings_.forcews};
    if (std::any_of(settings.begin(), settings.end(),
                    [](const Setting* s) { return s->origin == Origin::profile_named; }))
      warn(fmt::format("--firstboot none: of profile {} only the registry part is set",
                       settings_.profile));
    if (is_waiting())
      warn("--firstboot none: the first-boot script of an earlier patch still waits in the guest");
    if (has_file(firstboot::script_path) && is_open(firstboot::script_path))
      warn(fmt::format("--firstboot none: of that script, {}", open_to_others));
    return without_script("--firstboot none");
  }

  std::optional<Refusal> check() const {
    if (!is_plain_path(facts_.system_root))
      return Refusal{Reason::unsupported_system_root,
                     fmt::format("the system root '{}' cannot stand in a service's command line",
                                 hive::escaped(facts_.system_root))};
    for (const ControlSet& set : facts_.control_sets)
      if (is_marked_for_deletion(set))
        return Refusal{
            Reason::service_marked_for_deletion,
            fmt::format("{}\\{} is marked for deletion: Windows would remove it before it "
                        "runs",
                        set.name, firstboot_service_key)};
    return std::nullopt;
  }

  void choose() {
    FirstBoot& chosen = plan_.chosen;
    chosen.mechanism = Mechanism::service;
    if (settings_.firstboot == FirstBootChoice::service) {
      chosen.why = "--firstboot service";
    } else if (!facts_.setup_unfinished) {
      chosen.why = "this Windows is installed";
    } else if (is_unreadable(firstboot::setup_complete_path) ||
               firstboot::with_setup_call(content_of(firstboot::setup_complete_path)).size() >
                   firstboot::largest_setup_complete) {
      chosen.why =
          "Windows Setup has still to run, but its SetupComplete.cmd is not one plain file of "
          "1 MiB at most, with what kvmnet would add";
    } else {
      // Also the service: Setup does not run the file where Windows has an OEM's key.
      chosen.mechanism = Mechanism::service_and_setup_complete;
      chosen.why = "Windows Setup has still to run in this guest";
    }
  }

  bool is_unreadable(std::string_view path) const {
    return facts_.unreadable_files.contains(std::string(path));
  }

  // Whoever may change it, or what is beside it, could become SYSTEM.
  bool is_open(std::string_view path) const {
    return facts_.open_paths.contains(std::string(path)) ||
           facts_.open_paths.contains(std::string(firstboot::directory));
  }

  bool has_file(std::string_view path) const {
    return facts_.files.contains(std::string(path)) || is_unreadable(path);
  }

  std::optional<std::string> content_of(std::string_view path) const {
    const auto found = facts_.files.find(std::string(path));
    return found != facts_.files.end() ? std::optional(found->second) : std::nullopt;
  }

  bool has_service() const {
    return std::any_of(facts_.control_sets.begin(), facts_.control_sets.end(),
                       [](const ControlSet& set) {
                         return has_key(set, firstboot_service_key) && !is_marked_for_deletion(set);
                       });
  }

  bool is_waiting() const { return has_file(firstboot::script_path) || has_service(); }

  // The guest has run a script with the same commands to its end.
  bool succeeded(const std::vector<NetshStep>& steps) const {
    if (is_new_clone()) return false;
    const auto content = content_of(firstboot::result_path);
    const auto result = content ? firstboot::parse_result(*content) : std::nullopt;
    return result && result->status == firstboot::Status::done &&
           result->id == firstboot::script_id(steps);
  }

  // ... and has removed its service, too, and begun all that the user wants.
  bool is_done(const std::vector<NetshStep>& steps) const {
    return !has_service() && succeeded(steps) &&
           std::find(begun_.begin(), begun_.end(), false) == begun_.end();
  }

  // Work that is begun has its number and its line in the script, too, so that this stays the same
  // while it is at work.
  void plan_work() {
    for (std::size_t number = 1; number <= most_user_work; ++number) {
      const std::string path = firstboot::work_path(number);
      const auto old = content_of(path);
      const bool wanted = number <= settings_.work.size();
      const UserWork none;
      const UserWork& work = wanted ? settings_.work[number - 1] : none;
      const bool begun = wanted && begun_[number - 1];
      if (wanted && old == work.content && (begun || !is_open(path))) continue;
      if (wanted && !begun)
        write(path, work.content,
              old == work.content
                  ? std::string(open_to_others)
                  : fmt::format("the user's work for the first boot: {}", work.name));
      else if (has_file(path))
        plan_.files.emplace_back(RemoveFile{path, "work of an earlier patch"});
    }
  }

  void plan_script(const NetshPlan& netsh) {
    std::string content = firstboot::script(netsh, settings_.work);
    const auto old = content_of(firstboot::script_path);
    // A script that gave up and is still there would only remove itself at the next boot.
    const bool gave_up = has_file(firstboot::done_path) && !succeeded(netsh.steps);
    if (old == content && !gave_up) {
      if (is_open(firstboot::script_path))
        write(firstboot::script_path, std::move(content), std::string(open_to_others));
      return;
    }
    for (const std::string& stale : firstboot::state_paths())
      if (has_file(stale))
        plan_.files.emplace_back(RemoveFile{stale, "left by an earlier first-boot script"});
    if (is_new_clone() && has_file(firstboot::begun_path))
      plan_.files.emplace_back(RemoveFile{std::string(firstboot::begun_path),
                                          "what the template has begun: its clones begin it anew"});
    if (old != content)
      write(firstboot::script_path, std::move(content), "netsh commands for the first boot");
  }

  void plan_service() {
    for (const ControlSet& set : facts_.control_sets)
      for (hive::NamedValue& v :
           firstboot::service_values(has_key(set, firstboot::nsi_service_key))) {
        auto old = value_of(set, firstboot_service_key, v.name);
        if (old != v.value)
          plan_.values.emplace_back(SetValue{hive::KeyPath::parse(set.name) / firstboot_service_key,
                                             v.name, std::move(old), std::move(v.value),
                                             "service that runs the first-boot script"});
      }
  }

  // Where it is not wanted, an earlier patch's part in it does no harm; but the user may say so.
  void plan_setup_complete() {
    const auto old = content_of(firstboot::setup_complete_path);
    if (plan_.chosen.mechanism == Mechanism::service_and_setup_complete) {
      std::string content = firstboot::with_setup_call(old);
      if (old != content)
        write(firstboot::setup_complete_path, std::move(content),
              "Windows Setup runs the first-boot script when it ends");
    } else if (old && settings_.firstboot == FirstBootChoice::service) {
      auto content = firstboot::without_setup_call(*old);
      if (!content)
        plan_.files.emplace_back(
            RemoveFile{std::string(firstboot::setup_complete_path), "made by an earlier patch"});
      else if (old != content)
        write(firstboot::setup_complete_path, std::move(*content),
              "only the service runs the first-boot script");
    }
  }

  void write(std::string_view path, std::string content, std::string why) {
    auto old = content_of(path);
    const bool make_private = !old || path.starts_with(std::string(firstboot::directory) + "/");
    plan_.files.emplace_back(WriteFile{std::string(path), std::move(old), std::move(content),
                                       std::move(why), make_private});
  }

  void warn_about_others() {
    for (const OtherFirstBoot& other : plan_.chosen.beside)
      warn(
          fmt::format("the guest has a first-boot service of {} (service {}); kvmnet's runs beside "
                      "it and is tried again, three boots at most, if that one restarts the guest",
                      other.program, other.service));
  }

  void warn(std::string text) { plan_.warnings.push_back(std::move(text)); }

  const Facts& facts_;
  const Settings& settings_;
  std::vector<bool> begun_;  // of settings_.work
  FirstBootPlan plan_;
};

}  // namespace

std::string_view to_string(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::none:
      return "none";
    case Mechanism::service:
      return "service";
    case Mechanism::service_and_setup_complete:
      return "service+setupcomplete";
  }
  return "none";
}

std::vector<std::string> firstboot_keys() {
  std::vector<std::string> keys = other_firstboot_keys();
  for (const std::string_view key : {firstboot::nsi_service_key, firstboot_service_key})
    keys.emplace_back(key);
  return keys;
}

std::vector<std::string> firstboot_files() {
  std::vector<std::string> paths = firstboot::state_paths();
  for (const std::string_view path :
       {firstboot::script_path, firstboot::begun_path, firstboot::setup_complete_path})
    paths.emplace_back(path);
  for (std::size_t number = 1; number <= most_user_work; ++number)
    paths.push_back(firstboot::work_path(number));
  return paths;
}

std::vector<std::string> firstboot_private_paths() {
  std::vector<std::string> paths = {std::string(firstboot::directory),
                                    std::string(firstboot::script_path)};
  for (std::size_t number = 1; number <= most_user_work; ++number)
    paths.push_back(firstboot::work_path(number));
  return paths;
}

std::variant<FirstBootPlan, Refusal> plan_firstboot(const Facts& facts, const Settings& settings) {
  return Planner(facts, settings).run();
}

}  // namespace kvmnet

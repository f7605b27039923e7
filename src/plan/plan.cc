// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "src/plan/firstboot.h"
#include "src/plan/firstboot_service.h"
#include "src/plan/plan_record.h"
#include "src/plan/plan_reg.h"
#include "src/plan/window_warnings.h"

namespace kvmnet {
namespace {

constexpr std::string_view afd_service = "Services\\AFD";
constexpr std::string_view afd_parameters = "Services\\AFD\\Parameters";
constexpr std::string_view tcpip_service = "Services\\Tcpip";

// Refusals that need nothing but the facts, in the order in which they matter.
std::optional<Refusal> check_identity(const Facts& facts, Scope scope) {
  if (auto refusal = check_installed(facts)) return refusal;
  if (!facts.version)
    return Refusal{Reason::unknown_version, "the guest does not say which Windows version it is"};
  const bool build_matters = scope == Scope::guest;
  const WindowsVersion checked = {facts.version->major, facts.version->minor,
                                  build_matters ? facts.version->build : 1};
  if (!is_supported(checked))
    return Refusal{Reason::unsupported_version,
                   fmt::format("Windows NT {} is not one that kvmnet has facts about",
                               to_string(*facts.version))};
  if (facts.control_sets.empty()) return no_control_set(facts);
  if (!facts.architecture)
    return Refusal{Reason::unknown_architecture, "the guest does not say its architecture"};
  if (!facts.product_type)
    return Refusal{Reason::unknown_product_type, "the guest does not say if it is a server"};
  return std::nullopt;
}

std::optional<Refusal> check_services(const Facts& facts) {
  for (const ControlSet& set : facts.control_sets) {
    const std::string_view missing = !has_key(set, tcpip_service) ? tcpip_service
                                     : !has_key(set, afd_service) ? afd_service
                                                                  : std::string_view();
    if (!missing.empty())
      return Refusal{Reason::no_service_key,
                     fmt::format("{}\\{} is missing from the SYSTEM hive", set.name, missing)};
  }
  return std::nullopt;
}

class Planner {
 public:
  Planner(const Facts& facts, const Settings& settings, Scope scope)
      : facts_(facts),
        settings_(settings),
        scope_(scope),
        legacy_(is_legacy(*facts.version)),
        reg_(resolved(settings.reg.sections(), facts.control_sets)) {}

  std::variant<Plan, Refusal> run() {
    if (auto refusal = check_options()) return *refusal;
    plan_registry();
    if (auto refusal = add_reg()) return *refusal;
    if (scope_ == Scope::guest)
      if (auto refusal = add_firstboot()) return *refusal;
    warn_about_control_sets();
    warn_about_logs();
    if (scope_ == Scope::guest)
      if (auto refusal = add_record()) return *refusal;
    std::move(values_.begin(), values_.end(), std::back_inserter(plan_.edits));
    return plan_;
  }

 private:
  // What the user asked for by option must have an effect on this guest.
  std::optional<Refusal> check_options() const {
    if (legacy_)
      if (auto refusal = refuse_options("it has no setting for", true)) return refusal;
    for (const RegistrySetting& setting : settings_.registry)
      if (setting.origin == Origin::option && setting.known->legacy != legacy_)
        return unsupported(fmt::format("{} is not read by it", setting.known->name));
    for (const ControlSet& set : facts_.control_sets)
      for (const RegistrySetting& setting : settings_.registry)
        if (setting.origin == Origin::option)
          if (auto refusal = check_contradiction(set, setting)) return refusal;
    if (scope_ == Scope::bare_hive) return refuse_options("a bare hive has no place for", legacy_);
    return std::nullopt;
  }

  std::optional<Refusal> refuse_options(std::string_view why, bool heuristics) const {
    const std::array<std::pair<const Setting*, std::string_view>, 4> options = {
        {{&settings_.autotuning, "--autotuning"},
         {&settings_.congestion_provider, "--congestion-provider"},
         {&settings_.forcews, "--forcews"},
         {&settings_.heuristics, "--heuristics"}}};
    for (const auto& [setting, option] : options) {
      if (setting == &settings_.heuristics && !heuristics) continue;
      if (setting->origin == Origin::option && setting->value != "keep")
        return unsupported(fmt::format("{} {}", why, option));
    }
    return std::nullopt;
  }

  // What .reg files say of a value that kvmnet knows.
  const hive::RegValue* from_reg(const ControlSet& set, const KnownValue& known) const {
    return wanted_value(reg_, key_in(set, known.key), known.name);
  }

  std::optional<Refusal> check_contradiction(const ControlSet& set,
                                             const RegistrySetting& setting) const {
    const hive::RegValue* wanted = from_reg(set, *setting.known);
    if (wanted == nullptr || wanted->value == hive::dword(setting.data)) return std::nullopt;
    return Refusal{Reason::option_unsupported,
                   fmt::format("{} says something else of {} than --set or another option",
                               settings_.reg.place(wanted->line), setting.known->name)};
  }

  Refusal unsupported(const std::string& what) const {
    return {Reason::option_unsupported,
            fmt::format("Windows NT {}: {}", to_string(*facts_.version), what)};
  }

  void plan_registry() {
    for (const ControlSet& set : facts_.control_sets) {
      for (const RegistrySetting& setting : settings_.registry)
        if (setting.known->legacy == legacy_) plan_setting(set, setting);
      warn_about_reg(set);
      if (legacy_) warn_about_windows(set);
      if (settings_.heuristics.value == "default" && value_of(set, tcpip_parameters, "EnableWsd"))
        warn(fmt::format("{}: EnableWsd stays in the registry as it is", set.name));
    }
  }

  // What .reg files say wins over a profile.
  void plan_setting(const ControlSet& set, const RegistrySetting& setting) {
    const KnownValue& known = *setting.known;
    const hive::RegValue* wanted = from_reg(set, known);
    if (wanted == nullptr)
      return set_value(set, known.key, known.name, hive::dword(setting.data),
                       std::string(known.meaning));
    if (wanted->value != hive::dword(setting.data))
      warn(fmt::format("{}: {} is as {} has it, not {} as profile {} has it", set.name, known.name,
                       settings_.reg.place(wanted->line), hive::describe(hive::dword(setting.data)),
                       settings_.profile));
  }

  // As where the settings of XP, as the wiki page has them, are given to a later Windows.
  void warn_about_reg(const ControlSet& set) {
    for (const KnownValue& known : known_values()) {
      const hive::RegValue* wanted = from_reg(set, known);
      if (wanted == nullptr || !wanted->value) continue;
      const std::string place = settings_.reg.place(wanted->line);
      if (known.legacy != legacy_)
        warn(fmt::format("{}: Windows NT {} does not read {}", place, to_string(*facts_.version),
                         known.name));
      else if (const auto why = objection(known, *wanted->value))
        warn(fmt::format("{}: {}", place, *why));
    }
  }

  // The service manager starts nothing that depends on a disabled service.
  void warn_about_nsi() {
    constexpr std::uint32_t disabled = 4;  // SERVICE_DISABLED of winnt.h
    for (const ControlSet& set : facts_.control_sets) {
      const hive::RegValue* start =
          wanted_value(reg_, key_in(set, firstboot::nsi_service_key), "Start");
      if (start != nullptr && start->value == hive::dword(disabled))
        warn(fmt::format("{}: with the service nsi disabled the first-boot service will not start",
                         settings_.reg.place(start->line)));
    }
  }

  std::optional<Refusal> add_reg() {
    auto planned = plan_reg(facts_, settings_.reg);
    if (auto* refusal = std::get_if<Refusal>(&planned)) return *refusal;
    auto& edits = std::get<std::vector<Edit>>(planned);
    std::move(edits.begin(), edits.end(), std::back_inserter(values_));
    return std::nullopt;
  }

  static hive::KeyPath key_in(const ControlSet& set, std::string_view key) {
    return hive::KeyPath::parse(set.name) / key;
  }

  void set_value(const ControlSet& set, std::string_view key, std::string_view name,
                 hive::Value value, std::string why) {
    const auto old = value_of(set, key, name);
    if (old == value) return;
    values_.push_back(
        SetValue{key_in(set, key), std::string(name), old, std::move(value), std::move(why)});
  }

  // What a value of the profile will be; nothing: no number, or not there.
  std::optional<std::uint32_t> number_of(const ControlSet& set, std::string_view name) const {
    for (const RegistrySetting& setting : settings_.registry) {
      if (setting.known->name != name) continue;
      const hive::RegValue* wanted = from_reg(set, *setting.known);
      if (wanted == nullptr) return setting.data;
      return wanted->value ? hive::as_dword(*wanted->value) : std::nullopt;
    }
    return std::nullopt;
  }

  void warn_about_windows(const ControlSet& set) {
    const auto window = number_of(set, "TcpWindowSize");
    for (std::string& text : window_warnings(set, window)) warn(std::move(text));
    if (const auto why = scaling_objection(window, number_of(set, "Tcp1323Opts")))
      warn(fmt::format("{}: {}", set.name, *why));
  }

  void warn_about_logs() {
    if (values_.empty()) return;
    for (std::string& text : log_warnings(facts_.system)) warn(std::move(text));
  }

  void warn_about_control_sets() {
    const Select& select = facts_.select;
    if (facts_.control_sets.size() > 1)
      warn(fmt::format("the guest last booted control set {} and will boot {}: both are edited",
                       select.current, select.default_set));
    if (select.failed != 0)
      warn(fmt::format("control set {} is marked as failed in the guest", select.failed));
  }

  std::optional<Refusal> add_firstboot() {
    auto planned = plan_firstboot(facts_, settings_);
    if (auto* refusal = std::get_if<Refusal>(&planned)) return *refusal;
    auto& firstboot = std::get<FirstBootPlan>(planned);
    if (firstboot.chosen.mechanism != Mechanism::none) warn_about_nsi();
    plan_.firstboot = std::move(firstboot.chosen);
    std::move(firstboot.files.begin(), firstboot.files.end(), std::back_inserter(plan_.edits));
    std::move(firstboot.values.begin(), firstboot.values.end(), std::back_inserter(values_));
    for (std::string& warning : firstboot.warnings) warn(std::move(warning));
    return std::nullopt;
  }

  // What all this changes, for revert. Nothing is changed: nothing is noted either.
  std::optional<Refusal> add_record() {
    if (plan_.edits.empty() && values_.empty()) {
      if (!facts_.record && (!facts_.our_files.empty() || has_firstboot_service(facts_)))
        warn(
            "there is something of kvmnet's, but no record of a patch: revert cannot take back "
            "what is there");
      return std::nullopt;
    }
    if (auto refusal = check_place_of_record(facts_)) return *refusal;
    std::vector<Edit> all = plan_.edits;
    all.insert(all.end(), values_.begin(), values_.end());
    auto written = plan_record(facts_, settings_, all);
    if (auto* refusal = std::get_if<Refusal>(&written)) return *refusal;
    if (auto& edit = std::get<std::optional<WriteFile>>(written))
      plan_.edits.emplace_back(std::move(*edit));
    return std::nullopt;
  }

  void warn(std::string text) {
    if (std::find(plan_.warnings.begin(), plan_.warnings.end(), text) == plan_.warnings.end())
      plan_.warnings.push_back(std::move(text));
  }

  const Facts& facts_;
  const Settings& settings_;
  Scope scope_;
  bool legacy_;
  std::vector<hive::RegSection> reg_;  // of the .reg files, for this guest
  Plan plan_;
  std::vector<Edit> values_;
};

}  // namespace

std::vector<std::string> asked_keys() {
  std::vector<std::string> keys = firstboot_keys();
  for (const std::string_view key : {afd_service, afd_parameters, tcpip_service, tcpip_parameters})
    keys.emplace_back(key);
  return keys;
}

std::vector<std::string> asked_files() {
  std::vector<std::string> files = firstboot_files();
  for (const std::string_view path : {record_path, firstboot::before_path})
    files.emplace_back(path);
  return files;
}

Refusal no_control_set(const Facts& facts) {
  return {Reason::no_control_set,
          fmt::format("Select\\Default names control set {}, which is not there",
                      facts.select.default_set)};
}

std::optional<Refusal> check_installed(const Facts& facts) {
  if (facts.is_windows_pe) return Refusal{Reason::windows_pe, "the guest's Windows is Windows PE"};
  if (facts.setup_in_progress)
    return Refusal{Reason::setup_in_progress,
                   "Windows Setup is in the middle of its work (IMAGE_STATE_UNDEPLOYABLE)"};
  return std::nullopt;
}

std::vector<std::string> log_warnings(const HiveFacts& hive) {
  std::vector<std::string> warnings;
  if (hive.replayed != 0)
    warnings.push_back(fmt::format(
        "Windows has not closed the SYSTEM hive: {} from its transaction logs come{} first, as "
        "Windows itself would do it",
        hive.replayed == 1 ? "one entry" : fmt::format("{} entries", hive.replayed),
        hive.replayed == 1 ? "s" : ""));
  if (hive.logs_given_up)
    warnings.emplace_back(
        "Windows has not closed the SYSTEM hive, and its transaction logs do not apply: what is "
        "only in them is lost, as --dirty-hive use-primary says");
  return warnings;
}

std::optional<Refusal> check_record(const Facts& facts, bool trust_open) {
  std::string damage = facts.record_damage;
  if (damage.empty() && !trust_open && is_record_open(facts)) damage = open_record;
  if (damage.empty()) return std::nullopt;
  return Refusal{facts.record_is_newer ? Reason::record_newer : Reason::record_damaged,
                 fmt::format("%SystemRoot%\\kvmnet\\record.json: {}", damage)};
}

std::vector<std::string> private_paths() {
  std::vector<std::string> paths = firstboot_private_paths();
  paths.emplace_back(record_path);
  return paths;
}

std::optional<Refusal> check_condition(const HiveFacts& hive, std::string_view name) {
  if (hive.condition == hive::Condition::damaged)
    return Refusal{Reason::damaged_hive,
                   fmt::format("the {} hive is damaged: {}", name, hive.reason)};
  if (hive.condition == hive::Condition::dirty)
    return Refusal{
        Reason::dirty_hive,
        fmt::format("the {} hive is dirty: {}; what Windows has only in its transaction logs would "
                    "be lost",
                    name, hive.reason)};
  return std::nullopt;
}

std::variant<Plan, Refusal> make_plan(const Facts& facts, const Settings& settings, Scope scope) {
  if (auto refusal = check_condition(facts.system, "SYSTEM")) return *refusal;
  if (scope == Scope::guest)
    if (auto refusal = check_condition(facts.software, "SOFTWARE")) return *refusal;
  if (auto refusal = check_identity(facts, scope)) return *refusal;
  if (auto refusal = check_services(facts)) return *refusal;
  if (scope == Scope::guest)
    if (auto refusal = check_record(facts, false)) return *refusal;
  return Planner(facts, settings, scope).run();
}

}  // namespace kvmnet

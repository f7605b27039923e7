// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hive/value.h"

namespace kvmnet::cli {
namespace {

using nlohmann::ordered_json;

std::string_view word(Status status) {
  switch (status) {
    case Status::patched:
      return "patched";
    case Status::reverted:
      return "reverted";
    case Status::unchanged:
      return "unchanged";
    case Status::reported:
      return "reported";
    case Status::pending:
      return "pending";
    case Status::refused:
      return "refused";
    case Status::recovered:
      return "recovered";
    case Status::discarded:
      return "discarded";
    case Status::replayed:
      return "replayed";
    case Status::failed:
      return "failed";
  }
  return "failed";
}

std::string_view word(hive::Severity severity) {
  return severity == hive::Severity::fatal ? "fatal" : "harmless";
}

// Messages quote the guest; a terminal must not obey it.
std::string clean(const std::string& text) {
  return hive::escaped(text);
}

// Of what the record names, which anybody in the guest may have written.
std::string name_of(const RecordedRegValue& value) {
  return clean(path_of_value("HKLM\\SYSTEM\\" + value.key.to_string(), value.name));
}

std::string shown(const std::optional<hive::Value>& value) {
  return value ? hive::describe(*value) : "(absent)";
}

ordered_json guest_json(const Facts& facts, const std::string& device) {
  ordered_json guest;
  if (facts.version) {
    guest["nt_version"] = fmt::format("{}.{}", facts.version->major, facts.version->minor);
    if (facts.version->build != 0) guest["build"] = facts.version->build;
  }
  if (!facts.product_name.empty()) guest["product_name"] = clean(facts.product_name);
  if (facts.architecture) guest["architecture"] = to_string(*facts.architecture);
  if (facts.product_type) guest["product_type"] = to_string(*facts.product_type);
  if (!device.empty()) guest["device"] = device;
  if (!facts.system_root.empty()) guest["system_root"] = clean(facts.system_root);
  guest["control_sets"] = ordered_json::array();
  for (const ControlSet& set : facts.control_sets) guest["control_sets"].push_back(set.name);
  return guest;
}

ordered_json edit_json(const EditText& text) {
  return {{"verb", text.verb},
          {"target", clean(text.target)},
          {"old", text.old},
          {"new", text.value},
          {"why", clean(text.why)}};
}

ordered_json refusal_json(const Refusal& refusal) {
  ordered_json object = {{"code", code(refusal.reason)},
                         {"message", clean(refusal.message)},
                         {"remedy", remedy(refusal.reason)}};
  for (const std::string& detail : refusal.details) object["details"].push_back(clean(detail));
  return object;
}

// As the guest's own file has it, see result_json().
std::string full_text(const NetshCommand& command) {
  return "netsh interface tcp " + command.arguments;
}

ordered_json steps_json(const std::vector<NetshStep>& steps) {
  ordered_json commands = ordered_json::array();
  for (const NetshStep& step : steps) {
    ordered_json otherwise = ordered_json::array();
    for (const NetshCommand& command : step.otherwise) otherwise.push_back(full_text(command));
    commands.push_back({{"command", full_text(step.command)},
                        {"mandatory", step.command.duty == Duty::mandatory},
                        {"otherwise", std::move(otherwise)}});
  }
  return commands;
}

ordered_json firstboot_json(const FirstBoot& firstboot) {
  ordered_json beside = ordered_json::array();
  for (const OtherFirstBoot& other : firstboot.beside)
    beside.push_back({{"service", other.service}, {"program", other.program}});
  return {{"mechanism", to_string(firstboot.mechanism)},
          {"why", clean(firstboot.why)},
          {"beside", std::move(beside)},
          {"commands", steps_json(firstboot.steps)}};
}

ordered_json value_json(const std::optional<hive::Value>& value) {
  return value ? ordered_json(hive::describe(*value)) : ordered_json();
}

ordered_json restored_json(const std::vector<RestoredSetting>& restored) {
  ordered_json list = ordered_json::array();
  for (const RestoredSetting& setting : restored)
    list.push_back({{"setting", setting.name},
                    {"value", setting.value},
                    {"from", setting.from_dump ? "guest" : "default"}});
  return list;
}

ordered_json result_json(const firstboot::Result& result) {
  ordered_json commands = ordered_json::array();
  for (const firstboot::CommandResult& command : result.commands)
    commands.push_back({{"command", clean(command.text)},
                        {"mandatory", command.mandatory},
                        {"exit_code", command.exit_code}});
  ordered_json work = ordered_json::array();
  for (const firstboot::WorkResult& piece : result.work)
    work.push_back(
        {{"id", piece.id},
         {"name", clean(piece.name)},
         {"exit_code", piece.exit_code ? ordered_json(*piece.exit_code) : ordered_json()}});
  return {{"boot", result.boot},
          {"status", to_string(result.status)},
          {"commands", std::move(commands)},
          {"work", std::move(work)}};
}

ordered_json status_json(const GuestStatus& status) {
  ordered_json object;
  object["state"] = to_string(status.patch);
  if (!status.version.empty()) object["version"] = clean(status.version);
  if (!status.profile.empty()) object["profile"] = clean(status.profile);
  if (!status.damage.empty()) object["record_damage"] = clean(status.damage);
  object["values"] = ordered_json::array();
  for (const ValueStatus& value : status.values)
    object["values"].push_back({{"value", name_of(value.recorded)},
                                {"state", to_string(value.state)},
                                {"present", value_json(value.present)},
                                {"patched", value_json(value.recorded.after)},
                                {"before", value_json(value.recorded.before)}});
  object["firstboot"] = {{"state", to_string(status.firstboot)}};
  if (status.result) object["firstboot"]["result"] = result_json(*status.result);
  return object;
}

std::string json(const Outcome& outcome) {
  ordered_json object;
  object["schema"] = schema_version;
  object["image"] = outcome.image;
  object["status"] = word(outcome.status);
  if (outcome.refusal) object["reason"] = refusal_json(*outcome.refusal);
  if (!outcome.error.empty()) object["error"] = clean(outcome.error);
  if (outcome.facts) object["guest"] = guest_json(*outcome.facts, outcome.device);
  if (outcome.recovered) object["recovered"] = true;
  if (!outcome.output.empty()) object["output"] = outcome.output;
  object["edits"] = ordered_json::array();
  for (const Edit& edit : outcome.edits)
    object["edits"].push_back(edit_json(describe(edit, outcome.registry_root)));
  if (outcome.firstboot) object["firstboot"] = firstboot_json(*outcome.firstboot);
  if (!outcome.restored.empty()) object["restored"] = restored_json(outcome.restored);
  if (outcome.guest_status) object["patch"] = status_json(*outcome.guest_status);
  object["warnings"] = ordered_json::array();
  for (const std::string& warning : outcome.warnings) object["warnings"].push_back(clean(warning));
  if (!outcome.backup.empty()) object["backup"] = outcome.backup;
  if (!outcome.backend.empty()) object["backend"] = outcome.backend;
  if (!outcome.accelerator.empty()) object["accelerator"] = outcome.accelerator;
  object["phases"] = ordered_json::object();
  for (const auto& [name, seconds] : outcome.phases) object["phases"][name] = seconds;
  // ASCII only: what a terminal would obey is escaped, and so is what is not UTF-8.
  return object.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + "\n";
}

class Text {
 public:
  Text(const Outcome& outcome, const ReportOptions& options)
      : outcome_(outcome), options_(options) {}

  std::string run() {
    const bool bad = outcome_.status == Status::refused || outcome_.status == Status::failed;
    if (options_.quiet && !bad) return {};
    if (!bad) {
      guest();
      edits();
      firstboot();
      restored();
      if (outcome_.guest_status) status(*outcome_.guest_status);
      for (const std::string& warning : outcome_.warnings)
        line(fmt::format("  {} {}", paint("warning:", "33"), clean(warning)));
    }
    conclusion();
    if (!outcome_.backup.empty()) line("  backup of the SYSTEM hive: " + clean(outcome_.backup));
    if (options_.verbose) phases();
    return out_;
  }

 private:
  void guest() {
    if (!outcome_.facts || !outcome_.facts->version) return;
    const Facts& facts = *outcome_.facts;
    std::string text = fmt::format("  Windows NT {}", to_string(*facts.version));
    if (!facts.product_name.empty()) text += fmt::format(" ({})", clean(facts.product_name));
    if (facts.architecture) text += fmt::format(", {}", to_string(*facts.architecture));
    if (facts.product_type) text += fmt::format(", {}", to_string(*facts.product_type));
    if (!outcome_.device.empty())
      text += fmt::format(", {} on {}", clean(facts.system_root), outcome_.device);
    for (const ControlSet& set : facts.control_sets) text += fmt::format(", {}", clean(set.name));
    line(image() + ":");
    line(text);
  }

  void edits() {
    for (const Edit& edit : outcome_.edits) {
      const EditText text = describe(edit, outcome_.registry_root);
      line(fmt::format("  {:6} {}", text.verb, clean(text.target)));
      line(fmt::format("         {} -> {}", text.old, paint(text.value, "32")));
      line(fmt::format("         {}", clean(text.why)));
    }
  }

  void firstboot() {
    if (!outcome_.firstboot) return;
    const auto& [mechanism, why, beside, steps] = *outcome_.firstboot;
    const std::string_view what = mechanism == Mechanism::none ? "no script"
                                  : mechanism == Mechanism::service
                                      ? "a service starts the script"
                                      : "a service and SetupComplete.cmd start the script";
    line(fmt::format("  first boot: {} ({})", what, clean(why)));
    for (const NetshStep& step : steps) {
      line(fmt::format("         {}{}", full_text(step.command),
                       step.command.duty == Duty::mandatory ? "" : " (may fail)"));
      for (const NetshCommand& command : step.otherwise)
        line(fmt::format("           if refused: {}", full_text(command)));
    }
    // Where there is a script a warning says more of them.
    if (mechanism == Mechanism::none)
      for (const OtherFirstBoot& other : beside)
        line(fmt::format("  first boot: the guest has a service of {} (service {})", other.program,
                         other.service));
  }

  void restored() {
    for (const RestoredSetting& setting : outcome_.restored)
      line(fmt::format("  at the next boot: {} goes back to '{}' ({})", setting.name, setting.value,
                       setting.from_dump ? "as it was in this guest" : "Windows' default"));
  }

  void status(const GuestStatus& status) {
    if (!status.damage.empty())
      line(fmt::format("  the record of the patch: {}", clean(status.damage)));
    if (!status.version.empty())
      line(fmt::format("  by kvmnet {}, profile {}", clean(status.version), clean(status.profile)));
    for (const ValueStatus& value : status.values) {
      line(fmt::format("  {}: {}", name_of(value.recorded), to_string(value.state)));
      line(fmt::format("         now {}, patched {}, before {}", shown(value.present),
                       shown(value.recorded.after), shown(value.recorded.before)));
    }
    line(fmt::format("  first boot: {}", to_string(status.firstboot)));
    if (status.result) result(*status.result);
  }

  void result(const firstboot::Result& result) {
    line(fmt::format("  the guest says, at boot {}:", result.boot));
    for (const firstboot::CommandResult& command : result.commands)
      line(fmt::format("    {:3} {}{}", command.exit_code, clean(command.text),
                       command.mandatory ? "" : " (may fail)"));
    for (const firstboot::WorkResult& work : result.work)
      line(fmt::format("    {:>3} work {} ({})",
                       work.exit_code ? std::to_string(*work.exit_code) : "-", work.id,
                       clean(work.name)));
  }

  std::string_view patch_word() const {
    switch (outcome_.guest_status->patch) {
      case PatchState::none:
        return "not patched";
      case PatchState::patched:
        return "patched";
      case PatchState::restoring:
        return outcome_.guest_status->firstboot == FirstBootState::done ||
                       outcome_.guest_status->firstboot == FirstBootState::failed
                   ? "reverted, but for the traces of its first boot"
                   : "reverted, but for what its next boot puts back";
      case PatchState::unknown:
        break;
    }
    return outcome_.guest_status->damage.empty()
               ? "has traces of a patch, but no record of it"
               : "has the record of a patch, but not one that can be read or trusted";
  }

  // What makes a guest's status pending.
  std::string what_is_left() const {
    const GuestStatus& status = *outcome_.guest_status;
    if (status.patch == PatchState::unknown) return {};
    return std::string(status.has_changed() ? ", changed since" : "") +
           (status.waits() ? ", pending" : "");
  }

  void conclusion() {
    if (outcome_.guest_status) {
      line(fmt::format("{}: {}{}", image(), patch_word(), what_is_left()));
      return;
    }
    const std::string image = this->image();
    if (outcome_.recovered) line(image + ": an interrupted patch was completed first");
    const std::size_t n = outcome_.edits.size();
    const std::string changes = fmt::format("{} change{}", n, n == 1 ? "" : "s");
    switch (outcome_.status) {
      case Status::patched:
        line(fmt::format("{}: patched, {}{}", image, changes, in_copy()));
        break;
      case Status::reverted:
        line(fmt::format("{}: reverted, {}{}", image, changes, in_copy()));
        break;
      case Status::reported:
        break;
      case Status::unchanged:
        line(fmt::format("{}: nothing to do{}", image, in_copy()));
        break;
      case Status::pending:
        line(fmt::format("{}: {} pending", image, changes));
        break;
      case Status::refused:
        refused();
        break;
      case Status::recovered:
        line(fmt::format("{}: recovered: the interrupted patch is complete", image));
        break;
      case Status::discarded:
        line(fmt::format("{}: recovered: the interrupted patch was dropped", image));
        break;
      case Status::replayed:
        line(fmt::format("{}: replayed: it is clean now, its logs are not valid any more", image));
        break;
      case Status::failed:
        line(fmt::format("{}: {} {}", image, paint("failed:", "31"), without_name(outcome_.error)));
        break;
    }
  }

  void refused() {
    const Refusal& refusal = *outcome_.refusal;
    line(fmt::format("{}: {} {} [{}]", image(), paint("refused:", "33"),
                     without_name(refusal.message), code(refusal.reason)));
    const bool touched = outcome_.recovered || refusal.reason == Reason::commit_interrupted ||
                         refusal.reason == Reason::commit_conflict ||
                         refusal.reason == Reason::commit_half_done;
    line(fmt::format("  {}{}", touched ? "" : "nothing was touched; ", remedy(refusal.reason)));
  }

  std::string in_copy() const {
    return outcome_.output.empty() ? "" : fmt::format(", in the copy {}", clean(outcome_.output));
  }

  // Messages that name the image already are not made to name it twice.
  std::string without_name(const std::string& message) const {
    const std::string prefix = outcome_.image + ": ";
    return clean(message.starts_with(prefix) ? message.substr(prefix.size()) : message);
  }
  std::string image() const { return clean(outcome_.image); }

  void phases() {
    std::string text = "  phases:";
    double total = 0;
    for (const auto& [name, seconds] : outcome_.phases) {
      text += fmt::format(" {} {:.2f} s,", name, seconds);
      total += seconds;
    }
    line(fmt::format("{} total {:.2f} s", text, total));
    if (!outcome_.backend.empty()) line("  backend: " + outcome_.backend);
    if (!outcome_.accelerator.empty()) line("  accelerator: " + outcome_.accelerator);
  }

  std::string paint(std::string_view text, std::string_view colour) const {
    return options_.colour ? fmt::format("\x1b[{}m{}\x1b[0m", colour, text) : std::string(text);
  }
  void line(const std::string& text) { out_ += text + "\n"; }

  const Outcome& outcome_;
  const ReportOptions& options_;
  std::string out_;
};

}  // namespace

namespace {

std::string_view verdict(const HiveCheck& check) {
  if (!check.structure.sound()) return "damaged";
  return check.condition.condition == hive::Condition::clean ? "sound" : "not clean";
}

std::string json(const std::string& file, const HiveCheck& check) {
  ordered_json object;
  object["schema"] = schema_version;
  object["file"] = file;
  object["status"] = verdict(check);
  object["keys"] = check.structure.keys;
  object["values"] = check.structure.values;
  object["log_entries"] = check.condition.replayed;
  if (!check.condition.reason.empty()) object["not_clean"] = clean(check.condition.reason);
  object["findings"] = ordered_json::array();
  for (const hive::Finding& finding : check.structure.findings)
    object["findings"].push_back({{"severity", word(finding.severity)},
                                  {"offset", finding.offset},
                                  {"message", clean(finding.message)}});
  object["fatal"] = check.structure.fatal;
  object["harmless"] = check.structure.harmless;
  return object.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + "\n";
}

std::string text(const std::string& file, const HiveCheck& check, const ReportOptions& options) {
  const hive::CheckResult& found = check.structure;
  std::string out;
  for (const hive::Finding& finding : found.findings)
    if (finding.severity == hive::Severity::fatal || !options.quiet)
      out += fmt::format("  {} at {:#x}: {}\n", word(finding.severity), finding.offset,
                         clean(finding.message));
  if (found.fatal + found.harmless > found.findings.size())
    out += fmt::format("  ... {} findings in all\n", found.fatal + found.harmless);
  if (options.quiet && verdict(check) == "sound") return out;
  if (check.condition.replayed != 0)
    out += fmt::format("  with {} log entr{} applied\n", check.condition.replayed,
                       check.condition.replayed == 1 ? "y" : "ies");
  if (!check.condition.reason.empty())
    out += fmt::format("  as it stands, which is not clean: {}\n", clean(check.condition.reason));
  return out + fmt::format("{}: {}, {} keys, {} values, {} fatal and {} harmless findings\n",
                           clean(file), verdict(check), found.keys, found.values, found.fatal,
                           found.harmless);
}

}  // namespace

std::string report(const std::string& file, const HiveCheck& check, const ReportOptions& options) {
  return options.json ? json(file, check) : text(file, check, options);
}

std::string report(const Outcome& outcome, const ReportOptions& options) {
  return options.json ? json(outcome) : Text(outcome, options).run();
}

}  // namespace kvmnet::cli

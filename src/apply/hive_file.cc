// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_file.h"

#include <fmt/format.h>

#include <filesystem>

#include "src/apply/bare_hive.h"
#include "src/apply/hive_client.h"
#include "src/apply/hive_lock.h"
#include "src/apply/job.h"
#include "src/plan/foretell.h"
#include "src/plan/plan.h"
#include "src/plan/plan_reg.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

// What the request adds to the facts of a hive.
void complete(Facts& facts, SystemHive& hive, SystemHive::State state,
              const HiveFileRequest& request) {
  facts.version = request.version;
  if (facts.system.condition != hive::Condition::clean) return;
  const RegQuestion question = reg_question(facts, request.settings.reg.sections());
  if (!question.empty()) facts.reg = hive.ask(question, state);
}

void patch(const std::string& path, const HiveFileRequest& request, Outcome& outcome) {
  BareHive file(path, request.logs, use_for(request.mode));
  SystemHive hive(file.in_memory());
  outcome.facts = hive.probe(request.dirty_hive);
  complete(*outcome.facts, hive, SystemHive::State::found, request);
  Plan plan = value_or_refuse(make_plan(*outcome.facts, request.settings, Scope::bare_hive));
  outcome.edits = std::move(plan.edits);
  outcome.warnings = std::move(plan.warnings);
  outcome.status = outcome.edits.empty() ? Status::unchanged : Status::pending;
  if (outcome.edits.empty()) {
    if (request.mode == Mode::patch) file.finish_interrupted(outcome.facts->system);
    return;
  }
  if (request.mode == Mode::patch) file.begin_replacing();
  const EditedHive edited = hive.edit(outcome.edits);
  Facts facts = hive.proven();
  complete(facts, hive, SystemHive::State::edited, request);
  hive.end();
  const auto left = make_plan(facts, request.settings, Scope::bare_hive);
  if (!request.settings.reg.empty())
    if (auto refusal = check_settled(left, outcome.edits)) throw Refused{*refusal};
  if (!std::holds_alternative<Plan>(left) || !std::get<Plan>(left).edits.empty())
    throw Error("verification failed: the edited hive does not have every value as set");
  if (request.mode == Mode::plan) {
    if (const std::string why = file.why_not_replaceable(); !why.empty())
      outcome.warnings.push_back("patch will fail: " + why);
    return;
  }
  file.replace(edited.file, edited.logs);
  outcome.status = Status::patched;
}

void replay(const std::string& path, const HiveFileRequest& request, Outcome& outcome) {
  BareHive file(path, request.logs, disk::Use::write);
  const HiveCheck check = check_hive(file.in_memory(), request.dirty_hive);
  const HiveFacts& facts = check.condition;
  const std::string name = std::filesystem::path(path).filename().string();
  if (auto refusal = check_condition(facts, name)) throw Refused{*refusal};
  outcome.status = Status::unchanged;
  if (facts.replayed == 0 && !facts.logs_given_up) return file.finish_interrupted(facts);
  if (!check.structure.sound())
    throw Refused{{Reason::damaged_hive,
                   fmt::format("the {} hive is damaged with its logs applied; 'kvmnet hive check' "
                               "tells more",
                               name)}};
  if (facts.logs_given_up)
    outcome.warnings.emplace_back("there is no log that applies: what is only in logs is lost");
  else
    outcome.warnings.push_back(fmt::format(
        "{} applied from its transaction logs",
        facts.replayed == 1 ? "one entry was" : fmt::format("{} entries were", facts.replayed)));
  file.begin_replacing();
  file.replace(check.logs);
  outcome.status = Status::replayed;
}

}  // namespace

Outcome patch_hive_file(const std::string& path, const HiveFileRequest& request) {
  return run_job(path, [&](Outcome& outcome) { patch(path, request, outcome); });
}

Outcome replay_hive_file(const std::string& path, const HiveFileRequest& request) {
  return run_job(path, [&](Outcome& outcome) { replay(path, request, outcome); });
}

HiveCheck check_hive_file(const std::string& path, const std::vector<std::string>& logs) {
  return check_hive(BareHive(path, logs, disk::Use::read).in_memory(), DirtyHive::replay);
}

}  // namespace kvmnet

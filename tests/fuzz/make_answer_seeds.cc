// SPDX-License-Identifier: GPL-2.0-or-later
// fuzz-answer-seeds DIRECTORY: writes one answer of each kind, to the question that
// answers_fuzzer.cc asks, for fuzzing to begin with.
#include <fcntl.h>

#include <exception>
#include <iostream>

#include "src/apply/direct_messages.h"
#include "src/apply/reg_messages.h"
#include "src/plan/firstboot_service.h"
#include "src/plan/plan_reg.h"
#include "src/support/fd.h"
#include "tests/fuzz/answers.h"
#include "tests/fuzz/guest_facts.h"

namespace kvmnet::fuzz {
namespace {

using hive::KeyPath;
using What = hive::Change::What;

class SeedWriter {
 public:
  explicit SeedWriter(std::string directory) : directory_(std::move(directory)) {}

  void write(const std::string& name, Answered kind, const std::string& message) const {
    write_whole(open_file(directory_ + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0644),
                static_cast<char>(kind) + message);
  }

 private:
  std::string directory_;
};

std::vector<hive::Change> changes_of(const std::vector<hive::RegSection>& sections) {
  std::vector<hive::Change> changes;
  for (const hive::RegSection& section : sections) {
    KeyPath key;
    for (const std::string& name : section.key) key = key / name;
    if (section.values.empty())
      changes.push_back({What::create_key, key, "", {}, {}, section.line});
    for (const hive::RegValue& value : section.values) {
      const bool is_set = value.value.has_value();
      changes.push_back({is_set ? What::set_value : What::delete_value, key, value.name,
                         hive::sz("old"), value.value, value.line});
    }
  }
  return changes;
}

// A guest in which a patch has been made, as far as the hive tells.
Facts patched_facts() {
  Facts facts = guest_facts();
  for (ControlSet& set : facts.control_sets) {
    set.keys["Services\\Tcpip\\Parameters"]->push_back({"EnableWsd", hive::dword(0)});
    set.keys[std::string(firstboot_service_key)]->push_back({"Start", hive::dword(2)});
    set.with_subkeys.emplace("Services\\Tcpip\\Parameters");
    set.interfaces_with_window.emplace_back("{4D36E972-E325-11CE-BFC1-08002BE10318}");
  }
  return facts;
}

Record sample_record() {
  Record record;
  record.version = "0.1.0";
  record.profile = "kvm";
  record.keys = {{"ControlSet002", std::string(firstboot_service_key)}};
  record.values = {{"ControlSet002", "Services\\Tcpip\\Parameters", "EnableWsd", hive::dword(1),
                    hive::dword(0)}};
  record.reg_values = {{KeyPath::parse("Setup\\New"), "x", std::nullopt, hive::sz("y")}};
  record.reg_keys = {KeyPath::parse("Setup\\New")};
  record.files = {"kvmnet/firstboot.cmd", std::string(record_path)};
  record.directories = {"kvmnet"};
  record.commands = {"set heuristics disabled"};
  return record;
}

void write_of_hives(const SeedWriter& seeds) {
  const HiveFacts clean = {hive::Condition::clean, "", 2, false};
  seeds.write("facts", Answered::facts, encode(patched_facts()));
  seeds.write("software", Answered::software,
              encode(SoftwareFacts{clean, WindowsVersion{10, 0, 19045}, "Windows 10 Pro"}));
  seeds.write("record", Answered::record, encode(RecordReading{sample_record(), ""}));
  seeds.write("no-record", Answered::record, encode(RecordReading{std::nullopt, "damaged"}));
  HiveCheck check;
  check.condition = clean;
  check.structure.findings = {{hive::Severity::fatal, 4096, "a cell"}};
  check.structure.fatal = 1;
  check.logs = {hive::LogKind::own};
  seeds.write("check", Answered::check, encode(check));
  seeds.write("edited", Answered::edited, encode(Edited{"", {}, check.logs}));
}

void write_of_reg_files(const SeedWriter& seeds) {
  const RegInput input = guest_reg();
  const RegQuestion question = reg_question(guest_facts(), input.sections());
  RegFacts facts;
  facts.changes = changes_of(question.sections);
  facts.missing = {KeyPath::parse("Setup\\New"), KeyPath::parse("Setup\\New\\Newer"),
                   KeyPath::parse("Empty")};
  for (const AskedKey& asked : question.keys) facts.keys.push_back({asked.key, false, 0, 0, {}});
  seeds.write("reg-facts", Answered::reg_facts, encode(facts));
  facts = {"why", 3, {}, {}, {}, facts.keys};
  seeds.write("unsupported", Answered::reg_facts, encode(facts));
  Merged merged;
  merged.condition.condition = hive::Condition::clean;
  merged.changes = changes_of(input.sections());
  merged.count = merged.changes.size();
  merged.logs = {hive::LogKind::own};
  seeds.write("merged", Answered::merged, encode(merged));
  seeds.write("exported", Answered::exported,
              encode(Exported{merged.condition, true, {"in key 'a' the key 'b'"}}));
}

void run(const std::string& directory) {
  const SeedWriter seeds(directory);
  write_of_hives(seeds);
  write_of_reg_files(seeds);
  seeds.write("direct", Answered::direct, MessageWriter().number(1).text("file").number(0).take());
}

}  // namespace
}  // namespace kvmnet::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fuzz-answer-seeds DIRECTORY\n";
    return 2;
  }
  try {
    kvmnet::fuzz::run(argv[1]);
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "fuzz-answer-seeds: " << e.what() << '\n';
    return 1;
  }
}

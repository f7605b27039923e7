// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/guest_facts.h"

#include <algorithm>

#include "src/plan/guest_status.h"
#include "src/plan/plan.h"
#include "src/plan/plan_revert.h"
#include "src/plan/setup_complete.h"
#include "src/support/overloaded.h"
#include "tests/fuzz/expect.h"

namespace kvmnet::fuzz {
namespace {

bool is_ours(const std::string& path) {
  return is_our_file(path) || path == firstboot::setup_complete_path;
}

bool is_known_directory(const std::string& path) {
  const auto known = known_directories();
  return std::find(known.begin(), known.end(), path) != known.end();
}

Settings settings_with(const RegInput& reg) {
  Settings settings = make_settings({});
  settings.reg = reg;
  return settings;
}

}  // namespace

Facts guest_facts() {
  Facts facts;
  facts.system.condition = facts.software.condition = hive::Condition::clean;
  facts.version = {6, 1, 7601};
  facts.architecture = Architecture::amd64;
  facts.product_type = ProductType::client;
  facts.system_root = "/Windows";
  facts.is_complete = true;
  facts.select = {1, 2, 0, 1};
  for (const char* name : {"ControlSet002", "ControlSet001"}) {
    ControlSet& set = facts.control_sets.emplace_back();
    set.name = name;
    for (const std::string& key : asked_keys()) set.keys[key].emplace();
  }
  facts.other_sets.emplace_back(facts.control_sets.front()).name = "ControlSet003";
  return facts;
}

RegInput guest_reg() {
  constexpr std::string_view text =
      "REGEDIT4\n"
      "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters]\n"
      "\"TcpWindowSize\"=dword:12345\n"
      "\"Gone\"=-\n"
      "@=\"text\"\n"
      "[HKLM\\SYSTEM\\Setup\\New\\Newer]\n"
      "\"x\"=hex(7):41,00,00\n"
      "[HKLM\\SYSTEM\\Empty]\n";
  RegInput input;
  input.add("a.reg", std::as_bytes(std::span(text)), std::nullopt,
            {"HKEY_LOCAL_MACHINE", "SYSTEM"});
  return input;
}

bool chooses_control_set(const hive::KeyPath& key) {
  return key.elements().empty() || hive::same_name(key.elements().front(), "Select");
}

void expect_harmless(const std::vector<Edit>& edits) {
  for (const Edit& edit : edits)
    expect(
        std::visit(Overloaded{[](const WriteFile& e) { return is_ours(e.path); },
                              [](const RemoveFile& e) { return is_ours(e.path); },
                              [](const RemoveDirectory& e) { return is_known_directory(e.path); },
                              [](const auto& e) { return !chooses_control_set(e.key); }},
                   edit),
        "no edit touches what kvmnet has no business with");
}

void decide(const Facts& facts, const RegInput& reg) {
  const auto check = [](const std::variant<Plan, Refusal>& planned) {
    if (const Plan* plan = std::get_if<Plan>(&planned)) expect_harmless(plan->edits);
  };
  status_of(facts);
  for (const bool force : {false, true}) check(make_revert(facts, {force, true}));
  check(make_plan(facts, settings_with(reg), Scope::guest));
}

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
// An outcome of each status as text and as JSON; report_hostile_test.cc has what guests may hold.
#include "src/cli/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kvmnet::cli {
namespace {

using nlohmann::json;

constexpr ReportOptions as_text = {};
constexpr ReportOptions as_json = {.json = true};

Facts windows_7() {
  Facts facts;
  facts.version = {6, 1, 7601};
  facts.architecture = Architecture::amd64;
  facts.product_type = ProductType::client;
  facts.product_name = "Windows 7 Professional";
  facts.system_root = "/Windows";
  facts.control_sets.emplace_back().name = "ControlSet001";
  return facts;
}

Outcome outcome(Status status) {
  Outcome result;
  result.image = "w7.qcow2";
  result.status = status;
  result.facts = windows_7();
  result.device = "/dev/sda2";
  result.backend = "libguestfs";
  result.accelerator = "KVM";
  result.phases = {{"open", 1.25}, {"probe", 0.5}};
  return result;
}

Outcome with_edits(Status status) {
  Outcome result = outcome(status);
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");
  result.edits = {WriteFile{"kvmnet/firstboot.cmd", std::nullopt, "1234", "commands"},
                  SetValue{key, "EnableWsd", hive::dword(1), hive::dword(0), "heuristics"}};
  result.warnings = {"control set 2 is marked as failed in the guest"};
  return result;
}

std::vector<NetshStep> some_steps() {
  return {{{"set a", Duty::mandatory}, {}},
          {{"set b", Duty::soft}, {{"set c", Duty::mandatory}, {"set d", Duty::mandatory}}}};
}

Outcome refused() {
  Outcome result = outcome(Status::refused);
  result.refusal = Refusal{Reason::hibernated, "w7.qcow2: the volume is hibernated"};
  return result;
}

Outcome failed() {
  Outcome result = outcome(Status::failed);
  result.error = "w7.qcow2: Permission denied";
  return result;
}

const std::string guest_text =
    "w7.qcow2:\n  Windows NT 6.1 build 7601 (Windows 7 Professional), amd64, client, /Windows on "
    "/dev/sda2, ControlSet001\n";
const std::string edits_text =
    "  write  %SystemRoot%\\kvmnet\\firstboot.cmd\n"
    "         (absent) -> file of 4 bytes\n"
    "         commands\n"
    "  set    HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters\\EnableWsd\n"
    "         dword:0x00000001 -> dword:0x00000000\n"
    "         heuristics\n"
    "  warning: control set 2 is marked as failed in the guest\n";
const std::string refused_text =
    "w7.qcow2: refused: the volume is hibernated [hibernated]\n"
    "  nothing was touched; " +
    std::string(remedy(Reason::hibernated)) + "\n";
const std::string failed_text = "w7.qcow2: failed: Permission denied\n";

TEST(Report, TextSaysWhatTheGuestIsAndWhatChanged) {
  EXPECT_EQ(report(with_edits(Status::patched), as_text),
            guest_text + edits_text + "w7.qcow2: patched, 2 changes\n");
  EXPECT_EQ(report(with_edits(Status::pending), as_text),
            guest_text + edits_text + "w7.qcow2: 2 changes pending\n");
  EXPECT_EQ(report(outcome(Status::unchanged), as_text), guest_text + "w7.qcow2: nothing to do\n");
}

TEST(Report, TextSaysWhatStartsTheFirstBootScriptAndWhy) {
  const std::pair<Mechanism, std::string> table[] = {
      {Mechanism::none, "no script"},
      {Mechanism::service, "a service starts the script"},
      {Mechanism::service_and_setup_complete, "a service and SetupComplete.cmd start the script"}};
  for (const auto& [mechanism, words] : table) {
    Outcome result = outcome(Status::unchanged);
    result.firstboot = FirstBoot{mechanism, "for a reason", {}, {}};
    EXPECT_EQ(report(result, as_text),
              guest_text + "  first boot: " + words + " (for a reason)\nw7.qcow2: nothing to do\n");
  }
}

TEST(Report, TextHasTheCommandsOfTheFirstBootAndWhatStandsInForThem) {
  Outcome result = outcome(Status::unchanged);
  result.firstboot = FirstBoot{Mechanism::service, "for a reason", {}, some_steps()};
  EXPECT_EQ(report(result, as_text),
            guest_text +
                "  first boot: a service starts the script (for a reason)\n"
                "         netsh interface tcp set a\n"
                "         netsh interface tcp set b (may fail)\n"
                "           if refused: netsh interface tcp set c\n"
                "           if refused: netsh interface tcp set d\n"
                "w7.qcow2: nothing to do\n");
}

TEST(Report, JsonHasTheCommandsOfTheFirstBoot) {
  Outcome result = outcome(Status::unchanged);
  result.firstboot = FirstBoot{Mechanism::service, "for a reason", {}, some_steps()};
  EXPECT_EQ(json::parse(report(result, as_json))["firstboot"]["commands"],
            json::parse(R"([{"command": "netsh interface tcp set a", "mandatory": true,
                "otherwise": []},
                {"command": "netsh interface tcp set b", "mandatory": false,
                "otherwise": ["netsh interface tcp set c", "netsh interface tcp set d"]}])"));
}

TEST(Report, TextNamesOtherFirstBootServicesWhereNoWarningDoes) {
  Outcome result = outcome(Status::unchanged);
  result.firstboot = FirstBoot{Mechanism::none, "a", {{"firstboot", "virt-v2v"}}, {}};
  const std::string line =
      "  first boot: the guest has a service of virt-v2v (service firstboot)\n";
  EXPECT_NE(report(result, as_text).find(line), std::string::npos);
  result.firstboot->mechanism = Mechanism::service;
  EXPECT_EQ(report(result, as_text).find(line), std::string::npos);
}

TEST(Report, JsonSaysWhatStartsTheFirstBootScriptAndWhatElseThereIs) {
  Outcome result = outcome(Status::pending);
  EXPECT_FALSE(json::parse(report(result, as_json)).contains("firstboot"));
  result.firstboot = FirstBoot{Mechanism::service_and_setup_complete,
                               "for a reason",
                               {{"cloudbase-init", "cloudbase-init"}},
                               {}};
  EXPECT_EQ(json::parse(report(result, as_json))["firstboot"],
            json::parse(R"({"mechanism": "service+setupcomplete", "why": "for a reason",
                "beside": [{"service": "cloudbase-init", "program": "cloudbase-init"}],
                "commands": []})"));
}

TEST(Report, TextOfOneChangeIsSingular) {
  Outcome one = with_edits(Status::patched);
  one.edits.pop_back();
  EXPECT_NE(report(one, as_text).find("patched, 1 change\n"), std::string::npos);
}

TEST(Report, TextOfARefusalSaysWhyAndWhatToDo) {
  EXPECT_EQ(report(refused(), as_text), refused_text);
}

TEST(Report, TextOfAFailureSaysWhy) {
  EXPECT_EQ(report(failed(), as_text), failed_text);
}

TEST(Report, TextNeedsNoFacts) {
  for (const Status status : {Status::patched, Status::unchanged, Status::pending}) {
    Outcome bare;
    bare.image = "x";
    bare.status = status;
    EXPECT_EQ(report(bare, as_text).rfind("x: ", 0), 0U);
  }
}

TEST(Report, SaysWhereTheBackupIsIfThereIsOne) {
  Outcome result = with_edits(Status::patched);
  EXPECT_FALSE(json::parse(report(result, as_json)).contains("backup"));
  result.backup = "b/w7\x1b.qcow2";
  EXPECT_EQ(report(result, as_text), guest_text + edits_text +
                                         "w7.qcow2: patched, 2 changes\n"
                                         "  backup of the SYSTEM hive: b/w7\\x1b.qcow2\n");
  EXPECT_EQ(json::parse(report(result, as_json))["backup"], result.backup);
  // It failed after it was patched, and the backup is still there.
  result = failed();
  result.backup = "b";
  EXPECT_EQ(report(result, as_text), failed_text + "  backup of the SYSTEM hive: b\n");
}

TEST(Report, QuietSaysOnlyWhatWentWrong) {
  constexpr ReportOptions quiet = {.quiet = true};
  for (const Status status : {Status::patched, Status::unchanged, Status::pending})
    EXPECT_EQ(report(with_edits(status), quiet), "");
  EXPECT_EQ(report(refused(), quiet), refused_text);
  EXPECT_EQ(report(failed(), quiet), failed_text);
}

TEST(Report, VerboseAddsThePhasesTheirSumTheBackendAndTheAccelerator) {
  constexpr ReportOptions verbose = {.verbose = true};
  EXPECT_EQ(report(failed(), verbose), failed_text +
                                           "  phases: open 1.25 s, probe 0.50 s, total 1.75 s\n  "
                                           "backend: libguestfs\n  accelerator: KVM\n");
}

TEST(Report, OnlyColourPaints) {
  constexpr ReportOptions colour = {.colour = true};
  EXPECT_EQ(report(failed(), as_text).find('\x1b'), std::string::npos);
  EXPECT_EQ(report(failed(), colour), "w7.qcow2: \x1b[31mfailed:\x1b[0m Permission denied\n");
  EXPECT_EQ(report(with_edits(Status::patched), as_text).find('\x1b'), std::string::npos);
}

TEST(Report, JsonIsOneLineWithTheWordOfTheStatus) {
  const std::vector<std::pair<Outcome, std::string>> cases = {
      {with_edits(Status::patched), "patched"},
      {outcome(Status::unchanged), "unchanged"},
      {with_edits(Status::pending), "pending"},
      {refused(), "refused"},
      {failed(), "failed"}};
  for (const auto& [result, word] : cases) {
    const std::string text = report(result, as_json);
    EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
    const json object = json::parse(text);
    EXPECT_EQ(object["status"], word);
    EXPECT_EQ(object["schema"], schema_version);
    EXPECT_EQ(object["image"], "w7.qcow2");
    EXPECT_EQ(object["backend"], "libguestfs");
    EXPECT_EQ(object["accelerator"], "KVM");
    EXPECT_EQ(object["phases"], (json{{"open", 1.25}, {"probe", 0.5}}));
    EXPECT_EQ(object.contains("reason"), word == "refused");
    EXPECT_EQ(object.contains("error"), word == "failed");
  }
}

TEST(Report, JsonHasTheGuestTheEditsAndTheWarnings) {
  const json object = json::parse(report(with_edits(Status::pending), as_json));
  EXPECT_EQ(object["guest"], (json{{"nt_version", "6.1"},
                                   {"build", 7601},
                                   {"product_name", "Windows 7 Professional"},
                                   {"architecture", "amd64"},
                                   {"product_type", "client"},
                                   {"device", "/dev/sda2"},
                                   {"system_root", "/Windows"},
                                   {"control_sets", {"ControlSet001"}}}));
  ASSERT_EQ(object["edits"].size(), 2U);
  EXPECT_EQ(object["edits"][1],
            (json{{"verb", "set"},
                  {"target", "HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters\\EnableWsd"},
                  {"old", "dword:0x00000001"},
                  {"new", "dword:0x00000000"},
                  {"why", "heuristics"}}));
  EXPECT_EQ(object["warnings"], json::array({"control set 2 is marked as failed in the guest"}));
}

TEST(Report, JsonOfARefusalHasCodeMessageAndRemedy) {
  const json object = json::parse(report(refused(), as_json));
  EXPECT_EQ(object["reason"], (json{{"code", "hibernated"},
                                    {"message", "w7.qcow2: the volume is hibernated"},
                                    {"remedy", std::string(remedy(Reason::hibernated))}}));
}

TEST(Report, NamesAKeysDefaultValue) {
  Outcome looked_at = outcome(Status::pending);
  GuestStatus& status = looked_at.guest_status.emplace();
  status.patch = PatchState::patched;
  status.values = {{{hive::KeyPath::parse("ControlSet001\\X"), "", {}, hive::dword(1)},
                    hive::dword(2),
                    ValueStatus::State::changed}};
  const std::string text = report(looked_at, as_text);
  EXPECT_NE(text.find("HKLM\\SYSTEM\\ControlSet001\\X\\(default)"), std::string::npos) << text;
}

TEST(Report, TellsAChangedGuestFromOneThatWaits) {
  Outcome looked_at = outcome(Status::pending);
  GuestStatus& status = looked_at.guest_status.emplace();
  status.patch = PatchState::patched;
  status.values = {{{hive::KeyPath::parse("ControlSet001\\X"), "x", {}, hive::dword(1)},
                    hive::dword(2),
                    ValueStatus::State::changed}};
  EXPECT_NE(report(looked_at, as_text).find(": patched, changed since\n"), std::string::npos);
  status.firstboot = FirstBootState::pending;
  EXPECT_NE(report(looked_at, as_text).find(": patched, changed since, pending\n"),
            std::string::npos);
  status.values.clear();
  EXPECT_NE(report(looked_at, as_text).find(": patched, pending\n"), std::string::npos);
}

TEST(Report, JsonLeavesOutWhatIsNotKnown) {
  Outcome bare;
  bare.image = "x";
  bare.error = "no such file";
  const json object = json::parse(report(bare, as_json));
  for (const std::string key : {"guest", "accelerator", "reason"})
    EXPECT_FALSE(object.contains(key)) << key;
  EXPECT_EQ(object["edits"], json::array());
  EXPECT_EQ(object["warnings"], json::array());
}

TEST(Report, JsonIgnoresTheOptionsOfText) {
  const ReportOptions all = {.json = true, .quiet = true, .verbose = true, .colour = true};
  EXPECT_EQ(report(with_edits(Status::patched), all), report(with_edits(Status::patched), as_json));
}

}  // namespace
}  // namespace kvmnet::cli

// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's strings are its own: none may reach a terminal raw or break the JSON.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "src/cli/report.h"

namespace kvmnet::cli {
namespace {

using nlohmann::json;

// Control characters, ANSI escapes, a C1 control as UTF-8, DEL, line ends.
const std::string controls =
    std::string("a\0b", 3) + "\x01\x07\b\t\n\r\x1b[2J\x1b]0;t\x07\x7f\xc2\x9bm";
// No UTF-8: a lone continuation byte that is CSI in 8-bit terminals, an overlong slash, a cut one.
const std::string not_utf8 = "\x9b[2J\xc0\xaf\xed\xa0\x80\xff\xe2\x82";

hive::Value text_value(const std::string& ascii) {
  hive::Value value{hive::Type::sz, {}};
  for (const char c : ascii) {
    value.data.push_back(static_cast<std::byte>(c));
    value.data.push_back(std::byte{0});
  }
  return value;
}

// An outcome of a guest that says `hostile` wherever it can.
Outcome hostile_guest(const std::string& hostile) {
  Outcome outcome;
  outcome.image = "a.img";
  outcome.status = Status::pending;
  outcome.facts.emplace();
  outcome.facts->version = {6, 1, 7601};
  outcome.facts->product_name = hostile;
  outcome.facts->system_root = hostile;
  outcome.device = "/dev/sda1";
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");
  outcome.edits = {SetValue{key, "EnableWsd", text_value(hostile), hive::dword(0), "why"},
                   WriteFile{"kvmnet/firstboot.cmd", hostile, hostile, "why"}};
  return outcome;
}

// Messages that quote the guest, as hive and libguestfs errors do.
Outcome hostile_message(Status status, const std::string& hostile) {
  Outcome outcome;
  outcome.image = "a.img";
  outcome.status = status;
  if (status == Status::refused)
    outcome.refusal = Refusal{Reason::damaged_hive, hostile};
  else
    outcome.error = hostile;
  outcome.warnings = {hostile};
  return outcome;
}

// What `status` says of a guest that says `hostile` wherever it can.
Outcome hostile_status(const std::string& hostile) {
  Outcome outcome;
  outcome.image = "a.img";
  outcome.status = Status::pending;
  GuestStatus& status = outcome.guest_status.emplace();
  status.patch = PatchState::unknown;
  status.damage = status.version = status.profile = hostile;
  const hive::Value broken_utf16 = {hive::Type::sz,
                                    {std::byte{0x00}, std::byte{0xD8}, std::byte{0x1B}}};
  status.values = {{{hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters"), hostile,
                     text_value(hostile), hive::dword(1)},
                    broken_utf16,
                    ValueStatus::State::changed}};
  status.result = firstboot::Result{
      "0123456789abcdef", 1, firstboot::Status::retry, {{true, -1, hostile}}, {{"0", hostile, {}}}};
  outcome.warnings = {hostile};
  return outcome;
}

bool is_utf8(const std::string& text) {
  try {
    return !json(text).dump().empty();
  } catch (const json::exception&) {
    return false;
  }
}

// Nothing but printable text in UTF-8 and the ends of our own lines.
void expect_harmless(const std::string& text, std::ptrdiff_t lines) {
  const auto is_control = [](char c) {
    return c != '\n' && (static_cast<unsigned char>(c) < ' ' || c == '\x7f');
  };
  const bool has_c1 = text.find("\xc2\x9b") != std::string::npos;
  EXPECT_FALSE(has_c1 || std::any_of(text.begin(), text.end(), is_control)) << text;
  EXPECT_TRUE(is_utf8(text)) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), lines) << text;
}

constexpr std::array message_statuses = {Status::refused, Status::failed, Status::unchanged};

TEST(ReportHostile, TextEscapesControlCharactersOfTheGuest) {
  const std::string text = report(hostile_guest(controls), {});
  expect_harmless(text, 9);
  EXPECT_NE(text.find("\\x1b[2J"), std::string::npos) << text;
}

TEST(ReportHostile, TextOfAGuestIsUtf8) {
  expect_harmless(report(hostile_guest(not_utf8), {}), 9);
}

TEST(ReportHostile, TextEscapesMessagesThatQuoteTheGuest) {
  for (const std::string& hostile : {controls, not_utf8}) {
    expect_harmless(report(hostile_message(Status::refused, hostile), {}), 2);
    expect_harmless(report(hostile_message(Status::failed, hostile), {}), 1);
    expect_harmless(report(hostile_message(Status::unchanged, hostile), {}), 2);
  }
}

TEST(ReportHostile, JsonIsOneLineOfUtf8WhateverTheGuestSays) {
  const std::string breaks_out = "\"},{\"status\":\"patched";
  for (const std::string& hostile : {controls, not_utf8, breaks_out}) {
    std::vector<Outcome> outcomes = {hostile_guest(hostile)};
    for (const Status status : message_statuses)
      outcomes.push_back(hostile_message(status, hostile));
    for (const Outcome& outcome : outcomes) {
      const std::string text = report(outcome, {.json = true});
      EXPECT_TRUE(is_utf8(text)) << text;
      EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
      EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
      // Nor where a program has read it and shows a string as it is.
      const std::string raw = json::parse(text).dump(-1, ' ', false);
      EXPECT_EQ(text.find("\\u001b"), std::string::npos) << text;
      EXPECT_EQ(raw.find("\xc2\x9b"), std::string::npos) << raw;
      EXPECT_NE(json::parse(text)["status"], "patched");
    }
  }
}

TEST(ReportHostile, StatusEscapesWhatTheGuestSays) {
  const std::string long_text(1 << 20, '\x1b');
  for (const std::string& hostile : {controls, not_utf8, long_text}) {
    expect_harmless(report(hostile_status(hostile), {}), 10);
    const std::string text = report(hostile_status(hostile), {.json = true});
    expect_harmless(text, 1);
    const json patch = json::parse(text)["patch"];
    for (const json& shown :
         {patch["record_damage"], patch["version"], patch["values"][0]["before"],
          patch["values"][0]["present"], patch["firstboot"]["result"]["commands"][0]["command"],
          patch["firstboot"]["result"]["work"][0]["name"]})
      expect_harmless(shown.get<std::string>(), 0);
  }
}

TEST(ReportHostile, JsonShowsWhereTextWasNotUtf8) {
  const json object =
      json::parse(report(hostile_message(Status::failed, "disk \xff full"), {.json = true}));
  EXPECT_EQ(object["error"], "disk \\xff full");
}

TEST(ReportHostile, JsonOfAGuestHasNoControlCharacters) {
  expect_harmless(report(hostile_guest(controls), {.json = true}), 1);
}

// DEL and U+009B (CSI) are allowed in JSON, but a terminal may obey the latter.
TEST(ReportHostile, JsonOfMessagesHasNoControlCharacters) {
  for (const Status status : message_statuses)
    expect_harmless(report(hostile_message(status, controls), {.json = true}), 1);
}

TEST(ReportHostile, JsonOfTheGuestHasNoControlCharactersWhenItIsDecoded) {
  const json object = json::parse(report(hostile_guest(controls), {.json = true}));
  for (const json& text :
       {object["guest"]["product_name"], object["guest"]["system_root"], object["edits"][0]["old"]})
    expect_harmless(text.get<std::string>(), 0);
}

}  // namespace
}  // namespace kvmnet::cli

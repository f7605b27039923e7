// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/record.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/plan/firstboot.h"
#include "src/plan/record_json.h"
#include "src/support/error.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using nlohmann::json;

Record sample() {
  Record record;
  record.version = "0.1.0";
  record.profile = "wiki";
  record.keys = {{"ControlSet001", plan_tests::afd_key},
                 {"ControlSet001", std::string(firstboot_service_key)}};
  record.values = {
      {"ControlSet001", plan_tests::tcpip_key, "EnableWsd", std::nullopt, hive::dword(0)},
      {"ControlSet002", plan_tests::tcpip_key, "TcpWindowSize", hive::sz("1\x1b"), hive::dword(5)},
      {"ControlSet002", plan_tests::tcpip_key, "Tcp1323Opts", hive::Value{}, hive::dword(1)}};
  record.reg_values = {{hive::KeyPath::parse("ControlSet001\\Services\\\u00e4"), "\u00e4",
                        std::nullopt, hive::sz("x")},
                       {hive::KeyPath::parse("Setup"), "", hive::dword(1), std::nullopt}};
  record.reg_keys = {hive::KeyPath::parse("ControlSet001\\Services\\\u00e4")};
  record.files = {"Setup/Scripts/SetupComplete.cmd", "kvmnet/firstboot-01.cmd",
                  "kvmnet/firstboot.cmd"};
  record.directories = {"Setup", "Setup/Scripts", "kvmnet"};
  record.commands = {"set heuristics disabled", "set supplemental template=custom icw=4"};
  record.begun = true;
  return record;
}

// The sample with one field replaced; `place` is a JSON pointer.
std::string with(const std::string& place, const json& value) {
  json record = json::parse(record_text(sample()));
  record[json::json_pointer(place)] = value;
  return record.dump();
}

TEST(Record, ComesBackFromItsText) {
  EXPECT_EQ(parse_record(record_text(sample())), sample());
  EXPECT_EQ(parse_record(record_text(Record())), Record());
  Record restoring = sample();
  restoring.state = Record::State::restoring;
  EXPECT_EQ(parse_record(record_text(restoring)), restoring);
}

TEST(Record, IsPlainAsciiText) {
  for (const char c : record_text(sample())) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~'));
}

TEST(Record, NamesOnlyWhatKvmnetKnows) {
  const std::vector<std::pair<std::string, json>> wrong = {
      {"/kvmnet_record", 2},
      {"/kvmnet_record", "1"},
      {"/state", "gone"},
      {"/version", "0.1\x1b[2J"},
      {"/version", std::string(41, '1')},
      {"/profile", "a b"},
      {"/keys/0/set", "ControlSet1"},
      {"/keys/0/set", "ControlSet001\\Control"},
      {"/keys/0/key", "Services\\Dhcp"},
      {"/keys/0/key", "Services\\Tcpip"},
      {"/values/0/set", "Select"},
      {"/values/0/key", "Services\\kvmnet-firstboot"},
      {"/values/0/name", "enablewsd"},
      {"/values/0/name", "Hostname"},
      {"/values/0/before", 1},
      {"/values/0/after", nullptr},
      {"/values/0/after/type", 12},
      {"/values/0/after/type", -1},
      {"/values/0/after/data", "0"},
      {"/values/0/after/data", "0G"},
      {"/values/0/after/data", "AA"},
      {"/files/0", "System32/drivers/etc/hosts"},
      {"/files/0", "kvmnet/../System32/config/SYSTEM"},
      {"/files/0", "kvmnet/firstboot-00.cmd"},
      {"/directories/0", "System32"},
      {"/directories/0", "setup"},
      {"/directories/1", "Setup/Scripts/"},
      {"/directories/2", "../Windows"},
      {"/commands/0", "set global autotuninglevel=normal & calc"},
      {"/commands/0", "set heuristics keep"},
      {"/commands/0", "reset"},
      {"/reg_values/0/key", ""},
      {"/reg_values/0/key", "a\\\\b"},
      {"/reg_values/0/key", std::string(256, 'a')},
      {"/reg_values/0/key", "Select"},
      {"/reg_values/0/key", "ControlSet009\\services\\KVMNET-firstboot\\Parameters"},
      {"/reg_values/0/key", 1},
      {"/reg_values/0/name", std::string("a\0b", 3)},
      {"/reg_values/0/name", std::string(16384, 'a')},
      {"/reg_values/0/after/type", 12},
      {"/reg_values/0/after/data", "0"},
      {"/reg_values/1/before", 1},
      {"/reg_values", json::object()},
      {"/reg_keys/0", ""},
      {"/reg_keys/0", "select\\a"},
      {"/reg_keys/0", std::string("A\\b\0c", 5)},
      {"/reg_keys/0", "A\\b\x1b"},
      {"/reg_keys/0", "ControlSet001\\Services\\kvmnet-firstboot"},
      {"/reg_keys", json(std::vector<std::string>(1001, "a"))},
      {"/begun", 1},
      {"/values", json::object()},
      {"/commands", json(std::vector<std::string>(1001, "set heuristics disabled"))}};
  for (const auto& [place, value] : wrong)
    EXPECT_THROW(parse_record(with(place, value)), Error) << place << " = " << value;
  EXPECT_NO_THROW(parse_record(with("/values/0/after/type", 7)));
}

TEST(Record, HasEachValueOnce) {
  const json value = json::parse(record_text(sample())).at("values").at(1);
  EXPECT_THROW(parse_record(with("/values/0", value)), Error);
  json twin = json::parse(record_text(sample())).at("reg_values").at(1);
  twin["key"] = "SETUP";
  EXPECT_THROW(parse_record(with("/reg_values/0", twin)), Error);
  // Nor once as a value of kvmnet's, and once as one of .reg files.
  twin["key"] = std::string("ControlSet002\\") + plan_tests::tcpip_key;
  twin["name"] = "tcpwindowsize";
  EXPECT_THROW(parse_record(with("/reg_values/0", twin)), Error);
}

// Windows keeps four. Each is compared with each that the guest has.
TEST(Record, NamesAFewControlSetsAtMost) {
  json record = json::parse(record_text(sample()));
  record["values"] = record["reg_values"] = record["reg_keys"] = record["keys"] = json::array();
  for (int set = 1; set <= 17; ++set) {
    EXPECT_NO_THROW(parse_record(record.dump())) << set;
    record["reg_keys"].push_back(fmt::format("ControlSet{:03}\\A", set));
    record["reg_keys"].push_back(fmt::format("CONTROLSET{:03}\\B", set));
  }
  EXPECT_THROW(parse_record(record.dump()), Error);
}

TEST(Record, OfAPatchBeforeThereWereRegFilesIsStillRead) {
  json old = json::parse(record_text(sample()));
  old.erase("reg_values");
  old.erase("reg_keys");
  EXPECT_TRUE(parse_record(old.dump()).reg_values.empty());
  EXPECT_EQ(parse_record(old.dump()).values, sample().values);
}

TEST(Record, HasAllValuesInOneForm) {
  const auto all = all_values(sample());
  ASSERT_EQ(all.size(), 5U);
  EXPECT_TRUE(
      all[0].is(hive::KeyPath::parse("controlset001\\services\\TCPIP\\Parameters"), "enablewsd"));
  EXPECT_EQ(all[0].after, hive::dword(0));
  EXPECT_EQ(all[4].before, hive::dword(1));
}

TEST(Record, HasNoNul) {
  EXPECT_NO_THROW(parse_record(record_text(sample()) + "\n"));
  EXPECT_THROW(parse_record(record_text(sample()) + '\0'), Error);
}

TEST(Record, OfANewerKvmnetIsCalledSo) {
  EXPECT_THROW(parse_record(with("/kvmnet_record", 2)), NewerRecord);
  EXPECT_NO_THROW(parse_record(with("/kvmnet_record", 1)));
}

TEST(Record, IsNotMissingAnything) {
  const json whole = json::parse(record_text(sample()));
  for (const auto& [name, value] : whole.items()) {
    if (name.starts_with("reg_")) continue;
    json without = whole;
    without.erase(name);
    EXPECT_THROW(parse_record(without.dump()), Error) << name;
  }
}

TEST(Record, OfAnotherFormIsAnError) {
  const std::string text = record_text(sample());
  for (std::size_t size = 0; size + 1 < text.size(); ++size)
    EXPECT_THROW(parse_record(text.substr(0, size)), Error) << size;
  for (const std::string& other :
       {std::string(), std::string("[]"), std::string("null"), std::string("\xff\xfe{"),
        std::string(100'000, '['), std::string(largest_record + 1, ' '),
        std::string("{\"kvmnet_record\":1e999}")})
    EXPECT_THROW(parse_record(other), Error);
}

TEST(Record, HasNumbersThatAreNumbers) {
  const json whole = json::parse(record_text(sample()));
  for (const json& wrong :
       {json(true), json(1.9), json(1.0), json(4294967297), json(-1), json("1")}) {
    json changed = whole;
    changed["kvmnet_record"] = wrong;
    EXPECT_THROW(parse_record(changed.dump()), Error) << wrong;
    changed = whole;
    changed["values"][0]["after"]["type"] = wrong;
    EXPECT_THROW(parse_record(changed.dump()), Error) << wrong;
  }
}

TEST(Record, KnowsTheFilesOfAPatchAndItsFirstBoots) {
  for (const char* path :
       {"kvmnet/record.json", "kvmnet/firstboot.cmd", "kvmnet/firstboot.log",
        "kvmnet/firstboot.result", "kvmnet/firstboot.ran", "kvmnet/firstboot-01.cmd",
        "kvmnet/firstboot-99.log", "kvmnet/firstboot-before.txt", "kvmnet/firstboot.boot3",
        "kvmnet/firstboot.lock"})
    EXPECT_TRUE(is_our_file(path)) << path;
  for (const char* path : {"kvmnet/notes.txt", "kvmnet/firstboot-100.log", "firstboot.cmd",
                           "Setup/Scripts/SetupComplete.cmd", "kvmnet/", ""})
    EXPECT_FALSE(is_our_file(path)) << path;
}

}  // namespace
}  // namespace kvmnet

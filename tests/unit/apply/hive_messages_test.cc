// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_messages.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/support/error.h"

namespace kvmnet {
namespace {

Facts sample() {
  Facts facts;
  facts.system = {hive::Condition::clean, "", 3, false};
  facts.architecture = Architecture::amd64;
  facts.setup_unfinished = true;
  facts.select = {1, 2, 3, 0xFFFFFFFF};
  ControlSet set;
  set.name = "ControlSet002";
  set.keys["Services\\Tcpip"] = std::nullopt;
  set.keys["Services\\AFD"] = {{"Name\u00fc", {static_cast<hive::Type>(99), {std::byte{0}}}},
                               {"", {}}};
  set.interfaces_with_window = {"{1}"};
  facts.control_sets = {set};
  return facts;
}

TEST(HiveMessages, CarryEveryFactOfASystemHive) {
  EXPECT_EQ(decode_facts(encode(sample())), sample());
  EXPECT_EQ(decode_facts(encode(Facts())), Facts());
}

TEST(HiveMessages, CarryEveryPartOfAnEdit) {
  const hive::KeyEdit edit = {
      hive::KeyPath::parse("a\\b"), {{"x", hive::dword(1)}}, {"gone", ""}, true};
  const auto edits = decode_edits(encode(std::vector{edit, hive::KeyEdit{}}));
  ASSERT_EQ(edits.size(), 2U);
  EXPECT_EQ(edits[0].key, edit.key);
  EXPECT_EQ(edits[0].set, edit.set);
  EXPECT_EQ(edits[0].remove, edit.remove);
  EXPECT_TRUE(edits[0].remove_key);
  EXPECT_FALSE(edits[1].removes());
}

TEST(HiveMessages, CutAnywhereAreAnError) {
  const std::string message = encode(sample());
  for (std::size_t size = 0; size < message.size(); ++size)
    EXPECT_THROW(decode_facts(message.substr(0, size)), Error) << size;
}

TEST(HiveMessages, OfAnotherFormAreAnError) {
  const auto packed = [](const nlohmann::json& json) {
    const auto bytes = nlohmann::json::to_cbor(json);
    return std::string(bytes.begin(), bytes.end());
  };
  for (const auto& json : {nlohmann::json(), nlohmann::json(1), nlohmann::json::array({1, 2}),
                           nlohmann::json({{"system", 1}}), nlohmann::json("text")})
    EXPECT_THROW(decode_facts(packed(json)), Error) << json;
  EXPECT_THROW(decode_cleaning(packed({{"policy", 7}, {"in_use", 0}})), Error);
}

// What 1e300 is as a whole number the language does not say.
TEST(HiveMessages, WithFractionsAreAnError) {
  const std::string message = encode(sample());
  for (const double number : {1e300, 1.5, 2.0}) {
    auto json = nlohmann::json::from_cbor(message);
    json["select"][0] = number;
    const auto bytes = nlohmann::json::to_cbor(json);
    EXPECT_THROW(decode_facts({reinterpret_cast<const char*>(bytes.data()), bytes.size()}), Error)
        << number;
  }
}

TEST(HiveMessages, NameControlSetsAsWindowsDoesOrAreAnError) {
  for (const char* name : {"ControlSet\x1b[2J", "ControlSet", "ControlSet1", "Other001",
                           "ControlSet001\\..", "ControlSet0000000000000001"}) {
    Facts facts = sample();
    facts.control_sets[0].name = name;
    EXPECT_THROW(decode_facts(encode(facts)), Error) << name;
  }
}

// The process behind the wall may have been taken over: its answer must not take us down either.
TEST(HiveMessages, OfAnyDepthOrSizeCostLittle) {
  EXPECT_THROW(decode_facts(std::string(1 << 20, '\x81')), Error);  // arrays in arrays
  EXPECT_THROW(decode_facts("\x9f" + std::string(1 << 24, '\x80') + "\xff"), Error);
}

}  // namespace
}  // namespace kvmnet

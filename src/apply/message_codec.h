// SPDX-License-Identifier: GPL-2.0-or-later
// What the messages over the wall have in common: the parts that several of them carry, and how
// they are packed. For the .cc files of the messages only.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hive/key_path.h"
#include "hive/replay.h"
#include "hive/value.h"
#include "src/apply/hive_messages.h"
#include "src/plan/facts.h"
#include "src/support/error.h"

namespace kvmnet::codec {

using nlohmann::json;

std::string pack(const json& message);

[[noreturn]] void throw_nonsense();

// The message as JSON. Throws Error for what is none, or deeper or larger than any answer is.
json parse(std::string_view message);
// The same of a message from this program's own side, which may be as large as its files are.
json parse_own(std::string_view message);

// `read` makes a T of a message; whatever it trips over is one error.
template <typename T, typename Read>
T read_all(const json& message, Read read) {
  try {
    return read(message);
  } catch (const json::exception&) {
    throw_nonsense();
  }
}
template <typename T, typename Read>
T unpack(std::string_view message, Read read) {
  return read_all<T>(parse(message), read);
}
template <typename T, typename Read>
T unpack_own(std::string_view message, Read read) {
  return read_all<T>(parse_own(message), read);
}

// An enumerator from the other side of the wall.
template <typename T>
T checked(int number, T last) {
  if (number < 0 || number > static_cast<int>(last)) throw_nonsense();
  return static_cast<T>(number);
}

json to_json(const hive::NamedValue& value);
json to_json(const std::vector<hive::NamedValue>& values);
std::vector<hive::NamedValue> to_values(const json& from);

// Type and data; null: there is no value.
json to_json(const std::optional<hive::Value>& value);
std::optional<hive::Value> to_optional_value(const json& from);

hive::KeyPath to_key(const json& from);

json to_json(const HiveFacts& facts);
HiveFacts to_hive_facts(const json& from);

json to_json(const std::vector<hive::LogKind>& kinds);
std::vector<hive::LogKind> to_log_kinds(const json& from);

json to_json(const Cleaning& cleaning);
Cleaning to_cleaning(const json& from);

}  // namespace kvmnet::codec

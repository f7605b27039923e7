// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/message_codec.h"

#include <span>

#include "hive/error.h"

namespace kvmnet::codec {
namespace {

// The library's own reader goes as deep as the message says, and takes more memory than it has
// bytes. And of 1e300 where a whole number is wanted it makes what the language leaves open; no
// answer has fractions.
class Bounds : public nlohmann::json_sax<json> {
 public:
  bool null() override { return count(); }
  bool boolean(bool /*value*/) override { return count(); }
  bool number_integer(number_integer_t /*value*/) override { return count(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return count(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return false; }
  bool string(string_t& /*value*/) override { return count(); }
  bool binary(binary_t& /*value*/) override { return count(); }
  bool start_object(std::size_t /*elements*/) override { return enter(); }
  bool key(string_t& /*value*/) override { return count(); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t /*elements*/) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t /*at*/, const std::string& /*last*/,
                   const json::exception& /*error*/) override {
    return false;
  }

 private:
  static constexpr int deepest = 8;
  static constexpr std::size_t most = 1'000'000;
  bool count() { return ++count_ <= most; }
  bool enter() { return ++depth_ <= deepest && count(); }
  bool leave() {
    --depth_;
    return true;
  }

  int depth_ = 0;
  std::size_t count_ = 0;
};

json data_of(const hive::Value& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(value.data.data());
  return json::binary({bytes, bytes + value.data.size()});
}

hive::Value to_value(const json& type, const json& data) {
  hive::Value value{static_cast<hive::Type>(type.get<std::uint32_t>()), {}};
  const auto bytes = std::as_bytes(std::span(data.get_binary()));
  value.data.assign(bytes.begin(), bytes.end());
  return value;
}

hive::NamedValue to_named_value(const json& from) {
  return {from.at("name").get<std::string>(), to_value(from.at("type"), from.at("data"))};
}

}  // namespace

std::string pack(const json& message) {
  const std::vector<std::uint8_t> bytes = json::to_cbor(message);
  return {bytes.begin(), bytes.end()};
}

void throw_nonsense() {
  throw Error("the process that reads the hive has given an answer without sense");
}

json parse(std::string_view message) {
  Bounds bounds;
  if (!json::sax_parse(message.begin(), message.end(), &bounds, json::input_format_t::cbor))
    throw_nonsense();
  return parse_own(message);
}

json parse_own(std::string_view message) {
  try {
    return json::from_cbor(message.begin(), message.end());
  } catch (const json::exception&) {
    throw_nonsense();
  }
}

json to_json(const hive::NamedValue& value) {
  return {{"name", value.name},
          {"type", static_cast<std::uint32_t>(value.value.type)},
          {"data", data_of(value.value)}};
}

json to_json(const std::optional<hive::Value>& value) {
  if (!value) return {};
  return json::array({static_cast<std::uint32_t>(value->type), data_of(*value)});
}

std::optional<hive::Value> to_optional_value(const json& from) {
  if (from.is_null()) return std::nullopt;
  return to_value(from.at(0), from.at(1));
}

hive::KeyPath to_key(const json& from) {
  hive::KeyPath key;
  try {
    for (const auto& name : from.get<std::vector<std::string>>()) key = key / name;
  } catch (const hive::Error&) {
    throw_nonsense();
  }
  return key;
}

json to_json(const std::vector<hive::NamedValue>& values) {
  json list = json::array();
  for (const hive::NamedValue& value : values) list.push_back(to_json(value));
  return list;
}

std::vector<hive::NamedValue> to_values(const json& from) {
  std::vector<hive::NamedValue> values;
  for (const json& value : from) values.push_back(to_named_value(value));
  return values;
}

json to_json(const HiveFacts& facts) {
  return {{"condition", static_cast<int>(facts.condition)},
          {"reason", facts.reason},
          {"replayed", facts.replayed},
          {"logs_given_up", facts.logs_given_up}};
}

HiveFacts to_hive_facts(const json& from) {
  return {checked(from.at("condition").get<int>(), hive::Condition::damaged),
          from.at("reason").get<std::string>(), from.at("replayed").get<std::size_t>(),
          from.at("logs_given_up").get<bool>()};
}

json to_json(const std::vector<hive::LogKind>& kinds) {
  json list = json::array();
  for (const hive::LogKind kind : kinds) list.push_back(static_cast<int>(kind));
  return list;
}

std::vector<hive::LogKind> to_log_kinds(const json& from) {
  std::vector<hive::LogKind> kinds;
  for (const json& kind : from) kinds.push_back(checked(kind.get<int>(), hive::LogKind::not_a_log));
  return kinds;
}

json to_json(const Cleaning& cleaning) {
  return {{"policy", static_cast<int>(cleaning.policy)}, {"in_use", cleaning.logs_in_use}};
}

Cleaning to_cleaning(const json& from) {
  return {checked(from.at("policy").get<int>(), DirtyHive::use_primary),
          from.at("in_use").get<std::size_t>()};
}

}  // namespace kvmnet::codec

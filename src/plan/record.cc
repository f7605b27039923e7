// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "hive/error.h"
#include "src/plan/facts.h"
#include "src/plan/firstboot.h"
#include "src/plan/plan_firstboot.h"
#include "src/plan/plan_record.h"
#include "src/plan/record_json.h"
#include "src/plan/restore.h"
#include "src/plan/settings.h"
#include "src/plan/setup_complete.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view log_path = "kvmnet/firstboot.log";

// Raised when a field changes its meaning or goes.
constexpr std::uint32_t format = 1;

constexpr std::array<std::string_view, 2> states = {"patched", "restoring"};

[[noreturn]] void fail(const std::string& what) {
  throw Error("not a record of kvmnet: " + what);
}

// Types without a name are left to those who know them.
constexpr bool is_known_type(std::uint32_t type) {
  constexpr std::uint32_t last_of_winnt = 11;  // REG_QWORD
  return type <= last_of_winnt;
}

std::string hex(const hive::Bytes& bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

std::uint8_t digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  fail("data that are not hexadecimal");
}

hive::Bytes from_hex(std::string_view text) {
  if (text.size() % 2 != 0) fail("data of half a byte");
  hive::Bytes bytes;
  for (std::size_t i = 0; i < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(digit(text[i]) * 16 + digit(text[i + 1])));
  return bytes;
}

ordered_json to_json(const hive::Value& value) {
  return {{"type", static_cast<std::uint32_t>(value.type)}, {"data", hex(value.data)}};
}

// The library would make a number of "true" and 1.5, and cut what is too large.
std::uint32_t to_number(const json& from) {
  if (!from.is_number_unsigned() || from.get<std::uint64_t>() > 0xFFFFFFFF)
    fail("something else where a number should be");
  return from.get<std::uint32_t>();
}

hive::Value to_value(const json& from) {
  const std::uint32_t type = to_number(from.at("type"));
  if (!is_known_type(type)) fail(fmt::format("a value of type {}", type));
  return {static_cast<hive::Type>(type), from_hex(from.at("data").get<std::string>())};
}

std::string to_set(const json& from) {
  auto name = from.get<std::string>();
  if (!is_control_set_name(name)) fail("a control set with another name than Windows gives");
  return name;
}

RecordedKey to_key(const json& from) {
  RecordedKey key = {to_set(from.at("set")), from.at("key").get<std::string>()};
  const auto known = known_values();
  const bool is_known = std::any_of(known.begin(), known.end(),
                                    [&](const KnownValue& v) { return v.key == key.key; });
  if (!is_known && key.key != firstboot_service_key) fail("a key that kvmnet does not make");
  return key;
}

RecordedValue to_recorded_value(const json& from) {
  RecordedValue value;
  value.set = to_set(from.at("set"));
  value.key = from.at("key").get<std::string>();
  value.name = from.at("name").get<std::string>();
  const auto known = known_values();
  if (std::none_of(known.begin(), known.end(),
                   [&](const KnownValue& v) { return v.key == value.key && v.name == value.name; }))
    fail("a value that kvmnet does not set");
  if (const json& before = from.at("before"); !before.is_null()) value.before = to_value(before);
  value.after = to_value(from.at("after"));
  return value;
}

// Anywhere in the SYSTEM hive, but for what no patch touches.
hive::KeyPath to_reg_key(const json& from) {
  constexpr std::size_t longest = 16 << 10;  // bytes
  const auto text = from.get<std::string>();
  if (text.size() > longest) fail("a key with too long a path");
  if (hive::escaped(text) != text) fail("a key with control characters in its name");
  hive::KeyPath key;
  try {
    key = hive::KeyPath::parse(text);
  } catch (const hive::Error& e) {
    fail(e.what());
  }
  if (key.elements().empty() || is_off_limits(key)) fail("a key that .reg files leave alone");
  return key;
}

// Windows' limit for a value's name, in UTF-16 units (Microsoft, "Registry Element Size Limits").
bool is_value_name(const std::string& name) {
  constexpr std::size_t longest = 16383;
  try {
    return name.find('\0') == std::string::npos && hive::to_utf16le(name).size() / 2 <= longest;
  } catch (const hive::Error&) {
    return false;  // not UTF-8
  }
}

RecordedRegValue to_reg_value(const json& from) {
  RecordedRegValue value = {to_reg_key(from.at("key")), from.at("name").get<std::string>(), {}, {}};
  if (!is_value_name(value.name)) fail("a value with a name that Windows does not give");
  if (const json& before = from.at("before"); !before.is_null()) value.before = to_value(before);
  if (const json& after = from.at("after"); !after.is_null()) value.after = to_value(after);
  return value;
}

std::string to_file(const json& from) {
  auto path = from.get<std::string>();
  if (!is_our_file(path) && path != firstboot::setup_complete_path)
    fail("a file that kvmnet does not write");
  return path;
}

std::string to_directory(const json& from) {
  auto path = from.get<std::string>();
  const auto known = known_directories();
  if (std::find(known.begin(), known.end(), path) == known.end())
    fail("a directory that kvmnet does not make");
  return path;
}

std::string to_command(const json& from) {
  auto command = from.get<std::string>();
  if (!is_known_netsh(command)) fail("a command that kvmnet does not give");
  return command;
}

template <typename Read>
auto to_list(const json& from, Read read) {
  if (!from.is_array() || from.size() > most_recorded) fail("too many entries");
  std::vector<decltype(read(from))> list;
  for (const json& item : from) list.push_back(read(item));
  return list;
}

// No value twice: of two before-states only one can be true.
void check_values(const Record& record) {
  std::set<std::string> names;
  for (const RecordedRegValue& value : all_values(record))
    if (!names.insert(hive::folded(value.key.to_string() + '\0' + value.name)).second)
      fail("a value that is there twice");
}

// Windows itself keeps four; each is looked for in all that the guest has.
void check_control_sets(const Record& record) {
  constexpr std::size_t most = 16;
  std::set<std::string> sets;
  for (const std::string& set : recorded_sets(record)) sets.insert(hive::folded(set));
  if (sets.size() > most) fail("more control sets than Windows has");
}

// Shown to people; and no longer than what kvmnet writes.
std::string to_word(const json& from) {
  auto word = from.get<std::string>();
  if (word.size() > 40 ||
      word.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-~") !=
          std::string::npos)
    fail("a version or profile of another form");
  return word;
}

}  // namespace

std::string_view to_string(Record::State state) {
  return states.at(static_cast<std::size_t>(state));
}

ordered_json to_json(const Record& record) {
  ordered_json keys = ordered_json::array();
  for (const RecordedKey& key : record.keys) keys.push_back({{"set", key.set}, {"key", key.key}});
  ordered_json values = ordered_json::array();
  for (const RecordedValue& v : record.values)
    values.push_back({{"set", v.set},
                      {"key", v.key},
                      {"name", v.name},
                      {"before", v.before ? to_json(*v.before) : ordered_json()},
                      {"after", to_json(v.after)}});
  ordered_json reg_values = ordered_json::array();
  for (const RecordedRegValue& v : record.reg_values)
    reg_values.push_back({{"key", v.key.to_string()},
                          {"name", v.name},
                          {"before", v.before ? to_json(*v.before) : ordered_json()},
                          {"after", v.after ? to_json(*v.after) : ordered_json()}});
  ordered_json reg_keys = ordered_json::array();
  for (const hive::KeyPath& key : record.reg_keys) reg_keys.push_back(key.to_string());
  return {{"kvmnet_record", format},
          {"version", record.version},
          {"profile", record.profile},
          {"state", to_string(record.state)},
          {"keys", std::move(keys)},
          {"values", std::move(values)},
          {"reg_values", std::move(reg_values)},
          {"reg_keys", std::move(reg_keys)},
          {"files", record.files},
          {"directories", record.directories},
          {"commands", record.commands},
          {"begun", record.begun}};
}

Record to_record(const json& from) {
  const auto number = to_number(from.at("kvmnet_record"));
  if (number > format) throw NewerRecord();
  if (number != format) fail("of a format that is not known here");
  Record record;
  record.version = to_word(from.at("version"));
  record.profile = to_word(from.at("profile"));
  const auto state = std::find(states.begin(), states.end(), from.at("state").get<std::string>());
  if (state == states.end()) fail("a state that is none");
  record.state = static_cast<Record::State>(state - states.begin());
  record.keys = to_list(from.at("keys"), to_key);
  record.values = to_list(from.at("values"), to_recorded_value);
  // The first records had none.
  record.reg_values = to_list(from.value("reg_values", json::array()), to_reg_value);
  record.reg_keys = to_list(from.value("reg_keys", json::array()), to_reg_key);
  check_values(record);
  check_control_sets(record);
  record.files = to_list(from.at("files"), to_file);
  record.directories = to_list(from.at("directories"), to_directory);
  record.commands = to_list(from.at("commands"), to_command);
  record.begun = from.at("begun").get<bool>();
  return record;
}

std::vector<RecordedRegValue> all_values(const Record& record) {
  std::vector<RecordedRegValue> all;
  for (const RecordedValue& value : record.values)
    all.push_back(
        {hive::KeyPath::parse(value.set) / value.key, value.name, value.before, value.after});
  all.insert(all.end(), record.reg_values.begin(), record.reg_values.end());
  return all;
}

bool is_off_limits(const hive::KeyPath& key) {
  const auto& names = key.elements();
  if (!names.empty() && hive::same_name(names.front(), "Select")) return true;
  return names.size() >= 3 && hive::same_name(names[1] + "\\" + names[2], firstboot_service_key);
}

std::string record_text(const Record& record) {
  constexpr bool only_ascii = true;
  return to_json(record).dump(1, ' ', only_ascii) + "\n";
}

Record parse_record(std::string_view text) {
  if (text.size() > largest_record) fail("too long");
  if (text.find('\0') != std::string_view::npos)
    fail("a NUL");  // which the parser takes for the end
  try {
    return to_record(json::parse(text));
  } catch (const json::exception& e) {
    fail(hive::escaped(e.what()).substr(0, 200));
  }
}

bool can_be_recorded(const hive::Value& value) {
  return is_known_type(static_cast<std::uint32_t>(value.type));
}

std::vector<std::string> known_directories() {
  std::vector<std::string> paths = {std::string(firstboot::directory)};
  const std::string_view setup = firstboot::setup_complete_path;
  for (std::size_t slash = setup.find('/'); slash != std::string_view::npos;
       slash = setup.find('/', slash + 1))
    paths.emplace_back(setup.substr(0, slash));
  return paths;
}

bool is_our_file(std::string_view path) {
  const std::vector<std::string> files = firstboot_files();
  if (std::find(files.begin(), files.end(), path) != files.end())
    return path != firstboot::setup_complete_path;
  for (const std::string_view other : {record_path, log_path, firstboot::before_path})
    if (path == other) return true;
  if (path == "kvmnet/firstboot-before.new") return true;  // the script was cut off there
  for (std::size_t number = 1; number <= most_user_work; ++number)
    if (path == fmt::format("{}/firstboot-{:02}.log", firstboot::directory, number)) return true;
  return false;
}

}  // namespace kvmnet

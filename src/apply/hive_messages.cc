// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_messages.h"

#include <nlohmann/json.hpp>

#include "src/plan/record_json.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using nlohmann::json;

std::string pack(const json& message) {
  const std::vector<std::uint8_t> bytes = json::to_cbor(message);
  return {bytes.begin(), bytes.end()};
}

constexpr const char* nonsense =
    "the process that reads the hive has given an answer without sense";

// The library's own reader goes as deep as the message says, and takes more memory than it has
// bytes.
class Bounds : public nlohmann::json_sax<json> {
 public:
  bool null() override { return count(); }
  bool boolean(bool /*value*/) override { return count(); }
  bool number_integer(number_integer_t /*value*/) override { return count(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return count(); }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return count(); }
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

// `read` makes a T of a message; whatever it trips over is one error.
template <typename T, typename Read>
T unpack(std::string_view message, Read read) {
  Bounds bounds;
  if (!json::sax_parse(message.begin(), message.end(), &bounds, json::input_format_t::cbor))
    throw Error(nonsense);
  try {
    return read(json::from_cbor(message.begin(), message.end()));
  } catch (const json::exception&) {
    throw Error(nonsense);
  }
}

// The same of a message from this program's own side, which may be as large as its files are.
template <typename T, typename Read>
T unpack_own(std::string_view message, Read read) {
  try {
    return read(json::from_cbor(message.begin(), message.end()));
  } catch (const json::exception&) {
    throw Error(nonsense);
  }
}

// An enumerator from the other side of the wall.
template <typename T>
T checked(int number, T last) {
  if (number < 0 || number > static_cast<int>(last)) throw Error(nonsense);
  return static_cast<T>(number);
}

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

json to_json(const hive::NamedValue& value) {
  return {{"name", value.name},
          {"type", static_cast<std::uint32_t>(value.value.type)},
          {"data", data_of(value.value)}};
}

hive::NamedValue to_value(const json& from) {
  return {from.at("name").get<std::string>(), to_value(from.at("type"), from.at("data"))};
}

// Type and data; nothing: there is no value.
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
  for (const auto& name : from.get<std::vector<std::string>>()) key = key / name;
  return key;
}

json to_json(const std::vector<hive::NamedValue>& values) {
  json list = json::array();
  for (const hive::NamedValue& value : values) list.push_back(to_json(value));
  return list;
}

std::vector<hive::NamedValue> to_values(const json& from) {
  std::vector<hive::NamedValue> values;
  for (const json& value : from) values.push_back(to_value(value));
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

json to_json(const ControlSet& set) {
  json keys = json::object();
  for (const auto& [name, values] : set.keys) keys[name] = values ? to_json(*values) : json();
  return {{"name", set.name},
          {"keys", keys},
          {"with_subkeys", set.with_subkeys},
          {"interfaces", set.interfaces_with_window}};
}

json to_json(const std::vector<ControlSet>& sets) {
  json list = json::array();
  for (const ControlSet& set : sets) list.push_back(to_json(set));
  return list;
}

ControlSet to_control_set(const json& from) {
  ControlSet set;
  set.name = from.at("name").get<std::string>();
  if (!is_control_set_name(set.name)) throw Error(nonsense);
  for (const auto& [name, values] : from.at("keys").items())
    set.keys[name] = values.is_null() ? std::nullopt : std::optional(to_values(values));
  set.with_subkeys = from.at("with_subkeys").get<std::set<std::string>>();
  set.interfaces_with_window = from.at("interfaces").get<std::vector<std::string>>();
  return set;
}

std::vector<ControlSet> to_control_sets(const json& from) {
  std::vector<ControlSet> sets;
  for (const json& set : from) sets.push_back(to_control_set(set));
  return sets;
}

// -1: not known.
template <typename T>
json to_json(const std::optional<T>& enumerator) {
  return enumerator ? static_cast<int>(*enumerator) : -1;
}

template <typename T>
std::optional<T> to_optional(const json& from, T last) {
  const int number = from.get<int>();
  return number == -1 ? std::nullopt : std::optional(checked(number, last));
}

json to_json(const Facts& facts) {
  const Select& select = facts.select;
  return {{"system", to_json(facts.system)},
          {"architecture", to_json(facts.architecture)},
          {"product_type", to_json(facts.product_type)},
          {"setup_unfinished", facts.setup_unfinished},
          {"select", {select.current, select.default_set, select.failed, select.last_known_good}},
          {"control_sets", to_json(facts.control_sets)},
          {"other_sets", to_json(facts.other_sets)}};
}

Facts to_facts(const json& from) {
  Facts facts;
  facts.system = to_hive_facts(from.at("system"));
  facts.architecture = to_optional(from.at("architecture"), Architecture::arm);
  facts.product_type = to_optional(from.at("product_type"), ProductType::domain_controller);
  facts.setup_unfinished = from.at("setup_unfinished").get<bool>();
  const auto select = from.at("select").get<std::array<std::uint32_t, 4>>();
  facts.select = {select[0], select[1], select[2], select[3]};
  facts.control_sets = to_control_sets(from.at("control_sets"));
  facts.other_sets = to_control_sets(from.at("other_sets"));
  return facts;
}

json to_json(const Cleaning& cleaning) {
  return {{"policy", static_cast<int>(cleaning.policy)}, {"in_use", cleaning.logs_in_use}};
}

Cleaning to_cleaning(const json& from) {
  return {checked(from.at("policy").get<int>(), DirtyHive::use_primary),
          from.at("in_use").get<std::size_t>()};
}

json to_json(const hive::RegSection& section) {
  json values = json::array();
  for (const hive::RegValue& value : section.values)
    values.push_back({value.name, to_json(value.value), value.line});
  return {{"key", section.key},
          {"remove", section.remove},
          {"line", section.line},
          {"values", std::move(values)}};
}

hive::RegSection to_section(const json& from) {
  hive::RegSection section;
  section.key = from.at("key").get<std::vector<std::string>>();
  section.remove = from.at("remove").get<bool>();
  section.line = from.at("line").get<unsigned>();
  for (const json& value : from.at("values"))
    section.values.push_back({value.at(0).get<std::string>(), to_optional_value(value.at(1)),
                              value.at(2).get<unsigned>()});
  return section;
}

json to_json(const hive::Change& change) {
  return json::array({static_cast<int>(change.what), change.key.elements(), change.name,
                      to_json(change.old), to_json(change.value), change.line});
}

hive::Change to_change(const json& from) {
  hive::Change change = {checked(from.at(0).get<int>(), hive::Change::What::delete_key),
                         to_key(from.at(1)),
                         from.at(2).get<std::string>(),
                         to_optional_value(from.at(3)),
                         to_optional_value(from.at(4)),
                         from.at(5).get<unsigned>()};
  using What = hive::Change::What;
  const bool complete = change.what == What::set_value      ? change.value.has_value()
                        : change.what == What::delete_value ? change.old.has_value()
                                                            : true;
  if (!complete) throw Error(nonsense);
  return change;
}

}  // namespace

std::string encode(const Cleaning& cleaning) {
  return pack(to_json(cleaning));
}

Cleaning decode_cleaning(std::string_view message) {
  return unpack<Cleaning>(message, to_cleaning);
}

std::string encode(const RemoteHive& hive) {
  return pack({{"policy", static_cast<int>(hive.policy)}, {"sizes", hive.sizes}});
}

RemoteHive decode_remote(std::string_view message) {
  return unpack<RemoteHive>(message, [](const json& from) {
    return RemoteHive{checked(from.at("policy").get<int>(), DirtyHive::use_primary),
                      from.at("sizes").get<std::vector<std::uint64_t>>()};
  });
}

std::string encode(const Facts& facts) {
  return pack(to_json(facts));
}

Facts decode_facts(std::string_view message) {
  return unpack<Facts>(message, to_facts);
}

std::string encode(const SoftwareFacts& facts) {
  json version;
  if (facts.version) version = {facts.version->major, facts.version->minor, facts.version->build};
  return pack({{"condition", to_json(facts.condition)},
               {"version", version},
               {"product_name", facts.product_name},
               {"is_generalised", facts.is_generalised},
               {"is_complete", facts.is_complete},
               {"is_windows_pe", facts.is_windows_pe},
               {"is_undeployable", facts.is_undeployable}});
}

SoftwareFacts decode_software(std::string_view message) {
  return unpack<SoftwareFacts>(message, [](const json& from) {
    SoftwareFacts facts;
    facts.condition = to_hive_facts(from.at("condition"));
    if (const json& version = from.at("version"); !version.is_null()) {
      const auto numbers = version.get<std::array<int, 3>>();
      facts.version = {numbers[0], numbers[1], numbers[2]};
    }
    facts.product_name = from.at("product_name").get<std::string>();
    facts.is_generalised = from.at("is_generalised").get<bool>();
    facts.is_complete = from.at("is_complete").get<bool>();
    facts.is_windows_pe = from.at("is_windows_pe").get<bool>();
    facts.is_undeployable = from.at("is_undeployable").get<bool>();
    return facts;
  });
}

std::string encode(const RecordReading& reading) {
  return pack({{"record", reading.record ? json(to_json(*reading.record)) : json()},
               {"damage", reading.damage}});
}

RecordReading decode_record(std::string_view message) {
  return unpack<RecordReading>(message, [](const json& from) {
    RecordReading reading;
    if (const json& record = from.at("record"); !record.is_null())
      reading.record = to_record(record);
    reading.damage = from.at("damage").get<std::string>();
    if (!reading.record && reading.damage.empty()) throw Error(nonsense);
    return reading;
  });
}

std::string encode(const std::vector<hive::KeyEdit>& edits) {
  json list = json::array();
  for (const hive::KeyEdit& edit : edits)
    list.push_back({{"key", edit.key.elements()},
                    {"set", to_json(edit.set)},
                    {"remove", edit.remove},
                    {"remove_key", edit.remove_key}});
  return pack(list);
}

std::vector<hive::KeyEdit> decode_edits(std::string_view message) {
  return unpack<std::vector<hive::KeyEdit>>(message, [](const json& from) {
    std::vector<hive::KeyEdit> edits;
    for (const json& item : from) {
      edits.push_back({to_key(item.at("key")), to_values(item.at("set")),
                       item.at("remove").get<std::vector<std::string>>(),
                       item.at("remove_key").get<bool>()});
    }
    return edits;
  });
}

std::string encode(const HiveCheck& check) {
  const hive::CheckResult& structure = check.structure;
  json findings = json::array();
  for (const hive::Finding& finding : structure.findings)
    findings.push_back({{"severity", static_cast<int>(finding.severity)},
                        {"offset", finding.offset},
                        {"message", finding.message}});
  return pack({{"condition", to_json(check.condition)},
               {"findings", std::move(findings)},
               {"fatal", structure.fatal},
               {"harmless", structure.harmless},
               {"keys", structure.keys},
               {"values", structure.values},
               {"logs", to_json(check.logs)}});
}

HiveCheck decode_check(std::string_view message) {
  return unpack<HiveCheck>(message, [](const json& from) {
    HiveCheck check;
    check.condition = to_hive_facts(from.at("condition"));
    hive::CheckResult& structure = check.structure;
    for (const json& finding : from.at("findings"))
      structure.findings.push_back(
          {checked(finding.at("severity").get<int>(), hive::Severity::fatal),
           finding.at("offset").get<std::uint64_t>(), finding.at("message").get<std::string>()});
    structure.fatal = from.at("fatal").get<std::size_t>();
    structure.harmless = from.at("harmless").get<std::size_t>();
    structure.keys = from.at("keys").get<std::size_t>();
    structure.values = from.at("values").get<std::size_t>();
    check.logs = to_log_kinds(from.at("logs"));
    return check;
  });
}

std::string encode(const Edited& edited) {
  return pack({{"unsupported", edited.unsupported},
               {"facts", to_json(edited.facts)},
               {"logs", to_json(edited.logs)}});
}

Edited decode_edited(std::string_view message) {
  return unpack<Edited>(message, [](const json& from) {
    Edited edited;
    edited.unsupported = from.at("unsupported").get<std::string>();
    edited.facts = to_facts(from.at("facts"));
    edited.logs = to_log_kinds(from.at("logs"));
    return edited;
  });
}

std::string encode(const Merging& merging) {
  json sections = json::array();
  for (const hive::RegSection& section : merging.sections) sections.push_back(to_json(section));
  return pack({{"cleaning", to_json(merging.cleaning)}, {"sections", std::move(sections)}});
}

Merging decode_merging(std::string_view message) {
  return unpack_own<Merging>(message, [](const json& from) {
    Merging merging = {to_cleaning(from.at("cleaning")), {}};
    for (const json& section : from.at("sections")) merging.sections.push_back(to_section(section));
    return merging;
  });
}

std::string encode(const Merged& merged) {
  json changes = json::array();
  for (const hive::Change& change : merged.changes) {
    if (changes.size() == most_changes) break;
    changes.push_back(to_json(change));
  }
  return pack({{"condition", to_json(merged.condition)},
               {"unsupported", merged.unsupported},
               {"changes", std::move(changes)},
               {"count", merged.count},
               {"logs", to_json(merged.logs)}});
}

Merged decode_merged(std::string_view message) {
  return unpack<Merged>(message, [](const json& from) {
    Merged merged;
    merged.condition = to_hive_facts(from.at("condition"));
    merged.unsupported = from.at("unsupported").get<std::string>();
    for (const json& change : from.at("changes")) merged.changes.push_back(to_change(change));
    merged.count = from.at("count").get<std::size_t>();
    if (merged.count < merged.changes.size()) throw Error(nonsense);
    merged.logs = to_log_kinds(from.at("logs"));
    return merged;
  });
}

std::string encode(const Exporting& exporting) {
  return pack({{"cleaning", to_json(exporting.cleaning)},
               {"key", exporting.key},
               {"path", exporting.path},
               {"encoding", static_cast<int>(exporting.encoding)}});
}

Exporting decode_exporting(std::string_view message) {
  return unpack<Exporting>(message, [](const json& from) {
    return Exporting{to_cleaning(from.at("cleaning")),
                     from.at("key").get<std::vector<std::string>>(),
                     from.at("path").get<std::vector<std::string>>(),
                     checked(from.at("encoding").get<int>(), hive::RegEncoding::utf8)};
  });
}

std::string encode(const Exported& exported) {
  return pack({{"condition", to_json(exported.condition)},
               {"found", exported.found},
               {"left_out", exported.left_out}});
}

Exported decode_exported(std::string_view message) {
  return unpack<Exported>(message, [](const json& from) {
    return Exported{to_hive_facts(from.at("condition")), from.at("found").get<bool>(),
                    from.at("left_out").get<std::vector<std::string>>()};
  });
}

}  // namespace kvmnet

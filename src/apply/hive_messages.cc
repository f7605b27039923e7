// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_messages.h"

#include "src/apply/message_codec.h"
#include "src/plan/record_json.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using codec::checked;
using codec::json;
using codec::pack;
using codec::throw_nonsense;
using codec::to_cleaning;
using codec::to_hive_facts;
using codec::to_json;
using codec::to_key;
using codec::to_log_kinds;
using codec::to_values;
using codec::unpack;

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
  if (!is_control_set_name(set.name)) throw_nonsense();
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
               {"damage", reading.damage},
               {"is_newer", reading.is_newer}});
}

RecordReading decode_record(std::string_view message) {
  return unpack<RecordReading>(message, [](const json& from) {
    RecordReading reading;
    if (const json& record = from.at("record"); !record.is_null())
      reading.record = to_record(record);
    reading.damage = from.at("damage").get<std::string>();
    reading.is_newer = from.at("is_newer").get<bool>();
    if (!reading.record && reading.damage.empty()) throw_nonsense();
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
               {"unsupported_key", edited.unsupported_key.elements()},
               {"logs", to_json(edited.logs)}});
}

Edited decode_edited(std::string_view message) {
  return unpack<Edited>(message, [](const json& from) {
    Edited edited;
    edited.unsupported = from.at("unsupported").get<std::string>();
    edited.unsupported_key = to_key(from.at("unsupported_key"));
    edited.logs = to_log_kinds(from.at("logs"));
    return edited;
  });
}

}  // namespace kvmnet

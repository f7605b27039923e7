// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/reg_messages.h"

#include <algorithm>
#include <map>
#include <set>

#include "hive/reg_path.h"
#include "hive/stored_name.h"
#include "src/apply/message_codec.h"
#include "src/plan/facts.h"
#include "src/plan/record.h"

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
using codec::to_optional_value;
using codec::to_values;
using codec::unpack;
using codec::unpack_own;

json to_json(const hive::RegSection& section) {
  json values = json::array();
  for (const hive::RegValue& value : section.values)
    values.push_back({value.name, to_json(value.value), value.line});
  return {{"key", section.key},
          {"remove", section.remove},
          {"line", section.line},
          {"column", section.column},
          {"values", std::move(values)}};
}

hive::RegSection to_section(const json& from) {
  hive::RegSection section;
  section.key = from.at("key").get<std::vector<std::string>>();
  section.remove = from.at("remove").get<bool>();
  section.line = from.at("line").get<unsigned>();
  section.column = from.at("column").get<unsigned>();
  for (const json& value : from.at("values"))
    section.values.push_back({value.at(0).get<std::string>(), to_optional_value(value.at(1)),
                              value.at(2).get<unsigned>()});
  return section;
}

json to_json(const hive::Change& change) {
  return json::array({static_cast<int>(change.what), change.key.elements(), change.name,
                      to_json(change.old), to_json(change.value), change.line});
}

json to_json(const std::vector<hive::RegSection>& sections) {
  json list = json::array();
  for (const hive::RegSection& section : sections) list.push_back(to_json(section));
  return list;
}

std::vector<hive::RegSection> to_sections(const json& from) {
  std::vector<hive::RegSection> sections;
  for (const json& section : from) sections.push_back(to_section(section));
  return sections;
}

hive::Change to_any_change(const json& from) {
  return {checked(from.at(0).get<int>(), hive::Change::What::delete_key),
          to_key(from.at(1)),
          from.at(2).get<std::string>(),
          to_optional_value(from.at(3)),
          to_optional_value(from.at(4)),
          from.at(5).get<unsigned>()};
}

hive::Change to_change(const json& from) {
  hive::Change change = to_any_change(from);
  using What = hive::Change::What;
  const bool complete = change.what == What::set_value      ? change.value.has_value()
                        : change.what == What::delete_value ? change.old.has_value()
                                                            : true;
  if (!complete) throw_nonsense();
  return change;
}

hive::Change to_right_value(const json& from) {
  hive::Change value = to_any_change(from);
  using What = hive::Change::What;
  const What what = value.value ? What::set_value : What::delete_value;
  if (value.what != what || value.old != value.value) throw_nonsense();
  return value;
}

json to_json(const KeyState& state) {
  return {{"key", state.key.elements()},
          {"is_there", state.is_there},
          {"values", state.values},
          {"subkeys", state.subkeys},
          {"named", to_json(state.named)}};
}

KeyState to_key_state(const json& from) {
  return {to_key(from.at("key")), from.at("is_there").get<bool>(),
          from.at("values").get<std::size_t>(), from.at("subkeys").get<std::size_t>(),
          to_values(from.at("named"))};
}

// A path in a form that is equal for all its spellings. Throws hive::Error for what is no UTF-8.
std::u16string folded_path(const std::vector<std::string>& path) {
  std::u16string text;
  for (const std::string& name : path)
    text += u"\\" + folded(hive::StoredName{hive::to_utf16le(name), false});
  return text;
}

// What sections say. Only the hive knows how it spells names, and what it has; that nothing comes
// back that the files do not say can be seen from here.
class Said {
 public:
  explicit Said(const std::vector<hive::RegSection>& sections) {
    for (const hive::RegSection& section : sections) {
      lines_.emplace(section.line, Line{section, nullptr});
      for (const hive::RegValue& value : section.values)
        lines_.emplace(value.line, Line{section, &value});
    }
  }

  bool has(const hive::Change& change) const {
    const auto [begin, end] = lines_.equal_range(change.line);
    return std::any_of(begin, end, [&](const auto& line) { return is(line.second, change); });
  }

  // As many changes as that can come of it.
  std::size_t size() const { return lines_.size(); }

 private:
  struct Line {
    const hive::RegSection& section;
    const hive::RegValue* value;  // null: the line of the key
  };

  static bool is(const Line& line, const hive::Change& change) {
    using What = hive::Change::What;
    const std::vector<std::string>& key = change.key.elements();
    if (change.what == What::create_key)
      return line.value == nullptr && !line.section.remove && is_on_way(line.section.key, key);
    if (!is_key(line.section.key, key)) return false;
    if (change.what == What::delete_key) return line.value == nullptr && line.section.remove;
    const auto wanted = change.what == What::set_value ? change.value : std::nullopt;
    return line.value != nullptr && line.value->value == wanted &&
           folded_path({line.value->name}) == folded_path({change.name});
  }

  // CurrentControlSet may stand for any control set.
  static bool is_key(std::vector<std::string> said, const std::vector<std::string>& key) {
    if (hive::is_in_current_control_set(said) && !key.empty() && is_control_set_name(key.front()))
      said.front() = key.front();
    return folded_path(said) == folded_path(key);
  }

  // What is made on the way to a key stays where that goes again.
  static bool is_on_way(std::vector<std::string> said, const std::vector<std::string>& key) {
    if (key.empty() || key.size() > said.size()) return false;
    said.resize(key.size());
    return is_key(std::move(said), key);
  }

  std::multimap<unsigned, Line> lines_;
};

// Those on the way to keys that sections want to be there.
std::set<std::u16string> wanted_keys(const std::vector<hive::RegSection>& sections) {
  std::set<std::u16string> keys;
  for (const hive::RegSection& section : sections) {
    if (section.remove) continue;
    for (std::vector<std::string> way = section.key; !way.empty(); way.pop_back())
      if (!keys.insert(folded_path(way)).second) break;
  }
  return keys;
}

bool are_said(const std::vector<hive::Change>& changes,
              const std::vector<hive::RegSection>& sections) {
  const Said said(sections);
  return changes.size() <= said.size() &&
         std::all_of(changes.begin(), changes.end(),
                     [&](const hive::Change& change) { return said.has(change); });
}

bool are_wanted(const std::vector<hive::KeyPath>& keys,
                const std::vector<hive::RegSection>& sections) {
  std::set<std::u16string> wanted = wanted_keys(sections);
  return std::all_of(keys.begin(), keys.end(), [&](const hive::KeyPath& key) {
    return wanted.erase(folded_path(key.elements())) > 0;
  });
}

bool is_asked(const KeyState& state, const AskedKey& asked) {
  return state.key == asked.key && state.named.size() <= asked.values.size() &&
         std::all_of(state.named.begin(), state.named.end(), [&](const hive::NamedValue& value) {
           return std::any_of(
               asked.values.begin(), asked.values.end(),
               [&](const std::string& name) { return hive::same_name(name, value.name); });
         });
}

bool may_change(const hive::KeyPath& key) {
  return !key.elements().empty() && !is_off_limits(key);
}

// `read` as it is for codec::unpack(); a name that is no text is no sense either.
template <typename T, typename Read>
T unpack_names(std::string_view message, Read read) {
  try {
    return unpack<T>(message, read);
  } catch (const hive::Error&) {
    throw_nonsense();
  }
}

// Lines that are said of a question that kvmnet asks lead to no other keys either; but what must
// never be changed is looked at by itself.
void check_answer(const RegFacts& facts, const RegQuestion& question) {
  const bool fits =
      std::equal(facts.keys.begin(), facts.keys.end(), question.keys.begin(), question.keys.end(),
                 is_asked) &&
      std::all_of(facts.missing.begin(), facts.missing.end(), may_change) &&
      std::all_of(facts.changes.begin(), facts.changes.end(),
                  [](const hive::Change& change) { return may_change(change.key); }) &&
      std::all_of(facts.right.begin(), facts.right.end(),
                  [](const hive::Change& value) { return may_change(value.key); }) &&
      are_wanted(facts.missing, question.sections) && are_said(facts.changes, question.sections) &&
      are_said(facts.right, question.sections);
  if (!fits) throw_nonsense();
}

}  // namespace

std::string encode(const Merging& merging) {
  return pack({{"cleaning", to_json(merging.cleaning)},
               {"is_system", merging.is_system},
               {"sections", to_json(merging.sections)}});
}

Merging decode_merging(std::string_view message) {
  return unpack_own<Merging>(message, [](const json& from) {
    return Merging{to_cleaning(from.at("cleaning")), from.at("is_system").get<bool>(),
                   to_sections(from.at("sections"))};
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
               {"unsupported_line", merged.unsupported_line},
               {"changes", std::move(changes)},
               {"count", merged.count},
               {"logs", to_json(merged.logs)}});
}

Merged decode_merged(std::string_view message, const std::vector<hive::RegSection>& sections) {
  return unpack_names<Merged>(message, [&sections](const json& from) {
    Merged merged;
    merged.condition = to_hive_facts(from.at("condition"));
    merged.unsupported = from.at("unsupported").get<std::string>();
    merged.unsupported_line = from.at("unsupported_line").get<unsigned>();
    for (const json& change : from.at("changes")) merged.changes.push_back(to_change(change));
    merged.count = from.at("count").get<std::size_t>();
    if (merged.count < merged.changes.size() || !are_said(merged.changes, sections))
      throw_nonsense();
    merged.logs = to_log_kinds(from.at("logs"));
    return merged;
  });
}

std::string encode(const RegQuestion& question) {
  json keys = json::array();
  for (const AskedKey& asked : question.keys)
    keys.push_back(json::array({asked.key.elements(), asked.values}));
  return pack({{"sections", to_json(question.sections)}, {"keys", std::move(keys)}});
}

RegQuestion decode_reg_question(std::string_view message) {
  return unpack_own<RegQuestion>(message, [](const json& from) {
    RegQuestion question = {to_sections(from.at("sections")), {}};
    for (const json& asked : from.at("keys"))
      question.keys.push_back({to_key(asked.at(0)), asked.at(1).get<std::vector<std::string>>()});
    return question;
  });
}

std::string encode(const RegFacts& facts) {
  json changes = json::array();
  for (const hive::Change& change : facts.changes) changes.push_back(to_json(change));
  json right = json::array();
  for (const hive::Change& value : facts.right) right.push_back(to_json(value));
  json missing = json::array();
  for (const hive::KeyPath& key : facts.missing) missing.push_back(key.elements());
  json keys = json::array();
  for (const KeyState& state : facts.keys) keys.push_back(to_json(state));
  return pack({{"unsupported", facts.unsupported},
               {"unsupported_line", facts.unsupported_line},
               {"changes", std::move(changes)},
               {"right", std::move(right)},
               {"missing", std::move(missing)},
               {"keys", std::move(keys)}});
}

RegFacts decode_reg_facts(std::string_view message, const RegQuestion& question) {
  return unpack_names<RegFacts>(message, [&question](const json& from) {
    RegFacts facts;
    facts.unsupported = from.at("unsupported").get<std::string>();
    facts.unsupported_line = from.at("unsupported_line").get<unsigned>();
    for (const json& change : from.at("changes")) {
      facts.changes.push_back(to_change(change));
      if (facts.changes.back().what == hive::Change::What::delete_key) throw_nonsense();
    }
    for (const json& value : from.at("right")) facts.right.push_back(to_right_value(value));
    for (const json& key : from.at("missing")) facts.missing.push_back(to_key(key));
    for (const json& state : from.at("keys")) facts.keys.push_back(to_key_state(state));
    check_answer(facts, question);
    return facts;
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

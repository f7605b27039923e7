// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/plan_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "src/plan/firstboot.h"
#include "src/plan/netsh.h"
#include "version.h"

namespace kvmnet {
namespace {

// An edited key as its control set and the rest, both spelt as kvmnet has them: a hive may have
// other letter cases.
RecordedKey place_of(const hive::KeyPath& key) {
  const std::string path = key.to_string();
  const std::size_t slash = std::min(path.find('\\'), path.size());
  RecordedKey place = {path.substr(0, slash), path.substr(std::min(slash + 1, path.size()))};
  if (is_control_set_name(place.set))
    place.set.replace(0, control_set_prefix.size(), control_set_prefix);
  for (const KnownValue& known : known_values())
    if (hive::same_name(place.key, known.key)) place.key = known.key;
  return place;
}

bool is_known_key(const RecordedKey& place) {
  const auto known = known_values();
  return is_control_set_name(place.set) &&
         std::any_of(known.begin(), known.end(),
                     [&](const KnownValue& v) { return v.key == place.key; });
}

const KnownValue* known_value(const RecordedKey& place, std::string_view name) {
  if (!is_control_set_name(place.set)) return nullptr;
  for (const KnownValue& known : known_values())
    if (known.key == place.key && hive::same_name(known.name, name)) return &known;
  return nullptr;
}

bool is_there(const Facts& facts, const RecordedKey& place) {
  return std::any_of(facts.control_sets.begin(), facts.control_sets.end(),
                     [&](const ControlSet& set) {
                       return hive::same_name(set.name, place.set) && has_key(set, place.key);
                     });
}

template <typename Element>
void add_once(std::vector<Element>& list, Element element) {
  if (std::find(list.begin(), list.end(), element) == list.end())
    list.push_back(std::move(element));
}

// What an edit does to a value.
struct ValueChange {
  const hive::KeyPath& key;
  const std::string& name;
  std::optional<hive::Value> before;
  std::optional<hive::Value> after;
};

// The entry of `values`, if there is one. An entry there says what the value was set to: where it
// has gone now, that moves to those that .reg files have.
bool note_in_values(const ValueChange& change, const RecordedKey& place, Record& record) {
  const auto found =
      std::find_if(record.values.begin(), record.values.end(), [&](const RecordedValue& value) {
        return value.set == place.set && value.key == place.key &&
               hive::same_name(value.name, change.name);
      });
  if (found == record.values.end()) return false;
  if (change.after) {
    found->after = *change.after;
    return true;
  }
  record.reg_values.push_back({change.key, change.name, found->before, std::nullopt});
  record.values.erase(found);
  return true;
}

bool note_in_reg_values(const ValueChange& change, Record& record) {
  for (RecordedRegValue& value : record.reg_values) {
    if (!value.is(change.key, change.name)) continue;
    value.after = change.after;
    return true;
  }
  return false;
}

void note(const ValueChange& change, Record& record) {
  const RecordedKey place = place_of(change.key);
  if (note_in_values(change, place, record) || note_in_reg_values(change, record)) return;
  const KnownValue* known = known_value(place, change.name);
  if (known != nullptr && change.after)
    record.values.push_back(
        {place.set, place.key, std::string(known->name), change.before, *change.after});
  else
    record.reg_values.push_back({change.key, change.name, change.before, change.after});
}

void note(const Facts& facts, const SetValue& edit, Record& record) {
  RecordedKey place = place_of(edit.key);
  const bool is_service = place.key == firstboot_service_key;
  // The service goes as a whole.
  if (!is_service) note(ValueChange{edit.key, edit.name, edit.old, edit.value}, record);
  if ((is_service || is_known_key(place)) && !is_there(facts, place))
    add_once(record.keys, std::move(place));
}

// Those that .reg files make.
void note_keys(const Facts& facts, Record& record) {
  for (const hive::KeyPath& key : facts.reg.missing) {
    RecordedKey place = place_of(key);
    if (is_known_key(place))
      add_once(record.keys, std::move(place));
    else
      add_once(record.reg_keys, key);
  }
}

void note_commands(const Facts& facts, const Settings& settings, Record& record) {
  const auto planned = plan_netsh(*facts.version, *facts.product_type, settings);
  if (!std::holds_alternative<NetshPlan>(planned)) return;
  for (const NetshStep& step : std::get<NetshPlan>(planned).steps) {
    add_once(record.commands, step.command.arguments);
    for (const NetshCommand& other : step.otherwise) add_once(record.commands, other.arguments);
  }
}

// Those that are missing on the way to the file.
void note_directories(const Facts& facts, std::string_view path, Record& record) {
  for (std::string& directory : known_directories())
    if (path.starts_with(directory + "/") && !facts.directories.contains(directory))
      add_once(record.directories, std::move(directory));
  std::sort(record.directories.begin(), record.directories.end());
}

void note(const Facts& facts, const Settings& settings, const WriteFile& edit, Record& record) {
  add_once(record.files, edit.path);
  note_directories(facts, edit.path, record);
  std::sort(record.files.begin(), record.files.end());
  if (edit.path == firstboot::script_path) note_commands(facts, settings, record);
}

bool is_noted(const Record& record, const hive::KeyPath& key, std::string_view name) {
  const auto all = all_values(record);
  return std::any_of(all.begin(), all.end(),
                     [&](const RecordedRegValue& value) { return value.is(key, name); });
}

// Values that are right already are the patch's, too, for status: they may change later. Those of
// .reg files first: they win over the profile.
enum class RightValues { all, noted_before };
void note_right_values(const Facts& facts, RightValues which, Record& record) {
  const auto folded = [](const hive::KeyPath& key, const std::string& name) {
    return std::pair(hive::folded(key.to_string()), hive::folded(name));
  };
  std::set<std::pair<std::string, std::string>> noted;
  for (const RecordedRegValue& value : all_values(record))
    noted.insert(folded(value.key, value.name));
  for (const hive::Change& value : facts.reg.right)
    if (which == RightValues::all || noted.contains(folded(value.key, value.name)))
      note(ValueChange{value.key, value.name, value.old, value.value}, record);
}

void note_right_values(const Facts& facts, const Settings& settings, Record& record) {
  for (const ControlSet& set : facts.control_sets)
    for (const RegistrySetting& setting : settings.registry) {
      const RecordedKey place =
          place_of(hive::KeyPath::parse(set.name) / std::string(setting.known->key));
      const hive::Value wanted = hive::dword(setting.data);
      if (setting.known->legacy == is_legacy(*facts.version) && is_control_set_name(place.set) &&
          value_of(set, setting.known->key, setting.known->name) == wanted &&
          !is_noted(record, hive::KeyPath::parse(place.set) / place.key, setting.known->name))
        record.values.push_back(
            {place.set, place.key, std::string(setting.known->name), wanted, wanted});
    }
}

std::optional<Refusal> check(const Record& record) {
  for (const RecordedRegValue& value : all_values(record))
    if (value.before && !can_be_recorded(*value.before))
      return Refusal{Reason::hive_not_editable,
                     fmt::format("{} has a type that Windows does not name ({}): it could not be "
                                 "put back",
                                 hive::escaped(path_of_value(value.key.to_string(), value.name)),
                                 static_cast<std::uint32_t>(value.before->type))};
  if (record.reg_values.size() > most_recorded || record.reg_keys.size() > most_recorded)
    return Refusal{Reason::hive_not_editable,
                   fmt::format("patches have changed, or found right, more than {} values, or made "
                               "more keys: more than can be noted for status and revert",
                               most_recorded)};
  if (record_text(record).size() > largest_record)
    return Refusal{Reason::hive_not_editable,
                   "the values that are there are too long to be noted for a later revert"};
  return std::nullopt;
}

bool is_as_patched(const ControlSet& set, const RecordedValue& value) {
  return value_of(set, value.key, value.name) == value.after;
}

bool is_in(const hive::KeyPath& key, std::string_view set) {
  return hive::same_name(key.elements().front(), set);
}

// One value alone, as later Windows have it, can be the guest's own: then the service must have
// been copied, too. What a patch has removed says nothing: it may never have been there.
bool says_enough(const Record& record, const std::string& source, const ControlSet& set) {
  const auto values = std::count_if(record.values.begin(), record.values.end(),
                                    [&source](const RecordedValue& value) {
                                      return value.set == source && value.before != value.after;
                                    });
  const auto reg_values = std::count_if(
      record.reg_values.begin(), record.reg_values.end(), [&source](const RecordedRegValue& value) {
        return value.after && value.before != value.after && is_in(value.key, source);
      });
  const auto reg_keys =
      std::count_if(record.reg_keys.begin(), record.reg_keys.end(),
                    [&source](const hive::KeyPath& key) { return is_in(key, source); });
  return values + reg_values + reg_keys > 1 || has_key(set, firstboot_service_key);
}

bool is_named_by_reg(const Record& record, std::string_view set) {
  return std::any_of(record.reg_values.begin(), record.reg_values.end(),
                     [set](const RecordedRegValue& value) { return is_in(value.key, set); }) ||
         std::any_of(record.reg_keys.begin(), record.reg_keys.end(),
                     [set](const hive::KeyPath& key) { return is_in(key, set); });
}

bool are_values_as_patched(const Record& record, const std::string& source, const ControlSet& set) {
  return std::all_of(record.values.begin(), record.values.end(), [&](const RecordedValue& value) {
    return value.set != source || is_as_patched(set, value);
  });
}

// Whether all that .reg files have done to `source` is in `set`, too.
bool is_reg_as_patched(const Record& record, const std::string& source, const std::string& set,
                       const Facts& facts) {
  return std::all_of(record.reg_values.begin(), record.reg_values.end(),
                     [&](const RecordedRegValue& value) {
                       return !is_in(value.key, source) ||
                              present_value(facts, moved(value.key, set), value.name) ==
                                  value.after;
                     }) &&
         std::all_of(record.reg_keys.begin(), record.reg_keys.end(), [&](const hive::KeyPath& key) {
           return !is_in(key, source) || state_of(facts, moved(key, set)).is_there;
         });
}

bool is_copy(const Record& record, const std::string& source, const ControlSet& set,
             const Facts& facts) {
  return says_enough(record, source, set) && are_values_as_patched(record, source, set) &&
         is_reg_as_patched(record, source, set.name, facts);
}

// Those that the record says nothing of.
std::vector<const ControlSet*> unknown_sets(const Record& record, const Facts& facts) {
  std::vector<const ControlSet*> sets = all_sets(facts);
  std::erase_if(sets, [&record](const ControlSet* set) {
    return knows_set(record, set->name) || is_named_by_reg(record, set->name);
  });
  return sets;
}

void add_set(std::string name, std::vector<std::string>& sets) {
  if (is_control_set_name(name) &&
      std::none_of(sets.begin(), sets.end(),
                   [&name](const std::string& set) { return hive::same_name(set, name); }))
    sets.push_back(std::move(name));
}

bool is_file_of(const Record& record, std::string_view path) {
  return std::find(record.files.begin(), record.files.end(), path) != record.files.end();
}

std::string name_in_directory(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::vector<const ControlSet*> all_sets(const Facts& facts) {
  std::vector<const ControlSet*> sets;
  for (const ControlSet& set : facts.control_sets) sets.push_back(&set);
  for (const ControlSet& set : facts.other_sets) sets.push_back(&set);
  return sets;
}

bool has_firstboot_service(const Facts& facts) {
  const auto sets = all_sets(facts);
  return std::any_of(sets.begin(), sets.end(),
                     [](const ControlSet* set) { return has_key(*set, firstboot_service_key); });
}

bool knows_set(const Record& record, std::string_view set) {
  const auto is_in_it = [set](const auto& entry) { return hive::same_name(entry.set, set); };
  return std::any_of(record.values.begin(), record.values.end(), is_in_it) ||
         std::any_of(record.keys.begin(), record.keys.end(), is_in_it);
}

std::vector<std::string> recorded_sets(const Record& record) {
  std::vector<std::string> sets;
  for (const RecordedValue& value : record.values) add_set(value.set, sets);
  for (const RecordedKey& key : record.keys) add_set(key.set, sets);
  for (const RecordedRegValue& value : record.reg_values)
    add_set(value.key.elements().front(), sets);
  for (const hive::KeyPath& key : record.reg_keys) add_set(key.elements().front(), sets);
  return sets;
}

hive::KeyPath moved(const hive::KeyPath& key, const std::string& set) {
  hive::KeyPath path = hive::KeyPath::parse(set);
  for (std::size_t i = 1; i < key.elements().size(); ++i) path = path / key.elements()[i];
  return path;
}

void add_copy(const Record& record, const std::string& source, const std::string& set,
              Record& all) {
  for (const RecordedValue& value : record.values)
    if (value.set == source)
      all.values.push_back({set, value.key, value.name, value.before, value.after});
  for (const RecordedKey& key : record.keys)
    if (key.set == source) all.keys.push_back({set, key.key});
  for (const RecordedRegValue& value : record.reg_values)
    if (is_in(value.key, source))
      all.reg_values.push_back({moved(value.key, set), value.name, value.before, value.after});
  for (const hive::KeyPath& key : record.reg_keys)
    if (is_in(key, source)) all.reg_keys.push_back(moved(key, set));
}

Record with_possible_copies(const Record& record, const Facts& facts) {
  Record all = record;
  for (const ControlSet* set : unknown_sets(record, facts))
    for (const std::string& source : recorded_sets(record))
      add_copy(record, source, set->name, all);
  return all;
}

Record with_copies(const Record& record, const Facts& facts) {
  Record all = record;
  for (const ControlSet* set : unknown_sets(record, facts))
    for (const std::string& source : recorded_sets(record)) {
      if (!is_copy(record, source, *set, facts)) continue;
      add_copy(record, source, set->name, all);
      break;
    }
  return all;
}

bool has_begun(const Facts& facts) {
  const auto has = [&facts](std::string_view path) {
    return facts.our_files.contains(std::string(path));
  };
  if (facts.record && facts.record->begun) return true;
  // The script removes itself when it is done.
  if (facts.record && is_file_of(*facts.record, firstboot::script_path) &&
      !has(firstboot::script_path))
    return true;
  // What was there is saved before the first command; a boot that was cut off before that has
  // changed nothing.
  return has(firstboot::before_path) || has(firstboot::result_path) || has(firstboot::done_path);
}

std::optional<WriteFile> write_record(const Facts& facts, const Record& record, std::string why) {
  const auto there = facts.files.find(std::string(record_path));
  const auto old =
      there != facts.files.end() ? std::optional(there->second) : std::optional<std::string>();
  std::string text = record_text(record);
  if (old == text && !is_record_open(facts)) return std::nullopt;
  return WriteFile{std::string(record_path), old, std::move(text), std::move(why), true};
}

bool is_record_open(const Facts& facts) {
  return facts.record && (facts.open_paths.contains(std::string(record_path)) ||
                          facts.open_paths.contains(std::string(firstboot::directory)));
}

// A private directory without files of ours is what revert leaves where somebody has put something
// into it.
std::optional<Refusal> check_place_of_record(const Facts& facts) {
  if (facts.record) return std::nullopt;
  if (!facts.our_files.empty())
    return Refusal{
        Reason::record_missing,
        fmt::format("there is %SystemRoot%\\kvmnet\\{} already, but no record.json beside "
                    "it: it is not kvmnet's, or the record was removed",
                    name_in_directory(*facts.our_files.begin()))};
  const std::string directory(firstboot::directory);
  if (facts.directories.contains(directory) && facts.open_paths.contains(directory))
    return Refusal{
        Reason::record_missing,
        "there is a directory %SystemRoot%\\kvmnet already, which others than SYSTEM and "
        "Administrators have access to: it is not kvmnet's"};
  if (has_firstboot_service(facts))
    return Refusal{Reason::record_missing,
                   fmt::format("there is a service {} already, but no record of a patch: it is not "
                               "kvmnet's, or the record was removed",
                               firstboot_service_key)};
  return std::nullopt;
}

std::variant<std::optional<WriteFile>, Refusal> plan_record(const Facts& facts,
                                                            const Settings& settings,
                                                            const std::vector<Edit>& edits) {
  Record record = facts.record ? with_copies(*facts.record, facts) : Record();
  record.state = Record::State::patched;
  record.version = version;
  record.profile = settings.profile;
  record.begun = has_begun(facts);
  note_directories(facts, record_path, record);
  for (const Edit& edit : edits) {
    if (const auto* set = std::get_if<SetValue>(&edit)) note(facts, *set, record);
    if (const auto* gone = std::get_if<DeleteValue>(&edit))
      note(ValueChange{gone->key, gone->name, gone->old, std::nullopt}, record);
    if (const auto* written = std::get_if<WriteFile>(&edit))
      note(facts, settings, *written, record);
  }
  note_keys(facts, record);
  const auto with_right_values = [&](RightValues which) {
    Record all = record;
    note_right_values(facts, which, all);
    note_right_values(facts, settings, all);
    return all;
  };
  std::string why = "notes how everything was, for revert";
  Record whole;
  const bool may_fit = facts.reg.right.size() <= 2 * most_recorded;  // some are noted already
  if (may_fit) whole = with_right_values(RightValues::all);
  if (!may_fit || check(whole)) {
    whole = with_right_values(RightValues::noted_before);
    why += "; no values of .reg files that are right already: too many for a record";
  }
  if (auto refusal = check(whole)) return *refusal;
  return write_record(facts, whole, std::move(why));
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "hive/edit.h"
#include "hive/error.h"
#include "hive/hive.h"
#include "hive/merge_names.h"
#include "hive/new_keys.h"
#include "hive/reg_path.h"
#include "hive/stored_name.h"

namespace kvmnet::hive {
namespace {

// What all sections together want of a key.
struct Wanted {
  bool removed = false;  // with all that is in it; what follows comes after that
  bool present = false;
  std::vector<RegValue> values;  // Windows, too, keeps new values in the order that they came in
  std::map<Name, std::size_t> indices;
  unsigned line = 0;
  unsigned removal_line = 0;
};

void require_writable(const Value& value) {
  const std::size_t size = value.data.size();
  if (size == 0 || size > largest_plain_value)
    throw Unsupported(
        fmt::format("a value of {} bytes: hivex can write 1 to {}", size, largest_plain_value));
}

class Merger {
 public:
  Merger(const Tree& tree, RightValues right)
      : tree_(tree), names_(tree), new_keys_(tree), right_(right) {}

  void add(const RegSection& section) {
    Path path;
    for (const std::string& name : section.key) path.emplace_back(name);
    if (section.remove) {
      if (path.empty())
        throw UnsupportedInLine("the root of a hive cannot be removed", section.line);
      keep_way_to(path);
      forget_below(path, wanted_);
      forget_below(path, spelled_);
      wanted_[path] = {true, false, {}, {}, section.line, section.line};
      return;
    }
    note_spelling(path);
    Wanted& key = want(path, section.line);
    for (const RegValue& value : section.values) add(key, value);
  }

  Merge run() {
    for (auto key = wanted_.begin(); key != wanted_.end(); ++key)
      in_line(key->second.line, [&] { take(key); });
    std::stable_sort(merge_.changes.begin(), merge_.changes.end(),
                     [](const Change& a, const Change& b) { return a.line < b.line; });
    return std::move(merge_);
  }

 private:
  struct Place {
    KeyPath path;  // as the hive spells it, as far as it is there
    CellOffset offset = no_cell;
    CellOffset last = no_cell;         // the last key on the way that is there and stays
    std::vector<std::string> missing;  // what is to be made of it
  };
  using Keys = std::map<Path, Wanted>;

  void take(Keys::const_iterator key) {
    const auto& [path, wanted] = *key;
    Place place = find(path);
    if (wanted.removed && place.offset != no_cell && !would_be_the_same(key, place.offset)) {
      place.last = tree_.key(place.offset).parent;
      remove_key(key, place.path);
      place.offset = no_cell;
      const std::vector<std::string> names = place.path.elements();
      place.missing = {spelling(path, path.size())};
      place.path = {};
      for (std::size_t i = 0; i + 1 < names.size(); ++i) place.path = place.path / names[i];
      place.path = place.path / place.missing.front();
    }
    if (wanted.removed && place.offset == no_cell)
      in_line(wanted.removal_line, [&] { refuse_like_wanted(key->first); });
    if (wanted.present) change(place, wanted);
  }

  // A key that is to go and is not there may be one that is to come, for Windows.
  void refuse_like_wanted(const Path& path) const {
    if (std::all_of(path.begin(), path.end(), is_ascii)) return;  // hivex makes no others
    for (const auto& [other, wanted] : wanted_) {
      const bool may_be_it =
          other.size() >= path.size() &&
          std::equal(path.begin(), path.end(), other.begin(), [](const Name& a, const Name& b) {
            return may_be_same(a.stored(), b.stored());
          });
      if (wanted.present && may_be_it && !starts_with(other, path))
        throw_alike(path.back().text, other[path.size() - 1].text);
    }
  }

  // A value that is set once more keeps its name's letter case.
  static void add(Wanted& key, const RegValue& value) {
    const auto [at, is_new] = key.indices.try_emplace(Name(value.name), key.values.size());
    if (is_new) {
      key.values.push_back(value);
      return;
    }
    RegValue& before = key.values[at->second];
    const std::string name = before.value ? before.name : value.name;
    before = value;
    before.name = name;
  }

  Wanted& want(const Path& path, unsigned line) {
    Wanted& key = wanted_[path];
    if (!key.present) key.line = line;
    key.present = true;
    return key;
  }

  // What was made on the way to a key stays when that goes again.
  void keep_way_to(const Path& path) {
    for (auto key = wanted_.lower_bound(path);
         key != wanted_.end() && starts_with(key->first, path); ++key)
      if (key->second.present) {
        if (path.size() > 1) want({path.begin(), path.end() - 1}, key->second.line);
        return;
      }
  }

  template <typename Map>
  static void forget_below(const Path& path, Map& keys) {
    auto end = keys.lower_bound(path);
    const auto begin = end;
    while (end != keys.end() && starts_with(end->first, path)) ++end;
    keys.erase(begin, end);
  }

  // A new key has the letter case in which it is named first.
  void note_spelling(Path path) {
    while (!path.empty() && spelled_.try_emplace(path, path.back().text).second) path.pop_back();
  }

  std::string spelling(const Path& path, std::size_t length) const {
    const auto found = spelled_.find(
        Path(path.begin(), path.begin() + static_cast<Path::difference_type>(length)));
    return found != spelled_.end() ? found->second : path[length - 1].text;
  }

  // Nothing is below a key that goes.
  Place find(const Path& path) {
    const bool gone = removed_ != nullptr && starts_with(path, *removed_);
    const std::size_t kept = gone ? removed_->size() - 1 : path.size();
    Place place = {{}, tree_.root(), tree_.root(), {}};
    for (std::size_t i = 0; i < path.size(); ++i) {
      const Name& name = path[i];
      const bool may_be_there = i < kept && place.offset != no_cell;
      const auto next = may_be_there ? names_.subkey(place.offset, name) : std::nullopt;
      const std::string spelled = next ? next->name : spelling(path, i + 1);
      place.path = place.path / spelled;
      place.offset = next ? next->offset : no_cell;
      if (!next) {
        place.missing.push_back(spelled);
        continue;
      }
      refuse_link(tree_, place.offset, place.path);
      place.last = next->offset;
    }
    return place;
  }

  // What there is at and below a key once it has gone and come again; null: only a way to others.
  using Desired = std::map<Path, const Wanted*>;
  Desired desired_below(Keys::const_iterator top) const {
    Desired desired;
    for (auto key = top; key != wanted_.end() && starts_with(key->first, top->first); ++key) {
      if (!key->second.present) continue;
      for (Path way = key->first; way.size() > top->first.size();) {
        way.pop_back();
        if (!desired.try_emplace(way, nullptr).second) break;
      }
      desired[key->first] = &key->second;
    }
    return desired;
  }

  // Whether a key that goes and comes again has just what it would have then: a file with [-KEY]
  // and [KEY] is merged again and again. New keys have no class, and the security of their parent.
  bool would_be_the_same(Keys::const_iterator top, CellOffset offset) const {
    const Desired desired = desired_below(top);
    std::vector<std::pair<Path, CellOffset>> pending = {{top->first, offset}};
    const CellOffset security = tree_.key(tree_.key(offset).parent).security;
    std::size_t found = 0;
    while (!pending.empty()) {
      const auto [path, key] = std::move(pending.back());
      pending.pop_back();
      const auto wanted = desired.find(path);
      if (wanted == desired.end() || !is_like_new(tree_.key(key), security) ||
          name_of(tree_.key(key)) != spelling(path, path.size()) || !has_just(key, wanted->second))
        return false;
      ++found;
      for (const CellOffset subkey : tree_.subkeys(key)) {
        pending.emplace_back(path, subkey);
        pending.back().first.emplace_back(name_of(tree_.key(subkey)));
      }
    }
    return found == desired.size();
  }

  static std::string name_of(const KeyRecord& key) {
    return StoredName{key.name, key.latin1_name}.text();
  }

  // Keys in other forms than hivex makes are no such keys: links, names that are not ASCII.
  static bool is_like_new(const KeyRecord& key, CellOffset security) {
    return key.class_name.empty() && key.security == security && key.flags == KeyNode::latin1_name;
  }

  bool has_just(CellOffset key, const Wanted* wanted) const {
    std::size_t expected = 0;
    if (wanted != nullptr)
      expected = static_cast<std::size_t>(
          std::count_if(wanted->values.begin(), wanted->values.end(),
                        [](const RegValue& value) { return value.value.has_value(); }));
    const std::vector<CellOffset> values = tree_.values(key);
    return values.size() == expected &&
           std::all_of(values.begin(), values.end(),
                       [&](CellOffset value) { return is_wanted(value, *wanted); });
  }

  bool is_wanted(CellOffset value, const Wanted& wanted) const {
    const ValueRecord record = tree_.value(value);
    const StoredName name = {record.name, record.latin1_name};
    if (!name.is_text() || record.is_tombstone()) return false;
    const auto at = wanted.indices.find(Name(name.text()));
    if (at == wanted.indices.end()) return false;
    const RegValue& as_wanted = wanted.values[at->second];
    return as_wanted.name == name.text() &&
           as_wanted.value == Value{static_cast<Type>(record.type), tree_.value_data(value)};
  }

  // What is wanted at or below it comes afterwards.
  void remove_key(Keys::const_iterator key, const KeyPath& path) {
    removed_ = &key->first;
    merge_.changes.push_back(
        {Change::What::delete_key, path, {}, std::nullopt, std::nullopt, key->second.removal_line});
    const auto next = std::next(key);
    const bool comes_again =
        key->second.present || (next != wanted_.end() && starts_with(next->first, key->first));
    KeyEdit edit = {path, {}, {}, true};
    (comes_again ? merge_.first : merge_.second).push_back(std::move(edit));
  }

  void change(const Place& place, const Wanted& wanted) {
    KeyEdit edit = {place.path, {}};
    NewNames new_names;
    for (const RegValue& value : wanted.values)
      in_line(value.line, [&] { change_value(edit, place.offset, value, new_names); });
    for (const std::string& name : place.missing) require_creatable(name);
    new_keys_.add(place.path, place.missing.size(), place.last);
    if (place.offset != no_cell && !edit.set.empty())
      require_settable(tree_, place.offset, edit.key);
    if (place.offset == no_cell && edit.set.empty())
      merge_.changes.push_back({Change::What::create_key, edit.key, {}, {}, {}, wanted.line});
    if (place.offset == no_cell || !edit.set.empty() || edit.removes())
      merge_.second.push_back(std::move(edit));
  }

  void change_value(KeyEdit& edit, CellOffset key, const RegValue& value, NewNames& new_names) {
    const auto there = key == no_cell ? std::nullopt : names_.value(key, Name(value.name));
    if (!there) new_names.add(Name(value.name));
    const std::string spelling = there ? there->name : value.name;
    std::optional<Value> old;
    if (there)
      old = Value{static_cast<Type>(tree_.value(there->offset).type),
                  tree_.value_data(there->offset)};
    Change change = {Change::What::set_value, edit.key, spelling, old, value.value, value.line};
    if (!value.value) change.what = Change::What::delete_value;
    if (old == value.value) {
      if (right_ == RightValues::listed) merge_.right.push_back(std::move(change));
      return;
    }
    if (value.value) {
      require_writable(*value.value);
      edit.set.push_back({spelling, *value.value});
    } else {
      edit.remove.push_back(spelling);
    }
    merge_.changes.push_back(std::move(change));
  }

  const Tree& tree_;
  Names names_;
  NewKeys new_keys_;
  RightValues right_;
  Keys wanted_;
  std::map<Path, std::string> spelled_;  // the last element of each path
  const Path* removed_ = nullptr;  // the last key that goes; its descendants follow in the map
  Merge merge_;
};

}  // namespace

unsigned line_of(const Merge& merge, const KeyPath& key) {
  for (const Change& change : merge.changes)
    if (change.key == key) return change.line;
  return 0;
}

Merge merge(const Tree& tree, const std::vector<RegSection>& sections, RightValues right) {
  Merger merger(tree, right);
  for (const RegSection& section : sections) merger.add(section);
  return merger.run();
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "hive/edit.h"
#include "hive/error.h"
#include "hive/hive.h"
#include "hive/new_keys.h"
#include "hive/reg_path.h"
#include "hive/stored_name.h"

namespace kvmnet::hive {
namespace {

// A name as it is compared.
struct Name {
  std::string text;
  Bytes utf16;

  explicit Name(std::string name) : text(std::move(name)), utf16(to_utf16le(text)) {}
  StoredName stored() const { return {utf16, false}; }
  bool operator<(const Name& other) const { return is_before(stored(), other.stored()); }
};
using Path = std::vector<Name>;

bool starts_with(const Path& path, const Path& start) {
  return path.size() >= start.size() &&
         std::equal(start.begin(), start.end(), path.begin(),
                    [](const Name& a, const Name& b) { return !(a < b) && !(b < a); });
}

// What all sections together want of a key.
struct Wanted {
  bool removed = false;  // with all that is in it; what follows comes after that
  bool present = false;
  std::vector<RegValue> values;  // Windows, too, keeps new values in the order that they came in
  std::map<Name, std::size_t> indices;
  unsigned line = 0;
  unsigned removal_line = 0;
};

// Windows' own table of upper-case letters would decide.
[[noreturn]] void throw_undecided(const std::string& name, const std::string& other) {
  throw Unsupported(
      fmt::format("the hive has '{}', which Windows may or may not take for '{}': spell it as the "
                  "hive does, or, where another one is meant, make that in Windows itself",
                  escaped(other), escaped(name)));
}

// The same of two that the files have.
[[noreturn]] void throw_alike(const std::string& name, const std::string& other) {
  throw Unsupported(
      fmt::format("'{}' is to be changed, too, which Windows may or may not take for '{}': spell "
                  "them alike, or, where two are meant, make one of them in Windows itself",
                  escaped(other), escaped(name)));
}

bool is_ascii(const Name& name) {
  return std::all_of(name.text.begin(), name.text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Names of one key that the hive does not have.
class NewNames {
 public:
  // Throws Unsupported if Windows may take it for one of those before.
  void add(Name name) {
    Names& names = by_length_[name.utf16.size()];
    const bool ascii = is_ascii(name);
    refuse_like(name, names.others);
    if (!ascii) refuse_like(name, names.ascii);  // of ASCII names just the same ones are alike
    (ascii ? names.ascii : names.others).push_back(std::move(name));
  }

 private:
  struct Names {
    std::vector<Name> ascii;
    std::vector<Name> others;
  };

  static void refuse_like(const Name& name, const std::vector<Name>& others) {
    for (const Name& other : others)
      if (may_be_same(other.stored(), name.stored())) throw_alike(name.text, other.text);
  }

  std::map<std::size_t, Names> by_length_;
};

void require_writable(const Value& value) {
  const std::size_t size = value.data.size();
  if (size == 0 || size > largest_plain_value)
    throw Unsupported(
        fmt::format("a value of {} bytes: hivex can write 1 to {}", size, largest_plain_value));
}

// A hive's name that is no text reads like one that a .reg file can have, and is another.
[[noreturn]] void throw_no_text(const std::string& name) {
  throw Unsupported(fmt::format(
      "the hive has a name with half a surrogate pair, which reads as '{}': what a .reg "
      "file means by that cannot be told",
      escaped(name)));
}

// Looks for names as Windows does. Each key is read once.
class Names {
 public:
  explicit Names(const Tree& tree) : tree_(tree) {}

  struct Found {
    CellOffset offset = no_cell;
    std::string name;  // as the hive spells it
  };
  std::optional<Found> subkey(CellOffset key, const Name& name) {
    return find(keys_, key, name, [this](CellOffset offset) {
      const KeyRecord record = tree_.key(offset);
      return StoredName{record.name, record.latin1_name};
    });
  }
  std::optional<Found> value(CellOffset key, const Name& name) {
    return find(values_, key, name, [this](CellOffset offset) {
      const ValueRecord record = tree_.value(offset);
      return StoredName{record.name, record.latin1_name};
    });
  }

 private:
  struct Entry {
    CellOffset offset = no_cell;
    bool is_text = true;
  };
  using Listed = std::map<Name, Entry>;
  using All = std::map<CellOffset, Listed>;

  template <typename NameOf>
  std::optional<Found> find(All& all, CellOffset key, const Name& name, NameOf name_of) {
    auto [listed, is_new] = all.try_emplace(key);
    if (is_new)
      for (const CellOffset offset : &all == &keys_ ? tree_.subkeys(key) : tree_.values(key))
        add(name_of(offset), offset, listed->second);
    if (const auto found = listed->second.find(name); found != listed->second.end()) {
      if (!found->second.is_text) throw_no_text(name.text);
      return Found{found->second.offset, found->first.text};
    }
    for (const auto& [other, entry] : listed->second)
      if (may_be_same(other.stored(), name.stored())) throw_undecided(name.text, other.text);
    return std::nullopt;
  }

  // Of two that read alike, one is no text.
  static void add(const StoredName& name, CellOffset offset, Listed& listed) {
    const auto [entry, is_new] = listed.try_emplace(Name(name.text()));
    entry->second.is_text = entry->second.is_text && name.is_text();
    if (is_new) entry->second.offset = offset;
  }

  const Tree& tree_;
  All keys_;
  All values_;
};

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

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>

#include "hive/base_block.h"
#include "hive/error.h"
#include "hive/key_path.h"
#include "hive/tree.h"

namespace kvmnet::hive {
namespace {

// A key that is edited or on the way to one: the edits as a tree.
struct Expected {
  std::string name;  // as the first edit spells it, which creates it
  std::string path;
  bool edited = false;              // values are set in it: it is not only on the way
  bool found = false;               // the edit was made
  bool removed = false;             // it is to go
  std::vector<std::string> remove;  // the names of the values that are to go
  // By their folded names: there may be thousands.
  std::map<std::string, NamedValue> set;  // for each name what was set last
  std::map<std::string, Expected*> children;
};

class ExpectedKeys {
 public:
  explicit ExpectedKeys(const std::vector<KeyEdit>& edits) {
    keys_.emplace_back();
    for (const KeyEdit& edit : edits) add(edit);
  }
  Expected* root() { return &keys_.front(); }
  const std::deque<Expected>& all() const { return keys_; }

  static Expected* child(const Expected& key, std::string_view name) {
    const auto child = key.children.find(folded(name));
    return child != key.children.end() ? child->second : nullptr;
  }

 private:
  void add(const KeyEdit& edit) {
    Expected* key = root();
    for (const std::string& name : edit.key.elements()) {
      Expected* next = child(*key, name);
      if (next == nullptr) {
        next = &keys_.emplace_back();
        next->name = name;
        next->path = key->path + "\\" + name;
        key->children.emplace(folded(name), next);
      }
      key = next;
    }
    key->edited = key->edited || !edit.removes() || !edit.set.empty();
    key->removed = key->removed || edit.remove_key;
    key->remove.insert(key->remove.end(), edit.remove.begin(), edit.remove.end());
    for (const NamedValue& value : edit.set)
      key->set.try_emplace(folded(value.name), value).first->second.value = value.value;
  }

  std::deque<Expected> keys_;  // addresses stay
};

StoredName name_of(const KeyRecord& key) {
  return {key.name, key.latin1_name};
}

StoredName name_of(const ValueRecord& value) {
  return {value.name, value.latin1_name};
}

bool is_stored_alike(const StoredName& a, const StoredName& b) {
  // An empty name has no encoding.
  return same_bytes(a.bytes, b.bytes) && (a.latin1 == b.latin1 || a.bytes.empty());
}

// The names of a key's subkeys, for where their order is not known. Few keys need it.
class StoredNames {
 public:
  StoredNames(const Tree& tree, const std::vector<CellOffset>& keys) : tree_(tree), keys_(keys) {}

  bool has(const StoredName& name) {
    if (names_.empty()) {
      for (const CellOffset key : keys_) names_.push_back(name_of(tree_.key(key)));
      std::sort(names_.begin(), names_.end(), is_less);
    }
    return std::binary_search(names_.begin(), names_.end(), name, is_less);
  }

 private:
  static bool is_less(const StoredName& a, const StoredName& b) {
    if (a.latin1 != b.latin1) return b.latin1;
    return std::lexicographical_compare(a.bytes.begin(), a.bytes.end(), b.bytes.begin(),
                                        b.bytes.end());
  }

  const Tree& tree_;
  const std::vector<CellOffset>& keys_;
  std::vector<StoredName> names_;
};

class Comparison {
 public:
  // `touched`: null if all is to be looked at.
  Comparison(std::span<const std::byte> before, std::span<const std::byte> after,
             const std::vector<KeyEdit>& edits, const Touched* touched)
      : before_block_(before),
        after_block_(after),
        before_(before),
        after_(after),
        expected_(edits),
        touched_(touched) {}

  std::vector<std::string> run();

 private:
  static constexpr std::size_t no_parent = SIZE_MAX;
  static constexpr std::size_t most_differences = 20;

  struct Visit {                  // of a key that is still to be compared
    CellOffset before = no_cell;  // no_cell: the edit has created the key
    CellOffset after = no_cell;
    Expected* expected = nullptr;
    std::size_t parent = no_parent;  // in visited_
  };
  struct Visited {
    StoredName name;
    std::size_t parent;
    CellOffset security_after;
  };

  void compare_base_blocks();
  void note_touched();
  bool are_descriptors_kept() const;
  bool is_certainly_same(const Visit& visit) const;
  void go_on_below(const Visit& visit);
  void report(const std::string& what);
  std::string path() const;
  void compare_key(const Visit& visit);
  void compare_records(const KeyRecord& before, const KeyRecord& after);
  bool is_same_security(CellOffset before, CellOffset after);
  void compare_created(const KeyRecord& after, const Visit& visit);
  bool compare_subkeys(const Visit& visit);
  void note_gone(const Visit& visit, const StoredName& name);
  bool add_subkey(const Visit& visit, const StoredName& name, CellOffset before, CellOffset after);
  std::vector<CellOffset> values_to_stay(const Visit& visit);
  void compare_values(const Visit& visit);
  void compare_value(const ValueRecord* before, CellOffset before_offset, CellOffset after_offset,
                     std::map<std::string, NamedValue>& to_be_set);
  void compare_set_value(const NamedValue& set, const ValueRecord* before, CellOffset after_offset);
  void report_missing_keys();

  std::span<const std::byte> before_block_;
  std::span<const std::byte> after_block_;
  Tree before_;
  Tree after_;
  ExpectedKeys expected_;
  const Touched* touched_;
  std::set<CellOffset> touched_keys_;
  std::set<CellOffset> ways_;  // to them: they and all that they lie below
  std::vector<Visit> pending_;
  std::vector<Visited> visited_;  // all keys so far, the present one last
  std::map<std::pair<CellOffset, CellOffset>, bool> same_security_;
  std::vector<std::string> differences_;
};

std::vector<std::string> Comparison::run() {
  compare_base_blocks();
  if (touched_ != nullptr) note_touched();
  pending_.push_back({before_.root(), after_.root(), expected_.root(), no_parent});
  expected_.root()->found = true;
  while (!pending_.empty() && differences_.size() < most_differences) {
    const Visit visit = pending_.back();
    pending_.pop_back();
    if (!is_certainly_same(visit)) {
      compare_key(visit);
    } else if (ways_.contains(visit.after)) {
      go_on_below(visit);
    }
  }
  report_missing_keys();
  return std::move(differences_);
}

// Forgets `touched_` where it does not say enough.
void Comparison::note_touched() {
  if (!differences_.empty() || before_.root() != after_.root() || !are_descriptors_kept()) {
    touched_ = nullptr;
    return;
  }
  for (const CellOffset key : touched_->keys) {
    touched_keys_.insert(key);
    // check() has found each key's parent to be the one that lists it; the root's has no meaning.
    for (CellOffset at = key; ways_.insert(at).second && at != after_.root();)
      at = after_.key(at).parent;
  }
}

// Of a descriptor that was not there before, no key can be certainly the same.
bool Comparison::are_descriptors_kept() const {
  return std::all_of(touched_->security.begin(), touched_->security.end(),
                     [this](CellOffset security) {
                       try {
                         return same_bytes(before_.security_descriptor(security),
                                           after_.security_descriptor(security));
                       } catch (const Error&) {
                         return true;
                       }
                     });
}

bool Comparison::is_certainly_same(const Visit& visit) const {
  return touched_ != nullptr && visit.before == visit.after && visit.expected == nullptr &&
         !touched_keys_.contains(visit.after);
}

// Its subkeys are at the same offsets in both hives.
void Comparison::go_on_below(const Visit& visit) {
  visited_.push_back({name_of(after_.key(visit.after)), visit.parent, no_cell});
  for (const CellOffset key : after_.subkeys(visit.after))
    if (ways_.contains(key)) pending_.push_back({key, key, nullptr, visited_.size() - 1});
}

// What a commit changes there: sequence numbers, time (12..19), bins size (40..43) and checksum
// (508..511).
void Comparison::compare_base_blocks() {
  for (const auto& [begin, end] :
       {std::pair<std::size_t, std::size_t>{20, 40}, {44, 508}, {512, base_block_size}})
    for (std::size_t at = begin; at < end; ++at) {
      if (before_block_[at] == after_block_[at]) continue;
      differences_.push_back(fmt::format("the base block has changed at {:#x}", at));
      return;
    }
}

void Comparison::report(const std::string& what) {
  if (differences_.size() < most_differences)
    differences_.push_back(fmt::format("key '{}': {}", path(), what));
}

std::string Comparison::path() const {
  std::vector<std::size_t> way;
  for (std::size_t at = visited_.size() - 1; at != no_parent; at = visited_[at].parent)
    way.push_back(at);
  way.pop_back();  // the root's name is not part of a path
  std::string path;
  for (; !way.empty(); way.pop_back()) path += "\\" + visited_[way.back()].name.escaped();
  return path.empty() ? "\\" : path;
}

void Comparison::compare_key(const Visit& visit) {
  const KeyRecord after = after_.key(visit.after);
  visited_.push_back({name_of(after), visit.parent, after.security});
  compare_values(visit);
  const bool has_new_subkeys = compare_subkeys(visit);
  if (visit.before == no_cell) return compare_created(after, visit);
  const KeyRecord before = before_.key(visit.before);
  compare_records(before, after);
  const bool edited = visit.expected != nullptr && visit.expected->edited;
  if (!edited && !has_new_subkeys && before.last_written != after.last_written)
    report("its time has changed");
}

void Comparison::compare_records(const KeyRecord& before, const KeyRecord& after) {
  if (!is_stored_alike(name_of(before), name_of(after)))
    report(fmt::format("its name was '{}'", name_of(before).escaped()));
  if (before.flags != after.flags || before.control_flags != after.control_flags ||
      before.access_bits != after.access_bits)
    report("its flags have changed");
  if (!same_bytes(before.class_name, after.class_name)) report("its class name has changed");
  if (!is_same_security(before.security, after.security))
    report("its security descriptor has changed");
}

// Many keys share a descriptor, which may be large: each pair is compared once.
bool Comparison::is_same_security(CellOffset before, CellOffset after) {
  const auto [entry, added] = same_security_.try_emplace({before, after});
  if (added)
    entry->second =
        same_bytes(before_.security_descriptor(before), after_.security_descriptor(after));
  return entry->second;
}

// As hivex creates keys. Names of created keys are ASCII.
void Comparison::compare_created(const KeyRecord& after, const Visit& visit) {
  if (name_of(after).text() != visit.expected->name)
    report("it is new, but was to be named " + escaped(visit.expected->name));
  if (after.flags != KeyNode::latin1_name || after.control_flags != 0 || after.access_bits != 0)
    report("it is new and has unexpected flags");
  if (!after.class_name.empty()) report("it is new and has a class name");
  if (after.security != visited_[visit.parent].security_after)
    report("it is new and does not have its parent's security descriptor");
}

// Both lists are in order, so that they are compared like two sorted sequences. Returns whether
// there are new keys that were to be created.
bool Comparison::compare_subkeys(const Visit& visit) {
  std::vector<CellOffset> old_keys;
  if (visit.before != no_cell) old_keys = before_.subkeys(visit.before);
  const std::vector<CellOffset> new_keys = after_.subkeys(visit.after);
  StoredNames kept(after_, new_keys);
  bool created = false;
  auto old = old_keys.begin();
  const auto old_name = [&] { return name_of(before_.key(*old)); };
  const auto is_equal = [&](const StoredName& name) {
    return old != old_keys.end() && compare_names(old_name(), name) == std::strong_ordering::equal;
  };
  const auto is_gone = [&](const StoredName& name) {
    if (old == old_keys.end()) return false;
    const auto order = compare_names(old_name(), name);
    return order ? *order == std::strong_ordering::less : !kept.has(old_name());
  };
  for (const CellOffset after : new_keys) {
    const StoredName name = name_of(after_.key(after));
    for (; is_gone(name); ++old) note_gone(visit, old_name());
    const bool is_old = is_equal(name);
    created |= add_subkey(visit, name, is_old ? *old : no_cell, after);
    if (is_old) ++old;
  }
  for (; old != old_keys.end(); ++old) note_gone(visit, old_name());
  return created;
}

void Comparison::note_gone(const Visit& visit, const StoredName& name) {
  Expected* expected = nullptr;
  if (visit.expected != nullptr) expected = ExpectedKeys::child(*visit.expected, name.text());
  if (expected == nullptr || !expected->removed)
    return report(fmt::format("its subkey '{}' is gone", name.escaped()));
  expected->found = true;
}

// Returns whether it is a new key that was to be created.
bool Comparison::add_subkey(const Visit& visit, const StoredName& name, CellOffset before,
                            CellOffset after) {
  Expected* expected = nullptr;
  if (visit.expected != nullptr) expected = ExpectedKeys::child(*visit.expected, name.text());
  if (expected != nullptr && expected->removed) {
    report(fmt::format("its subkey '{}' was to go", name.escaped()));
    expected = nullptr;
  }
  if (expected != nullptr) expected->found = true;
  if (before == no_cell && expected == nullptr) {
    report(fmt::format("its subkey '{}' is new", name.escaped()));
    return false;
  }
  pending_.push_back({before, after, expected, visited_.size() - 1});
  return before == no_cell;
}

// Those that the key had, but for what is to go.
std::vector<CellOffset> Comparison::values_to_stay(const Visit& visit) {
  std::vector<CellOffset> values = before_.values(visit.before);
  if (visit.expected == nullptr) return values;
  std::map<std::string, std::string> to_go;
  for (const std::string& name : visit.expected->remove)
    if (!to_go.emplace(folded(name), name).second)
      report(fmt::format("its value '{}' was to go twice", escaped(name)));
  if (to_go.empty()) return values;
  std::erase_if(values, [&](CellOffset value) {
    return to_go.erase(folded(name_of(before_.value(value)).text())) > 0;
  });
  for (const auto& [folded, name] : to_go)
    report(fmt::format("it had no value '{}' that could go", escaped(name)));
  return values;
}

void Comparison::compare_values(const Visit& visit) {
  std::vector<CellOffset> before;
  if (visit.before != no_cell) before = values_to_stay(visit);
  const std::vector<CellOffset> after = after_.values(visit.after);
  std::map<std::string, NamedValue> to_be_set;
  if (visit.expected != nullptr) to_be_set = visit.expected->set;
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (i >= before.size()) {
      compare_value(nullptr, no_cell, after[i], to_be_set);
      continue;
    }
    const ValueRecord old = before_.value(before[i]);
    compare_value(&old, before[i], after[i], to_be_set);
  }
  if (after.size() < before.size())
    report(fmt::format("it had {} values and has {}", before.size(), after.size()));
  for (const auto& [folded, missing] : to_be_set)
    report(fmt::format("its value '{}' was not set", escaped(missing.name)));
}

// Takes what has been found to be set out of `to_be_set`.
void Comparison::compare_value(const ValueRecord* before, CellOffset before_offset,
                               CellOffset after_offset,
                               std::map<std::string, NamedValue>& to_be_set) {
  const ValueRecord after = after_.value(after_offset);
  const StoredName name = name_of(after);
  if (before != nullptr && !is_stored_alike(name_of(*before), name))
    return report(fmt::format("where its value '{}' was there is '{}'", name_of(*before).escaped(),
                              name.escaped()));
  const auto set = to_be_set.find(folded(name.text()));
  if (set != to_be_set.end()) {
    compare_set_value(set->second, before, after_offset);
    to_be_set.erase(set);
    return;
  }
  if (before == nullptr) return report(fmt::format("its value '{}' is new", name.escaped()));
  if (before->type != after.type || before->is_big_data != after.is_big_data ||
      before->size != after.size || before->is_tombstone() != after.is_tombstone() ||
      before_.value_data(before_offset) != after_.value_data(after_offset))
    report(fmt::format("its value '{}' has changed", name.escaped()));
}

void Comparison::compare_set_value(const NamedValue& set, const ValueRecord* before,
                                   CellOffset after_offset) {
  const ValueRecord after = after_.value(after_offset);
  const StoredName name = name_of(after);
  if (before == nullptr && name.text() != set.name)
    report(
        fmt::format("its new value '{}' was to be named '{}'", name.escaped(), escaped(set.name)));
  if (after.type != static_cast<std::uint32_t>(set.value.type) || after.is_tombstone() ||
      after_.value_data(after_offset) != set.value.data)
    report(fmt::format("its value '{}' is not what it was set to", name.escaped()));
}

void Comparison::report_missing_keys() {
  for (const Expected& key : expected_.all())
    if (!key.found && differences_.size() < most_differences)
      differences_.push_back(fmt::format("key '{}': it was not {}", escaped(key.path),
                                         key.removed ? "there" : "created"));
}

}  // namespace

std::vector<std::string> unexplained_differences(std::span<const std::byte> before,
                                                 std::span<const std::byte> after,
                                                 const std::vector<KeyEdit>& edits) {
  return Comparison(before, after, edits, nullptr).run();
}

std::vector<std::string> unexplained_differences(std::span<const std::byte> before,
                                                 std::span<const std::byte> after,
                                                 const std::vector<KeyEdit>& edits,
                                                 const Touched& touched) {
  return Comparison(before, after, edits, &touched).run();
}

}  // namespace kvmnet::hive

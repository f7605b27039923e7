// SPDX-License-Identifier: GPL-2.0-or-later
// What is asked of a SYSTEM hive where .reg files are merged into it, and what it answers. All keys
// are from the root of the hive.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "hive/change.h"
#include "hive/key_path.h"
#include "hive/reg_file.h"
#include "hive/value.h"

namespace kvmnet {

// A key, and those of its values that are asked for.
struct AskedKey {
  hive::KeyPath key;
  std::vector<std::string> values;
  bool operator==(const AskedKey&) const = default;
};

struct RegQuestion {
  std::vector<hive::RegSection> sections;  // to be merged; CurrentControlSet has been resolved
  std::vector<AskedKey> keys;              // that a record names
  bool empty() const { return sections.empty() && keys.empty(); }
};

// A key that was asked for, as it is.
struct KeyState {
  hive::KeyPath key;
  bool is_there = false;
  std::size_t values = 0;
  std::size_t subkeys = 0;
  std::vector<hive::NamedValue> named;  // those of the asked values that are there
  bool operator==(const KeyState&) const = default;
};

// Those that were asked for, in that order, each once; found by its key, whatever the letter case.
class KeyStates {
 public:
  KeyStates() = default;
  KeyStates(std::initializer_list<KeyState> states) {
    for (const KeyState& state : states) push_back(state);
  }
  void push_back(KeyState state) {
    places_.emplace(hive::folded(state.key.to_string()), states_.size());
    states_.push_back(std::move(state));
  }
  const KeyState* find(const hive::KeyPath& key) const {
    const auto place = places_.find(hive::folded(key.to_string()));
    return place != places_.end() ? &states_[place->second] : nullptr;
  }
  std::size_t size() const { return states_.size(); }
  bool empty() const { return states_.empty(); }
  KeyState& operator[](std::size_t index) { return states_[index]; }  // its key stays
  const KeyState& operator[](std::size_t index) const { return states_[index]; }
  auto begin() const { return states_.begin(); }
  auto end() const { return states_.end(); }
  bool operator==(const KeyStates& other) const { return states_ == other.states_; }

 private:
  std::vector<KeyState> states_;
  std::map<std::string, std::size_t> places_;
};

struct RegFacts {
  std::string unsupported;            // why the sections cannot be merged, and taken back
  unsigned unsupported_line = 0;      // that is to blame; 0: none in particular
  std::vector<hive::Change> changes;  // what merging them comes to; no key goes
  // Values that are as the sections want them, or not there, already: `old` and `value` are the
  // same. No more than one above what a record holds.
  std::vector<hive::Change> right;
  std::vector<hive::KeyPath> missing;  // the keys that it makes, parents first
  KeyStates keys;                      // one for each that was asked for
  bool operator==(const RegFacts&) const = default;
};

}  // namespace kvmnet

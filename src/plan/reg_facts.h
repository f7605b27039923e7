// SPDX-License-Identifier: GPL-2.0-or-later
// What is asked of a SYSTEM hive where .reg files are merged into it, and what it answers. All keys
// are from the root of the hive.
#pragma once

#include <string>
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

struct RegFacts {
  std::string unsupported;             // why the sections cannot be merged, and taken back
  unsigned unsupported_line = 0;       // that is to blame; 0: none in particular
  std::vector<hive::Change> changes;   // what merging them comes to; no key goes
  std::vector<hive::KeyPath> missing;  // the keys that it makes, parents first
  std::vector<KeyState> keys;          // one for each that was asked for
  bool operator==(const RegFacts&) const = default;
};

}  // namespace kvmnet

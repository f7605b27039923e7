// SPDX-License-Identifier: GPL-2.0-or-later
// A difference that .reg files make in a hive. Vocabulary: no I/O, usable anywhere.
#pragma once

#include <optional>
#include <string>

#include "hive/key_path.h"
#include "hive/value.h"

namespace kvmnet::hive {

struct Change {
  enum class What { set_value, delete_value, create_key, delete_key };
  What what = What::set_value;
  KeyPath key;
  std::string name;          // of the value
  std::optional<Value> old;  // of the value; nothing: it is not there
  std::optional<Value> value;
  unsigned line = 0;  // of the .reg file
  bool operator==(const Change&) const = default;
};

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// The proof that an edit of a hive has changed what it was to change and nothing else.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "hive/check.h"
#include "hive/key_path.h"
#include "hive/value.h"

namespace kvmnet::hive {

// What an edit was to do to one key. One that only removes finds what it removes; any other creates
// the key with its parents where it is missing.
struct KeyEdit {
  KeyPath key;
  std::vector<NamedValue> set;
  std::vector<std::string> remove = {};  // values, by name
  bool remove_key = false;               // with all that is in it and below it

  bool removes() const { return remove_key || !remove.empty(); }
};

// The differences between two sound hives that `edits` do not explain, one sentence each (at most
// 20), escaped; none: the edit has done what it was to do and nothing else. Compared are all keys
// (names as stored, class names, security descriptors, flags) and values (names as stored, types,
// data, whether data are a `db` record, their number and order), key times except those of keys in
// which values are set and of the parents of new ones, and base blocks but for what a commit
// changes. Not compared: where in the file they are, and hints such as the longest name. A created
// key is to have the values that are set, no class and the security cell of its parent, as hivex
// makes it. Not recursive; linear in the size of the hives. Throws hive::Error where check() would
// find a hive fatally damaged.
std::vector<std::string> unexplained_differences(std::span<const std::byte> before,
                                                 std::span<const std::byte> after,
                                                 const std::vector<KeyEdit>& edits);

// The same, but looks only at what can differ, if `touched` is what a check of `after` has found
// with the pages in which it differs from `before`. Why nothing else can: a key that is reached the
// same way in both hives, at the same offset, and whose own records all lie in pages that are equal
// has the same name, class, security descriptor, values and subkeys' offsets, so that each of its
// subkeys is reached the same way and at the same offset, too. The root begins that chain. `before`
// must be known to be sound: it is not read where it cannot differ. Security
// descriptors are shared, so that those in changed pages are compared first.
std::vector<std::string> unexplained_differences(std::span<const std::byte> before,
                                                 std::span<const std::byte> after,
                                                 const std::vector<KeyEdit>& edits,
                                                 const Touched& touched);

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// A hive file opened with hivex, for reading or for one edit.
//
// hivex trusts what it opens: it reads dirty hives as if they were clean, and writes over hives
// whose header it misreads. So a Hive refuses anything but a clean hive with sound bins, and
// refuses the edits that hivex is known to get wrong instead of making them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hive/base_block.h"
#include "hive/key_path.h"
#include "hive/value.h"

struct hive_h;

namespace kvmnet::hive {

// The base block of the hive file behind `fd`; the file position is left alone. Throws hive::Error
// if the file cannot be read.
BaseBlock read_base_block(int fd);

// Throws Unsupported where a key has values that do not survive when hivex writes it anew, as it
// does to set any value of it: it cuts a name at a NUL, aborts on a value without data, and stores
// one that is too large for a cell in a form that Windows does not accept.
void require_rewritable(const KeyPath& key, const std::vector<NamedValue>& values);

// Throws Unsupported for the name of a key that hivex would not make so that Windows finds it: one
// that is not ASCII.
void require_creatable(const std::string& name);

class Hive {
 public:
  enum class Mode {
    read,
    edit,        // hivex reads the file whole, and nothing reaches it before commit()
    edit_sound,  // the same for one that check() has found sound: its bins are not looked at again
  };

  // `path` may be /proc/self/fd/N. Throws hive::Error unless the hive is clean and its bins are
  // sound.
  Hive(const std::string& path, Mode mode);

  bool has_key(const KeyPath& key) const;
  std::optional<Value> value(const KeyPath& key, std::string_view name) const;
  // All values of a key in the hive's order; nothing if there is no such key.
  std::optional<std::vector<NamedValue>> values(const KeyPath& key) const;
  // The names of a key's subkeys; empty if there is no such key.
  std::vector<std::string> subkeys(const KeyPath& key) const;

  // Sets values of `key`, which is created with its parents where it is missing; values that are
  // not named stay. Existing values keep their names' letter case.
  // Throws hive::Unsupported where hivex would damage the key: hivex rewrites every value of a key
  // when it sets one, turns a value above 16344 bytes into a form that Windows does not accept,
  // aborts on values with no data, cuts names at a NUL, and hashes new key names that are not ASCII
  // wrongly. After any exception the Hive must be dropped.
  void set(const KeyPath& key, const std::vector<NamedValue>& values);

  // Writes the edited hive over the file: truncates and rewrites it, so `path` must be a copy.
  void commit();
  // The same over another file.
  void commit_to(const std::string& path);

 private:
  struct Close {
    void operator()(hive_h* handle) const;
  };
  using Node = std::size_t;  // hivex' hive_node_h; 0 is "none"

  Node find(const KeyPath& key) const;
  Node child(Node parent, const std::string& name) const;
  std::vector<NamedValue> values_of(Node node) const;
  void set_all(Node node, const KeyPath& key, std::vector<NamedValue>& values);

  std::unique_ptr<hive_h, Close> handle_;
};

}  // namespace kvmnet::hive

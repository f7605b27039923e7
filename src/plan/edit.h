// SPDX-License-Identifier: GPL-2.0-or-later
// One change to a guest, as words and as data. The set is closed: whoever applies edits handles
// every kind, and the compiler checks it.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hive/key_path.h"
#include "hive/value.h"

namespace kvmnet {

// Sets one value of the SYSTEM hive; creates the key where it is missing.
struct SetValue {
  hive::KeyPath key;  // from the root of the hive
  std::string name;
  std::optional<hive::Value> old;  // nothing: not there before
  hive::Value value;
  std::string why;
};

// Takes one value out of the SYSTEM hive.
struct DeleteValue {
  hive::KeyPath key;
  std::string name;
  hive::Value old;
  std::string why;
};

// Makes a key, with its parents, that has no values: as a .reg file wants one.
struct CreateKey {
  hive::KeyPath key;
  std::string why;
};

// Takes a key out of the SYSTEM hive, with all that is in it and below it.
struct DeleteKey {
  hive::KeyPath key;
  std::string why;
};

// Writes a file, replacing what is there. Paths are relative to the guest's system root, with
// forward slashes.
struct WriteFile {
  std::string path;
  std::optional<std::string> old;
  std::string content;
  std::string why;
  // Nobody but SYSTEM and Administrators is to have access: what runs as SYSTEM. Else a file that
  // is there keeps its permissions.
  bool make_private = false;
};

struct RemoveFile {
  std::string path;
  std::string why;
};

// Takes away a directory that nothing is in any more.
struct RemoveDirectory {
  std::string path;
  std::string why;
};

using Edit = std::variant<SetValue, DeleteValue, CreateKey, DeleteKey, WriteFile, RemoveFile,
                          RemoveDirectory>;
bool is_registry_edit(const Edit& edit);

// "KEY\NAME", not escaped; "KEY\(default)" for a key's default value, which has no name.
std::string path_of_value(const std::string& key, const std::string& name);

// The edit in three parts for people: what it touches, what was there, what will be.
struct EditText {
  std::string verb;    // "set", "create" and "delete" in the registry, "write" and "remove" files
  std::string target;  // a registry path, or a path below %SystemRoot%
  std::string old;     // "(absent)" where there was nothing
  std::string value;
  std::string why;
};
// `registry_root`: where the hive is in the registry.
EditText describe(const Edit& edit, const std::string& registry_root = "HKLM\\SYSTEM");

}  // namespace kvmnet

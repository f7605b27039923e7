// SPDX-License-Identifier: GPL-2.0-or-later
// Names of .reg files against those of a hive, compared as Windows does: what Windows may or may
// not take for the same is refused.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hive/stored_name.h"
#include "hive/tree.h"
#include "hive/utf16.h"

namespace kvmnet::hive {

// A name as it is compared.
struct Name {
  std::string text;
  Bytes utf16;

  explicit Name(std::string name) : text(std::move(name)), utf16(to_utf16le(text)) {}
  StoredName stored() const { return {utf16, false}; }
  bool operator<(const Name& other) const { return is_before(stored(), other.stored()); }
};
using Path = std::vector<Name>;

inline bool starts_with(const Path& path, const Path& start) {
  return path.size() >= start.size() &&
         std::equal(start.begin(), start.end(), path.begin(),
                    [](const Name& a, const Name& b) { return !(a < b) && !(b < a); });
}

bool is_ascii(const Name& name);

// Throws Unsupported: of two names that the files have, Windows may or may not take one for the
// other.
[[noreturn]] void throw_alike(const std::string& name, const std::string& other);

// Names of one key that the hive does not have.
class NewNames {
 public:
  // Throws Unsupported if Windows may take it for one of those before.
  void add(Name name);

 private:
  struct Names {
    std::vector<Name> ascii;
    std::vector<Name> others;
  };

  std::map<std::size_t, Names> by_length_;
};

// Looks for names as Windows does. Each key is read once. Throws Unsupported where the hive has a
// name that Windows may or may not take for the one that is looked for, or one that reads the same
// and is no text.
class Names {
 public:
  explicit Names(const Tree& tree) : tree_(tree) {}

  struct Found {
    CellOffset offset = no_cell;
    std::string name;  // as the hive spells it
  };
  std::optional<Found> subkey(CellOffset key, const Name& name);
  std::optional<Found> value(CellOffset key, const Name& name);

 private:
  struct Entry {
    CellOffset offset = no_cell;
    bool is_text = true;
  };
  using Listed = std::map<Name, Entry>;
  using All = std::map<CellOffset, Listed>;

  template <typename NameOf>
  std::optional<Found> find(All& all, CellOffset key, const Name& name, NameOf name_of);
  static void add(const StoredName& name, CellOffset offset, Listed& listed);

  const Tree& tree_;
  All keys_;
  All values_;
};

}  // namespace kvmnet::hive

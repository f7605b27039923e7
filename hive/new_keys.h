// SPDX-License-Identifier: GPL-2.0-or-later
// What hivex makes of many new keys beside each other: for each it writes the list of its parent's
// subkeys once more, behind all else, and leaves the old one in the file. 10,000 new keys in one
// are 400 MiB that nothing is in.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "hive/key_path.h"
#include "hive/tree.h"

namespace kvmnet::hive {

class NewKeys {
 public:
  // Bytes of lists, in all; as much as 7000 new keys in one that has none need. Hives above 256 MiB
  // kvmnet does not take itself.
  static constexpr std::uint64_t most_bytes = 192 << 20;

  explicit NewKeys(const Tree& tree) : tree_(tree) {}

  // The last `missing` keys of that path are to be made. `there`: the one above them; no_cell where
  // that is made, too. Throws Unsupported where the lists of all that were added come to too much.
  void add(const KeyPath& path, std::size_t missing, CellOffset there);

 private:
  void add(const KeyPath& parent, CellOffset there);

  const Tree& tree_;
  std::set<std::string> made_;
  std::map<std::string, std::uint64_t> entries_;  // in the list to which the next one comes
  std::uint64_t bytes_ = 0;
};

}  // namespace kvmnet::hive

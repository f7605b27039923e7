// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/new_keys.h"

#include <fmt/format.h>

#include "hive/error.h"
#include "hive/value.h"

namespace kvmnet::hive {

void NewKeys::add(const KeyPath& path, std::size_t missing, CellOffset there) {
  const auto& names = path.elements();
  KeyPath parent;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const KeyPath key = parent / names[i];
    const bool is_new = i + missing >= names.size();
    if (is_new && made_.insert(folded(key.to_string())).second)
      add(parent, i + missing == names.size() ? there : no_cell);
    parent = key;
  }
}

// Where a key's list is in parts, the longest of them is taken for the one that grows.
void NewKeys::add(const KeyPath& parent, CellOffset there) {
  constexpr std::uint64_t entry_size = 8;
  const auto [entries, is_first] = entries_.try_emplace(folded(parent.to_string()), 0);
  if (is_first && there != no_cell) entries->second = tree_.longest_list(there);
  bytes_ += ++entries->second * entry_size;
  if (bytes_ > most_bytes)
    throw Unsupported(
        fmt::format("too many new keys beside each other, here in '{}': hivex would make the hive "
                    "larger by more than {} MiB of lists of them; some 7000 can be made in one "
                    "key, more by 'reg import' in the running Windows",
                    escaped(parent.to_string()), most_bytes >> 20));
}

}  // namespace kvmnet::hive

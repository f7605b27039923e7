// SPDX-License-Identifier: GPL-2.0-or-later
// A SYSTEM hive on its way: cleaned (its logs replayed), edited, proven. Works on files in memory,
// see file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hive/compare.h"
#include "hive/error.h"
#include "hive/replay.h"
#include "hive/source.h"
#include "hive/tree.h"

namespace kvmnet::hive {

// What makes edits impossible, where that of one key is to blame.
class UnsupportedEdit : public Unsupported {
 public:
  UnsupportedEdit(const std::string& what, KeyPath key) : Unsupported(what), key_(std::move(key)) {}
  const KeyPath& key() const { return key_; }

 private:
  KeyPath key_;
};

// Brings the file to the state that the replay leads to. Throws hive::Error.
void apply(int fd, const Replay& replay, std::span<const Source> logs);

// Raises the sequence numbers of a clean hive above all that are in the logs. Throws Unsupported if
// there is no such number.
void outnumber(int fd, std::span<const Source> logs);

// Throws hive::Error with the first fatal finding unless the hive's structure is sound.
void require_sound(std::span<const std::byte> hive);

// Throws Unsupported unless values of a key that is there could be set, for all that is in it now:
// so that one that is removed could come back.
void require_rewritable(std::span<const std::byte> hive, const KeyPath& key);

// Throws Unsupported for a key that is there and whose values edit() would refuse to rewrite, as it
// has to for any of them.
void require_settable(const Tree& tree, CellOffset key, const KeyPath& path);

// Throws Unsupported for a key that is a symbolic link: who opens it in Windows gets the key that
// it names (Microsoft, MS-RRP, on symbolic links), so that nothing in or below it is ever seen.
void refuse_link(const Tree& tree, CellOffset key, const KeyPath& path);

// Makes of a clean hive that require_sound() has found sound, `from`, one with values set and
// removed, in the file `to`, whatever that holds. It is sound, nothing but these values and keys
// differs (each time proven), and its sequence numbers are above those of `from` and all in the
// logs: Windows takes no log with a smaller number. `from` and the logs stay as they are. Throws
// UnsupportedEdit for an edit that would damage the hive, that is to remove what is not there, or
// whose path leads through a symbolic link, hive::Error otherwise; `to` is then of no use.
void edit(int from, int to, const std::vector<KeyEdit>& edits, std::span<const Source> logs);

// No hive that is larger is read, or made: far more than Windows makes of any, and no more than the
// host's memory should be filled with. In bytes.
inline constexpr std::uint64_t largest_hive = 256 << 20;

// The same in two steps: what is made is proven by the second. Throws Unsupported for what would be
// larger than `largest` bytes, too.
void make_edit(int from, int to, const std::vector<KeyEdit>& edits, std::span<const Source> logs,
               std::uint64_t largest = largest_hive);
void prove_edit(std::span<const std::byte> before, std::span<const std::byte> after,
                const std::vector<KeyEdit>& edits);

}  // namespace kvmnet::hive

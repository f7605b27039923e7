// SPDX-License-Identifier: GPL-2.0-or-later
// A SYSTEM hive on its way: cleaned (its logs replayed), edited, proven. Works on files in memory,
// see file.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hive/compare.h"
#include "hive/replay.h"
#include "hive/source.h"

namespace kvmnet::hive {

// Brings the file to the state that the replay leads to. Throws hive::Error.
void apply(int fd, const Replay& replay, std::span<const Source> logs);

// Raises the sequence numbers of a clean hive above all that are in the logs. Throws Unsupported if
// there is no such number.
void outnumber(int fd, std::span<const Source> logs);

// Throws hive::Error with the first fatal finding unless the hive's structure is sound.
void require_sound(int fd);

// Sets values in a clean hive that require_sound() has found sound, in place. Afterwards it is
// sound, nothing but these values and keys has changed (each time proven), and its sequence numbers
// are above its own and all in the logs: Windows takes no log with a smaller number. The logs are
// not changed. Throws Unsupported for an edit that would damage the hive, hive::Error otherwise;
// the file is then of no use.
void edit(int fd, const std::vector<KeyEdit>& edits, std::span<const Source> logs);

// hivex refuses a hive whose header checksum is one of the two that Windows stores in the place of
// another. For the scope's duration such a hive has another header.
class HivexHeader {
 public:
  explicit HivexHeader(int fd);
  HivexHeader(const HivexHeader&) = delete;
  HivexHeader& operator=(const HivexHeader&) = delete;
  ~HivexHeader();

 private:
  int fd_;
  bool changed_ = false;
};

}  // namespace kvmnet::hive

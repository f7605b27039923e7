// SPDX-License-Identifier: GPL-2.0-or-later
// Replays the transaction logs of a dirty hive as Windows does when it loads one.
//
// Windows writes changes to a log first and to the hive later; up to then the hive is "dirty" and
// stale. Two formats: DIRT (`.LOG` of XP and 2003, `.LOG1` and `.LOG2` of Vista to 8: pages as they
// are to be) and HvLE (8.1 and later: entries with hashes, numbered). The log's file type tells
// which. Sources: msuhanov/regf specification, "Transaction log files" and "Dirty state of a hive".
//
// The result is a map of pages, so that a hive of 100 MB need not be in memory to be read: see
// recovered().
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "hive/log_file.h"
#include "hive/source.h"

namespace kvmnet::hive {

enum class LogFormat { none, dirt, hvle };

struct Replay {
  LogFormat format = LogFormat::none;  // none: the hive is clean, nothing is to be replayed
  // The first 512 bytes of the base block as they are to be: recovered, clean, checksum right.
  Bytes header;
  std::uint32_t bins_size = 0;  // as in `header`
  std::size_t entries = 0;      // HvLE entries, or 1 for a DIRT log
  std::uint64_t file_size = 0;  // of the recovered hive
  // The parts of the hive bins data that come from logs; disjoint. Key: offset relative to the end
  // of the base block.
  struct Piece {
    std::uint32_t length = 0;
    std::size_t log = 0;           // index into the logs given
    std::uint64_t log_offset = 0;  // where the bytes stand there
  };
  std::map<std::uint32_t, Piece> pieces;
};

// `logs`: those beside the hive in the order LOG1, LOG2 (or the one LOG); missing ones left out,
// empty ones allowed. A clean hive needs none, and none is looked at. Throws NotReplayable if the
// hive is dirty and its logs do not apply: none, bad, of another hive, with a gap, with an entry
// that is whole but of no known form, or with one that is newer than what can be reached. Throws
// hive::Error if the primary is not a hive.
Replay plan_replay(const Source& primary, std::span<const Source> logs);

// The dirty primary as it stands, made to look clean: what Windows had only in the logs is lost.
// Throws hive::Error if its header is damaged.
Replay plan_without_logs(const Source& primary);

// The hive as it is after the replay. It reads from the sources as long as it is used.
Source recovered(const Replay& replay, const Source& primary, std::span<const Source> logs);

// What a log is to a hive, told from its header and the clean hive's.
enum class LogKind { blank, own, foreign, not_a_log };
LogKind kind_of(const Source& log, const Source& hive);

// The highest sequence number that is found in the logs: of headers and of every well-formed entry,
// stale ones too, counted from `current` on modulo 2^32 (a number more than 2^31 ahead counts as
// behind). `current` if there is none that is higher. Throws Unsupported if no number is above all
// of them. Windows replays a log only if its number is not below the hive's: msuhanov/regf.
std::uint32_t highest_sequence(std::uint32_t current, std::span<const Source> logs);

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// Writes a hive's transaction logs as Windows does, and then damages them, for tests of the replay.
// Written from the facts (msuhanov/regf specification, "Transaction log files"; msuhanov's notes on
// flush strategies and on missing log entries; measurements on real logs), not by inverting the
// replay, with which it shares no code.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hive/utf16.h"

namespace kvmnet::test {

using hive::Bytes;

// What Windows leaves on the disk: the primary file and LOG1, LOG2 (or the one LOG).
struct HiveFiles {
  Bytes primary;
  std::vector<Bytes> logs;
};

// A part of the hive bins data; offsets are relative to the end of the base block.
struct PageRange {
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

// Where an entry of an HvLE log stands.
struct EntryPlace {
  std::size_t log = 0;
  std::size_t offset = 0;
  std::size_t size = 0;
  std::uint32_t number = 0;
  std::size_t commit = 0;  // see HvleRecorder::state
};

// Windows 8.1 and later. Flushes append entries to the current log and leave the data of the
// primary file alone.
class HvleRecorder {
 public:
  // `clean`: a whole hive, with equal sequence numbers.
  explicit HvleRecorder(Bytes clean);

  // Flushes: the hive is to become `next`, whose header only gives the flags. Logged are the pages
  // that differ, or `pages`.
  void commit(const Bytes& next);
  void commit(const Bytes& next, const std::vector<PageRange>& pages);

  // The next commit starts the other log anew. If that one still has entries of the present dirty
  // period, everything up to then first reaches the data of the primary, not its header.
  void rotate();

  // Everything reaches the primary, which is clean then. The next commit starts the current log
  // anew; what was in it stays behind the new entries.
  void reconcile();

  HiveFiles files() const { return {primary_, {logs_[0], logs_[1]}}; }
  // Those since the last reconcile() that have not been written over, oldest first.
  const std::vector<EntryPlace>& entries() const { return entries_; }
  // The hive as it is to be after a replay up to the `commits`th commit since the last reconcile().
  Bytes state(std::size_t commits) const;
  // After all of them.
  Bytes state() const { return state(states_.size() - 1); }

 private:
  struct State {
    Bytes bins;
    std::uint32_t flags = 0;
    std::uint32_t number = 0;  // of the entry
  };

  void start_log(std::uint32_t bins_size);
  void write_data();

  Bytes primary_;
  std::array<Bytes, 2> logs_;
  std::size_t current_ = 0;
  std::size_t end_ = 0;  // of the current log's entries; 0: it is to be started
  std::uint32_t next_number_ = 0;
  std::vector<State> states_;  // the first: before the first commit
  std::vector<EntryPlace> entries_;
};

// Windows 2000 to 8.0. A flush writes one log over, then the primary file.
struct DirtOptions {
  std::uint64_t time = 0x01D2'9627'F1C8'A860;  // the FILETIME of the flush
  bool same_numbers = true;                    // as Vista and later; else the log is one behind
  std::uint32_t type = 1;                      // 2: before XP
  std::uint32_t page_size = 4096;              // XP and later: 8 bits at a time; else 512
  std::vector<PageRange> pages = {};           // instead of those that differ
};
struct DirtFlush {
  Bytes primary;  // as it is when the log and the primary's header, but no data are written
  Bytes log;
  Bytes after;  // the hive as it is to be after the replay
};
// `clean` is to become `next`, whose header only gives the size. As Windows does it, the header and
// the first bin get the time of the flush.
DirtFlush flush_dirt(const Bytes& clean, Bytes next, const DirtOptions& options = {});

// Of the HvLE entries' hashes.
std::uint64_t marvin32(std::span<const std::byte> data);

// Numbers in an entry, relative to its start. The references follow at 40: offset, length.
struct EntryField {
  static constexpr std::size_t size = 4;
  static constexpr std::size_t flags = 8;
  static constexpr std::size_t number = 12;
  static constexpr std::size_t bins_size = 16;
  static constexpr std::size_t count = 20;
  static constexpr std::size_t hash_1 = 24;
  static constexpr std::size_t hash_2 = 32;
  static constexpr std::size_t references = 40;
};

// Damage. What is said of a log's header holds for that of a primary, too.
// An entry with one number replaced and both hashes redone.
void forge(Bytes& log, const EntryPlace& entry, std::size_t field, std::uint32_t value);
// An entry whose end never reached the disk.
void tear(Bytes& log, const EntryPlace& entry);
void spoil(Bytes& log, std::size_t offset);  // inverts one byte
// A header's number replaced and the checksum redone.
void forge_header(Bytes& log, std::size_t offset, std::uint32_t value);
// The GUID by which a hive and its logs are known to belong together.
void set_rm_id(Bytes& log, std::byte filling);

}  // namespace kvmnet::test

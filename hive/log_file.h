// SPDX-License-Identifier: GPL-2.0-or-later
// One transaction log, as far as its own bytes tell: header, entries, dirty pages. Every byte is
// taken for hostile. Format: msuhanov/regf specification, "Transaction log files"; what of it was
// seen in real logs is said in the code.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hive/base_block.h"
#include "hive/error.h"
#include "hive/source.h"

namespace kvmnet::hive {

// What the names of a hive's logs have behind the hive's own, in the order in which they are given
// to a replay: two since Vista, and that of Windows XP and 2003.
inline constexpr std::array<std::string_view, 3> log_endings = {".LOG1", ".LOG2", ".LOG"};

// How many of the logs that lie beside a hive Windows uses, from the first on: since Vista a .LOG
// is left over from Setup. Their names, or paths, in the order above.
std::size_t count_in_use(std::span<const std::string> logs);

// The logs do not apply, or it cannot be told that they do: the message says why. Going on without
// them loses what Windows had only there.
class NotReplayable : public Error {
 public:
  using Error::Error;
};

inline constexpr std::size_t log_sector = 512;
// Bit 31 of a cell's offset means "volatile", so a hive's bins are smaller than this.
inline constexpr std::uint64_t most_bins_size = 1ULL << 31;

enum class LogType { dirt, hvle };

struct LogHeader {
  LogType type = LogType::hvle;
  std::uint32_t sequence = 0;      // HvLE: the number of the first entry
  std::uint64_t last_written = 0;  // FILETIME
  std::uint32_t bins_size = 0;
  Bytes bytes;  // the sector, a copy of the hive's base block
};

// A resource manager's GUID in a base block: the same in a hive and its logs.
std::span<const std::byte> resource_manager(std::span<const std::byte> base_block);
std::uint64_t last_written(std::span<const std::byte> base_block);

// Nothing if the log cannot be used: too short, not a log, checksum wrong, not closed.
std::optional<LogHeader> read_log_header(const Source& log);

// A part of the hive's bins as a log has it.
struct Page {
  std::uint32_t offset = 0;  // relative to the end of the base block
  std::uint32_t length = 0;
  std::uint64_t log_offset = 0;  // where the bytes stand in the log
};

struct LogEntry {
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t bins_size = 0;
  std::vector<Page> pages;
};

// The HvLE entry at `offset`. Nothing if there is none with that number: signature, size, number or
// one of the hashes is wrong, as behind the last entry. Throws NotReplayable for one that is whole,
// and that Windows has therefore written, but breaks a rule that all known ones keep: what it means
// is then not known, and it must not be taken for the end.
std::optional<LogEntry> read_entry(const Source& log, std::uint64_t offset, std::uint32_t number);

// Where in the log, from that sector on, an HvLE entry may begin: every sector with its signature,
// stale ones, too.
std::vector<std::uint64_t> find_entries(const Source& log, std::uint64_t from);

// Far above any log that Windows writes.
inline constexpr std::uint64_t largest_log = 256 << 20;

// The number of the entry that begins at `offset`, as far as its first 40 bytes tell (its second
// hash protects them).
std::optional<std::uint32_t> entry_sequence(const Source& log, std::uint64_t offset);

// A log that was never used, or that was made invalid as kvmnet does it: its first sector is zero.
bool is_blank(const Source& log);

// The pages of a DIRT log. Nothing unless its vector and all its pages are there.
std::optional<std::vector<Page>> read_dirty_pages(const Source& log, const LogHeader& header);

}  // namespace kvmnet::hive

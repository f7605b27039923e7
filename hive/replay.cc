// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "hive/base_block.h"
#include "hive/log_file.h"

namespace kvmnet::hive {
namespace {

// Sequence numbers wrap: how far `number` is ahead of `base`; negative: behind.
std::int32_t distance(std::uint32_t number, std::uint32_t base) {
  return static_cast<std::int32_t>(number - base);
}

struct UsableLog {
  std::size_t index;
  LogHeader header;
};

class Replayer {
 public:
  Replayer(const Source& primary, std::span<const Source> logs)
      : primary_(primary), logs_(logs), start_(primary.read_at(0, base_block_size)) {}

  Replay run() {
    const BaseBlock base = read_base_block(start_, primary_.size);
    header_is_good_ = base.condition != Condition::damaged && checksum_is_right();
    if (base.condition == Condition::damaged && !has_lost_its_header()) throw Error(base.reason);
    replay_.header.assign(start_.begin(), start_.begin() + log_sector);
    replay_.bins_size = header_is_good_ ? base.bins_size : 0;
    replay_.file_size = primary_.size;
    if (base.condition == Condition::clean) return std::move(replay_);
    extent_ = primary_.size - base_block_size;
    replay_logs(base);
    finish_header();
    return std::move(replay_);
  }

 private:
  bool checksum_is_right() const { return read_u32(start_, 508) == base_block_checksum(start_); }

  // A base block that was not written whole, in front of what is a hive.
  bool has_lost_its_header() const {
    constexpr std::uint32_t signature_hbin = 0x6E696268;
    const Bytes bin = primary_.read_at(base_block_size, 4);
    return start_.size() == base_block_size && !checksum_is_right() && bin.size() == 4 &&
           read_u32(bin, 0) == signature_hbin;
  }

  void replay_logs(const BaseBlock& base) {
    std::vector<UsableLog> usable;
    for (const Source& log : logs_)
      if (log.size > largest_log)
        throw NotReplayable("a log is larger than any that Windows writes");
    for (std::size_t i = 0; i < logs_.size(); ++i)
      if (auto header = read_log_header(logs_[i])) usable.push_back({i, std::move(*header)});
    if (usable.empty()) throw NotReplayable(base.reason + "; there is no log that can be used");
    // A guest that was upgraded from Windows 8 or earlier may have a DIRT log left.
    const auto is_hvle = [](const UsableLog& log) { return log.header.type == LogType::hvle; };
    if (std::any_of(usable.begin(), usable.end(), is_hvle)) {
      std::erase_if(usable, std::not_fn(is_hvle));
      replay_entries(std::move(usable));
    } else {
      replay_dirty_pages(usable);
    }
  }

  // Windows is not known to look at this, but it catches files that were mixed up.
  void check_origin(std::span<const UsableLog> used) const {
    const std::span<const std::byte> own =
        header_is_good_ ? std::span<const std::byte>(start_) : std::span(used.front().header.bytes);
    for (const UsableLog& log : used)
      if (!std::ranges::equal(resource_manager(log.header.bytes), resource_manager(own)))
        throw NotReplayable("the logs belong to another hive");
  }

  // ---- DIRT

  void replay_dirty_pages(const std::vector<UsableLog>& usable) {
    const std::uint64_t wanted = header_is_good_ ? last_written(start_) : first_bin_time();
    for (const UsableLog& log : usable) {  // the boot loader takes the first that fits
      if (log.header.last_written != wanted) continue;
      check_origin(std::span(&log, 1));
      const auto pages = read_dirty_pages(logs_[log.index], log.header);
      if (!pages) continue;
      if (!covers_growth(*pages, log.header.bins_size))
        throw NotReplayable("a log makes the hive larger without saying what is there");
      check_growth(log.header.bins_size);
      replay_.format = LogFormat::dirt;
      replay_.entries = 1;
      if (!header_is_good_) replay_.header = log.header.bytes;
      apply(*pages, log.index, log.header.bins_size);
      last_ = log.header.sequence;
      return;
    }
    throw NotReplayable("no log was written together with this state of the hive");
  }

  // The header's time stands in the first bin, too.
  std::uint64_t first_bin_time() const {
    const Bytes bin = primary_.read_at(base_block_size, 28);
    if (bin.size() < 28) return 0;
    return read_u32(bin, 20) | (static_cast<std::uint64_t>(read_u32(bin, 24)) << 32);
  }

  // ---- HvLE

  void replay_entries(std::vector<UsableLog> usable) {
    if (header_is_good_) {
      const std::uint32_t closed = read_u32(start_, 8);
      std::erase_if(usable, [closed](const UsableLog& log) {
        return distance(log.header.sequence, closed) < 0;
      });
      if (usable.empty()) throw NotReplayable("all logs are older than the hive");
    }
    std::sort(usable.begin(), usable.end(), [](const UsableLog& a, const UsableLog& b) {
      return distance(a.header.sequence, b.header.sequence) < 0;
    });
    if (usable.size() > 2) throw NotReplayable("there are more logs than Windows writes");
    check_origin(usable);
    replay_.format = LogFormat::hvle;
    if (!header_is_good_) replay_.header = usable.back().header.bytes;
    replay_log(usable.front());
    if (replay_.entries == 0) throw NotReplayable("the older log has no entry that is intact");
    const bool chained = usable.size() > 1 && usable[1].header.sequence == last_ + 1;
    const std::size_t from_first = replay_.entries;
    if (chained) replay_log(usable[1]);
    const bool both = chained && replay_.entries > from_first;
    check_completeness(usable, both);
    check_for_newer();
  }

  // What was written later and cannot be reached would be lost for good. A torn entry is none: it
  // never was complete.
  void check_for_newer() {
    for (const Source& log : logs_) {
      const auto header = read_log_header(log);
      if (header && header->type == LogType::hvle && distance(header->sequence, last_) > 1)
        refuse_newer(header->sequence);
      for (const std::uint64_t offset : find_entries(log, ends_[&log])) {
        const auto number = entry_sequence(log, offset);
        if (number && distance(*number, last_) > 0 && read_entry(log, offset, *number))
          refuse_newer(*number);
      }
    }
  }

  void refuse_newer(std::uint32_t number) const {
    if (distance(number, last_) > 0)
      throw NotReplayable(fmt::format(
          "the logs have entry {}, but entries between it and {} are missing", number, last_));
  }

  // Where the primary does not say which entry is the first that it lacks, or says that entries are
  // missing (Windows 10 reconciles in part when it changes logs a second time, and leaves the
  // header alone: msuhanov/regf-samples), only two logs that follow each other leave no doubt.
  void check_completeness(const std::vector<UsableLog>& usable, bool both) const {
    if (both) return;
    if (header_is_good_) {
      if (usable.front().header.sequence != read_u32(start_, 8))
        throw NotReplayable("entries are missing between the hive and its logs");
    } else if (usable.size() > 1 || has_unusable_log()) {
      throw NotReplayable("the header is damaged, and the logs do not follow each other");
    }
  }

  // Other than one that was never written to, or that kvmnet has made invalid.
  bool has_unusable_log() const {
    return std::any_of(logs_.begin(), logs_.end(),
                       [](const Source& log) { return !is_blank(log) && !read_log_header(log); });
  }

  // What stands behind the first entry that does not fit is left from earlier use.
  void replay_log(const UsableLog& log) {
    std::uint32_t expected = log.header.sequence;
    std::uint64_t offset = log_sector;
    while (const auto entry = read_entry(logs_[log.index], offset, expected)) {
      if (!covers_growth(entry->pages, entry->bins_size))
        throw NotReplayable("a log makes the hive larger without saying what is there");
      check_growth(entry->bins_size);
      apply(entry->pages, log.index, entry->bins_size);
      flags_ = entry->flags;
      last_ = expected++;
      ++replay_.entries;
      offset += entry->size;
      ends_[&logs_[log.index]] = offset;
    }
  }

  // ---- both

  // What lies beyond the present file must be given at once: seen in every real entry that makes a
  // hive larger, and it keeps a forged size from taking memory.
  bool covers_growth(std::vector<Page> pages, std::uint32_t bins_size) const {
    std::sort(pages.begin(), pages.end(),
              [](const Page& a, const Page& b) { return a.offset < b.offset; });
    std::uint64_t known = extent_;
    for (const Page& page : pages)
      if (page.offset <= known)
        known = std::max<std::uint64_t>(known, std::uint64_t{page.offset} + page.length);
    return known >= bins_size;
  }

  // No real log makes a hive smaller; what that were to mean for later entries nobody has seen.
  void check_growth(std::uint32_t bins_size) const {
    if (bins_size < replay_.bins_size && (header_is_good_ || replay_.entries > 0))
      throw NotReplayable("a log makes the hive smaller");
  }

  void apply(const std::vector<Page>& pages, std::size_t log, std::uint32_t bins_size) {
    for (const Page& page : pages) {
      clear(page.offset, page.length);
      replay_.pieces[page.offset] = {page.length, log, page.log_offset};
    }
    replay_.bins_size = bins_size;
    extent_ = std::max<std::uint64_t>(extent_, bins_size);
  }

  // Takes the range out of what earlier entries have given.
  void clear(std::uint32_t offset, std::uint32_t length) {
    const std::uint32_t end = offset + length;
    auto& pieces = replay_.pieces;
    auto at = pieces.lower_bound(offset);
    if (at != pieces.begin() && std::prev(at)->first + std::prev(at)->second.length > offset) --at;
    while (at != pieces.end() && at->first < end) {
      const auto [start, piece] = *at;
      at = pieces.erase(at);
      if (start < offset) pieces[start] = {offset - start, piece.log, piece.log_offset};
      if (start + piece.length > end)
        pieces[end] = {start + piece.length - end, piece.log, piece.log_offset + (end - start)};
    }
  }

  void finish_header() {
    Bytes& header = replay_.header;
    std::uint32_t next = last_ + 1;
    if (header_is_good_ && distance(read_u32(start_, 4), next) > 0) next = read_u32(start_, 4);
    write_u32(header, 4, next);
    write_u32(header, 8, next);
    write_u32(header, 28, 0);
    write_u32(header, 40, replay_.bins_size);
    if (flags_) write_u32(header, 144, (read_u32(header, 144) & ~1U) | (*flags_ & 1));
    write_u32(header, 508, base_block_checksum(header));
    const std::uint64_t end = std::max(primary_.size, base_block_size + extent_);
    replay_.file_size = (end + base_block_size - 1) / base_block_size * base_block_size;
    Bytes whole = header;
    whole.insert(whole.end(), start_.begin() + log_sector, start_.end());
    const BaseBlock base = read_base_block(whole, replay_.file_size);
    if (base.condition != Condition::clean) throw NotReplayable("with its logs: " + base.reason);
  }

  const Source& primary_;
  std::span<const Source> logs_;
  Bytes start_;
  bool header_is_good_ = false;
  std::uint64_t extent_ = 0;  // bytes behind the base block that are known so far
  std::uint32_t last_ = 0;    // number of the last entry applied
  std::optional<std::uint32_t> flags_;
  std::map<const Source*, std::uint64_t> ends_;  // of what was applied of each log
  Replay replay_;
};

class RecoveredReader {
 public:
  RecoveredReader(Replay replay, Source primary, std::span<const Source> logs)
      : replay_(std::make_shared<Replay>(std::move(replay))),
        primary_(std::move(primary)),
        logs_(logs.begin(), logs.end()) {}

  Bytes operator()(std::uint64_t offset, std::size_t size) const {
    Bytes out;
    if (offset >= replay_->file_size) return out;
    std::uint64_t left = std::min<std::uint64_t>(size, replay_->file_size - offset);
    out.reserve(left);
    while (left > 0) {
      const std::size_t n = add_part(out, offset, left);
      offset += n;
      left -= n;
    }
    return out;
  }

 private:
  // As many bytes as come from one place; returns how many.
  std::size_t add_part(Bytes& out, std::uint64_t offset, std::uint64_t most) const {
    if (offset < log_sector) return add_header(out, offset, std::min(most, log_sector - offset));
    if (offset < base_block_size)
      return add_primary(out, offset, std::min(most, base_block_size - offset));
    const std::uint64_t in_bins = offset - base_block_size;
    const auto next = replay_->pieces.upper_bound(static_cast<std::uint32_t>(in_bins));
    if (next != replay_->pieces.begin()) {
      const auto& [start, piece] = *std::prev(next);
      const std::uint64_t inside = in_bins - start;
      if (inside < piece.length)
        return add_piece(out, piece, inside, std::min(most, piece.length - inside));
    }
    if (next != replay_->pieces.end()) most = std::min(most, next->first - in_bins);
    return add_primary(out, offset, most);
  }

  std::size_t add_header(Bytes& out, std::uint64_t offset, std::size_t size) const {
    add(out, std::span(replay_->header).subspan(offset, size));
    return size;
  }

  std::size_t add_piece(Bytes& out, const Replay::Piece& piece, std::uint64_t inside,
                        std::size_t size) const {
    add(out, read_exactly(logs_[piece.log], piece.log_offset + inside, size));
    return size;
  }

  // What the file does not have is zero.
  std::size_t add_primary(Bytes& out, std::uint64_t offset, std::size_t size) const {
    Bytes bytes;
    if (offset < primary_.size) bytes = primary_.read_at(offset, size);
    bytes.resize(size);
    add(out, bytes);
    return size;
  }

  static void add(Bytes& out, std::span<const std::byte> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
  }

  std::shared_ptr<const Replay> replay_;  // functions are copied
  Source primary_;
  std::vector<Source> logs_;
};

}  // namespace

Replay plan_replay(const Source& primary, std::span<const Source> logs) {
  return Replayer(primary, logs).run();
}

Replay plan_without_logs(const Source& primary) {
  Bytes start = primary.read_at(0, base_block_size);
  const BaseBlock base = read_base_block(start, primary.size);
  if (base.condition == Condition::damaged) throw Error(base.reason);
  if (read_u32(start, 508) != base_block_checksum(start))
    throw Error("the header is damaged, and only the logs have another");
  write_u32(start, 8, base.primary_sequence);
  write_u32(start, 508, base_block_checksum(start));
  if (const BaseBlock now = read_base_block(start, primary.size); now.condition != Condition::clean)
    throw Error(now.reason);
  Replay replay;
  replay.header.assign(start.begin(), start.begin() + log_sector);
  replay.bins_size = base.bins_size;
  replay.file_size = primary.size;
  return replay;
}

Source recovered(const Replay& replay, const Source& primary, std::span<const Source> logs) {
  return {RecoveredReader(replay, primary, logs), replay.file_size};
}

LogKind kind_of(const Source& log, const Source& hive) {
  if (is_blank(log)) return LogKind::blank;
  const auto header = read_log_header(log);
  if (!header) return LogKind::not_a_log;
  const Bytes start = read_exactly(hive, 0, log_sector);
  return std::ranges::equal(resource_manager(header->bytes), resource_manager(start))
             ? LogKind::own
             : LogKind::foreign;
}

std::uint32_t highest_sequence(std::uint32_t current, std::span<const Source> logs) {
  std::vector<std::uint32_t> numbers;
  for (const Source& log : logs) {
    if (const auto header = read_log_header(log)) numbers.push_back(header->sequence);
    for (const std::uint64_t offset : find_entries(log, log_sector))
      if (const auto number = entry_sequence(log, offset)) numbers.push_back(*number);
  }
  std::uint32_t highest = current;
  for (const std::uint32_t number : numbers)
    if (distance(number, current) > distance(highest, current)) highest = number;
  // Seen from the number behind the highest, all must be behind.
  for (const std::uint32_t number : numbers)
    if (distance(highest + 1, number) <= 0)
      throw Unsupported("the numbers in the transaction logs leave no room for another one");
  return highest;
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/log_file.h"

#include <algorithm>

#include "hive/key_path.h"
#include "hive/marvin32.h"

namespace kvmnet::hive {
namespace {

constexpr std::uint32_t signature_hvle = 0x454C7648;
constexpr std::uint32_t signature_dirt = 0x54524944;
constexpr std::uint32_t signature_regf = 0x66676572;
constexpr std::size_t entry_header = 40;
constexpr std::uint32_t page_size = 4096;
// Far above any entry of a real log; more would only cost time.
constexpr std::uint32_t largest_entry = 64 << 20;

std::uint64_t read_u64(std::span<const std::byte> bytes, std::size_t offset) {
  return read_u32(bytes, offset) | (static_cast<std::uint64_t>(read_u32(bytes, offset + 4)) << 32);
}

bool is_bins_size(std::uint32_t size) {
  return size != 0 && size % page_size == 0 && size < most_bins_size;
}

// The first 40 bytes of an entry whose second hash is right.
std::optional<Bytes> read_entry_header(const Source& log, std::uint64_t offset) {
  Bytes header = log.read_at(offset, entry_header);
  if (header.size() != entry_header || read_u32(header, 0) != signature_hvle) return std::nullopt;
  Marvin32 hash;
  hash.add(std::span(header).first(32));
  if (hash.finish() != read_u64(header, 32)) return std::nullopt;
  return header;
}

// Of bytes 40 to the end of the entry.
bool has_right_hash(const Source& log, std::uint64_t offset, std::span<const std::byte> header) {
  constexpr std::uint64_t chunk = 1 << 20;
  const std::uint64_t end = offset + read_u32(header, 4);
  Marvin32 hash;
  for (std::uint64_t at = offset + entry_header; at < end; at += chunk) {
    const std::size_t size = std::min(chunk, end - at);
    const Bytes bytes = log.read_at(at, size);
    if (bytes.size() != size) return false;
    hash.add(bytes);
  }
  return hash.finish() == read_u64(header, 24);
}

// The pages that `references` name; their bytes stand one after the other behind it, up to `end`.
std::optional<std::vector<Page>> place_pages(std::span<const std::byte> references,
                                             std::uint64_t first, std::uint64_t end,
                                             std::uint32_t bins_size) {
  std::vector<Page> pages;
  for (std::size_t i = 0; i < references.size(); i += 8) {
    const Page page = {read_u32(references, i), read_u32(references, i + 4), first};
    const bool right = page.offset % page_size == 0 && page.length % page_size == 0 &&
                       page.length != 0 && page.offset <= bins_size &&
                       page.length <= bins_size - page.offset && page.length <= end - first;
    if (!right) return std::nullopt;
    first += page.length;
    pages.push_back(page);
  }
  return pages;
}

// Sectors that follow each other in the hive do so in the log, too.
void append(std::vector<Page>& pages, std::uint32_t offset, std::uint64_t log_offset) {
  if (!pages.empty() && pages.back().offset + pages.back().length == offset)
    pages.back().length += log_sector;
  else
    pages.push_back({offset, log_sector, log_offset});
}

}  // namespace

std::span<const std::byte> resource_manager(std::span<const std::byte> base_block) {
  return base_block.subspan(112, 16);
}

std::uint64_t last_written(std::span<const std::byte> base_block) {
  return read_u64(base_block, 12);
}

std::optional<LogHeader> read_log_header(const Source& log) {
  LogHeader header;
  header.bytes = log.read_at(0, log_sector);
  const Bytes& bytes = header.bytes;
  if (bytes.size() != log_sector || read_u32(bytes, 0) != signature_regf ||
      read_u32(bytes, 508) != base_block_checksum(bytes))
    return std::nullopt;
  const std::uint32_t type = read_u32(bytes, 28);
  header.type = type == 6 ? LogType::hvle : LogType::dirt;
  header.sequence = read_u32(bytes, 4);
  header.last_written = last_written(bytes);
  header.bins_size = read_u32(bytes, 40);
  const bool usable = (type == 1 || type == 2 || type == 6) &&
                      read_u32(bytes, 8) == header.sequence && read_u32(bytes, 20) == 1 &&
                      read_u32(bytes, 44) == 1 && is_bins_size(header.bins_size);
  if (!usable) return std::nullopt;
  return header;
}

std::optional<LogEntry> read_entry(const Source& log, std::uint64_t offset, std::uint32_t number) {
  const auto header = read_entry_header(log, offset);
  if (!header || read_u32(*header, 12) != number) return std::nullopt;
  LogEntry entry = {read_u32(*header, 4), read_u32(*header, 8), number, read_u32(*header, 16), {}};
  if (entry.size < log_sector || entry.size > log.size - offset) return std::nullopt;
  if (entry.size > largest_entry) throw NotReplayable("a log has an entry that is too large");
  if (!has_right_hash(log, offset, *header)) return std::nullopt;
  const std::uint64_t count = read_u32(*header, 20);
  std::optional<std::vector<Page>> pages;
  if (is_bins_size(entry.bins_size) && entry.size % log_sector == 0 &&
      count * 8 <= entry.size - entry_header) {
    const std::uint64_t first = offset + entry_header + count * 8;
    pages = place_pages(read_exactly(log, offset + entry_header, count * 8), first,
                        offset + entry.size, entry.bins_size);
  }
  if (!pages) throw NotReplayable("a log has an entry of a form that is not known");
  entry.pages = std::move(*pages);
  return entry;
}

std::vector<std::uint64_t> find_entries(const Source& log, std::uint64_t from) {
  constexpr std::uint64_t chunk = 1 << 20;
  std::vector<std::uint64_t> found;
  for (std::uint64_t at = from; at < log.size; at += chunk) {
    const Bytes bytes = log.read_at(at, chunk);
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += log_sector)
      if (read_u32(bytes, i) == signature_hvle) found.push_back(at + i);
  }
  return found;
}

bool is_blank(const Source& log) {
  const Bytes start = log.read_at(0, log_sector);
  return std::all_of(start.begin(), start.end(), [](std::byte b) { return b == std::byte{}; });
}

std::optional<std::uint32_t> entry_sequence(const Source& log, std::uint64_t offset) {
  const auto header = read_entry_header(log, offset);
  return header ? std::optional(read_u32(*header, 12)) : std::nullopt;
}

std::optional<std::vector<Page>> read_dirty_pages(const Source& log, const LogHeader& header) {
  constexpr std::size_t vector_at = log_sector + 4;
  const std::size_t vector_size = header.bins_size / log_sector / 8;
  const Bytes start = log.read_at(log_sector, 4 + vector_size);
  if (start.size() != 4 + vector_size || read_u32(start, 0) != signature_dirt) return std::nullopt;
  std::uint64_t log_offset = (vector_at + vector_size + log_sector - 1) / log_sector * log_sector;
  std::vector<Page> pages;
  for (std::uint32_t sector = 0; sector < vector_size * 8; ++sector) {
    const auto bits = std::to_integer<unsigned>(start[4 + sector / 8]);
    if (((bits >> (sector % 8)) & 1) == 0) continue;
    append(pages, sector * static_cast<std::uint32_t>(log_sector), log_offset);
    log_offset += log_sector;
    if (log_offset > log.size) return std::nullopt;
  }
  return pages;
}

std::size_t count_in_use(std::span<const std::string> logs) {
  const std::string_view old = log_endings.back();
  const auto is_old = [old](std::string_view log) {
    return log.size() >= old.size() && same_name(log.substr(log.size() - old.size()), old);
  };
  const auto old_ones = static_cast<std::size_t>(std::count_if(logs.begin(), logs.end(), is_old));
  return old_ones == logs.size() ? old_ones : logs.size() - old_ones;
}

}  // namespace kvmnet::hive

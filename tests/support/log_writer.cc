// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/support/log_writer.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string_view>

#include "tests/support/minimal_hive.h"

namespace kvmnet::test {
namespace {

constexpr std::size_t base_block_size = 4096;
constexpr std::size_t header_size = 512;  // what a log has of a base block
constexpr std::size_t sector = 512;
constexpr std::uint32_t page_size = 4096;
constexpr std::size_t time_in_first_bin = base_block_size + 20;

// Offsets in a base block.
constexpr std::size_t seq1_at = 4;
constexpr std::size_t seq2_at = 8;
constexpr std::size_t time_at = 12;
constexpr std::size_t type_at = 28;
constexpr std::size_t bins_size_at = 40;
constexpr std::size_t rm_id_at = 112;
constexpr std::size_t flags_at = 144;

constexpr std::uint32_t primary_type = 0;
constexpr std::uint32_t hvle_type = 6;

std::size_t rounded_up(std::size_t number, std::size_t unit) {
  return (number + unit - 1) / unit * unit;
}

// Writes over what is there, and beyond the end where it must.
void put(Bytes& file, std::size_t offset, std::span<const std::byte> bytes) {
  file.resize(std::max(file.size(), offset + bytes.size()));
  std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(offset));
}

void put_text(Bytes& file, std::size_t offset, std::string_view text) {
  put(file, offset, std::as_bytes(std::span(text)));
}

std::uint32_t size_of_bins(const Bytes& hive) {
  const std::uint32_t size = load_u32(hive, bins_size_at);
  if (size % page_size != 0 || size > hive.size() - base_block_size)
    throw std::logic_error("the log writer needs whole hives");
  return size;
}

Bytes bins_of(const Bytes& hive) {
  const auto bins = std::span(hive).subspan(base_block_size, size_of_bins(hive));
  return {bins.begin(), bins.end()};
}

// The pages in which `after` differs from `before`, and all that `before` does not have; adjacent
// ones merged.
std::vector<PageRange> changed_pages(const Bytes& before, const Bytes& after, std::uint32_t unit) {
  std::vector<PageRange> pages;
  for (std::uint32_t at = 0; at < after.size(); at += unit) {
    const auto from = after.begin() + at;
    if (at < before.size() && std::equal(from, from + unit, before.begin() + at)) continue;
    if (!pages.empty() && pages.back().offset + pages.back().length == at)
      pages.back().length += unit;
    else
      pages.push_back({at, unit});
  }
  return pages;
}

std::span<const std::byte> page_of(const Bytes& bins, const PageRange& page) {
  return std::span(bins).subspan(page.offset, page.length);
}

void seal_entry(Bytes& log, std::size_t offset, std::size_t size) {
  const auto entry = std::span(log).subspan(offset, size);
  store_u64(log, offset + EntryField::hash_1, marvin32(entry.subspan(EntryField::references)));
  store_u64(log, offset + EntryField::hash_2, marvin32(entry.first(EntryField::hash_2)));
}

// Writes an entry of `size` bytes whose padding is zeros.
void put_entry(Bytes& log, std::size_t offset, std::size_t size, const Bytes& bins,
               const std::vector<PageRange>& pages, std::uint32_t flags, std::uint32_t number) {
  put(log, offset, Bytes(size));
  put_text(log, offset, "HvLE");
  store_u32(log, offset + EntryField::size, static_cast<std::uint32_t>(size));
  store_u32(log, offset + EntryField::flags, flags);
  store_u32(log, offset + EntryField::number, number);
  store_u32(log, offset + EntryField::bins_size, static_cast<std::uint32_t>(bins.size()));
  store_u32(log, offset + EntryField::count, static_cast<std::uint32_t>(pages.size()));
  std::size_t reference = offset + EntryField::references;
  std::size_t data = reference + 8 * pages.size();
  for (const PageRange& page : pages) {
    store_u32(log, reference, page.offset);
    store_u32(log, reference + 4, page.length);
    put(log, data, page_of(bins, page));
    reference += 8;
    data += page.length;
  }
  seal_entry(log, offset, size);
}

// Padded so that the next entry lies on a page boundary of the log.
std::size_t entry_size(std::size_t offset, const std::vector<PageRange>& pages) {
  std::size_t end = offset + EntryField::references;
  for (const PageRange& page : pages) end += 8 + page.length;
  return rounded_up(end, page_size) - offset;
}

// The recovered header, see regf-logs.md, section 6.
void finish_header(Bytes& hive, std::size_t bins_size, std::uint32_t last_number) {
  store_u32(hive, type_at, primary_type);
  store_u32(hive, bins_size_at, static_cast<std::uint32_t>(bins_size));
  set_sequence_numbers(hive, last_number + 1, last_number + 1);
}

// The bitmap of `size / 4096` bytes and then, from the next sector on, the pages.
void put_dirt(Bytes& log, const Bytes& bins, const std::vector<PageRange>& pages) {
  const std::size_t vector = header_size + 4;
  put_text(log, header_size, "DIRT");
  log.resize(rounded_up(vector + bins.size() / page_size, sector));
  for (const PageRange& page : pages) {
    for (std::size_t bit = page.offset / sector; bit < (page.offset + page.length) / sector; ++bit)
      log.at(vector + bit / 8) |= std::byte{1} << (bit % 8);
    put(log, log.size(), page_of(bins, page));
  }
}

}  // namespace

HvleRecorder::HvleRecorder(Bytes clean) : primary_(std::move(clean)) {
  next_number_ = load_u32(primary_, seq2_at);
  if (load_u32(primary_, seq1_at) != next_number_)
    throw std::logic_error("the recorder needs a clean hive");
  states_.push_back({bins_of(primary_), load_u32(primary_, flags_at) & 1, next_number_ - 1});
}

void HvleRecorder::commit(const Bytes& next) {
  const auto pages = changed_pages(states_.back().bins, bins_of(next), page_size);
  if (pages.empty()) throw std::logic_error("nothing to commit");
  commit(next, pages);
}

void HvleRecorder::commit(const Bytes& next, const std::vector<PageRange>& pages) {
  const Bytes bins = bins_of(next);
  if (states_.size() == 1) set_sequence_numbers(primary_, next_number_ + 1, next_number_);
  if (end_ == 0) start_log(static_cast<std::uint32_t>(bins.size()));
  const std::uint32_t flags = load_u32(next, flags_at) & 1;
  const std::size_t size = entry_size(end_, pages);
  put_entry(logs_[current_], end_, size, bins, pages, flags, next_number_);
  entries_.push_back({current_, end_, size, next_number_, states_.size()});
  states_.push_back({bins, flags, next_number_});
  end_ += size;
  ++next_number_;
}

void HvleRecorder::rotate() {
  current_ = 1 - current_;
  end_ = 0;
}

void HvleRecorder::reconcile() {
  write_data();
  finish_header(primary_, states_.back().bins.size(), next_number_ - 1);
  states_.erase(states_.begin(), states_.end() - 1);
  entries_.clear();
  end_ = 0;
}

void HvleRecorder::start_log(std::uint32_t bins_size) {
  const auto in_this_log = [this](const EntryPlace& entry) { return entry.log == current_; };
  if (std::erase_if(entries_, in_this_log) > 0) write_data();
  Bytes header(primary_.begin(), primary_.begin() + header_size);
  store_u32(header, type_at, hvle_type);
  store_u32(header, bins_size_at, bins_size);
  set_sequence_numbers(header, next_number_, next_number_);
  put(logs_[current_], 0, header);
  end_ = header_size;
}

void HvleRecorder::write_data() {
  put(primary_, base_block_size, states_.back().bins);
}

Bytes HvleRecorder::state(std::size_t commits) const {
  const State& state = states_.at(commits);
  Bytes hive = primary_;
  put(hive, base_block_size, state.bins);
  store_u32(hive, flags_at, (load_u32(hive, flags_at) & ~1U) | state.flags);
  finish_header(hive, state.bins.size(), state.number);
  return hive;
}

DirtFlush flush_dirt(const Bytes& clean, Bytes next, const DirtOptions& options) {
  const std::uint32_t number = load_u32(clean, seq2_at);
  store_u64(next, time_in_first_bin, options.time);
  const Bytes bins = bins_of(next);
  const auto pages = options.pages.empty() ? changed_pages(bins_of(clean), bins, options.page_size)
                                           : options.pages;
  DirtFlush flush;
  flush.primary = clean;
  store_u64(flush.primary, time_at, options.time);
  set_sequence_numbers(flush.primary, number + 1, number);

  flush.log.assign(flush.primary.begin(), flush.primary.begin() + header_size);
  const std::uint32_t log_number = options.same_numbers ? number + 1 : number;
  store_u32(flush.log, type_at, options.type);
  store_u32(flush.log, bins_size_at, static_cast<std::uint32_t>(bins.size()));
  set_sequence_numbers(flush.log, log_number, log_number);
  put_dirt(flush.log, bins, pages);

  flush.after = flush.primary;
  put(flush.after, base_block_size, bins);
  finish_header(flush.after, bins.size(), log_number);
  return flush;
}

std::uint64_t marvin32(std::span<const std::byte> data) {
  std::uint32_t low = 0x7A4E55C5;
  std::uint32_t high = 0x82EF4D88;
  const auto feed = [&](std::uint32_t word) {
    low += word;
    high ^= low;
    low = std::rotl(low, 20) + high;
    high = std::rotl(high, 9) ^ low;
    low = std::rotl(low, 27) + high;
    high = std::rotl(high, 19);
  };
  const auto word_of = [](std::span<const std::byte> bytes) {
    std::uint32_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      word |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
    return word;
  };
  for (; data.size() >= 4; data = data.subspan(4)) feed(word_of(data.first(4)));
  feed(word_of(data) | 0x80U << (8 * data.size()));
  feed(0);
  return std::uint64_t{high} << 32 | low;
}

void forge(Bytes& log, const EntryPlace& entry, std::size_t field, std::uint32_t value) {
  store_u32(log, entry.offset + field, value);
  // The hash is to be right for the size that the entry says it has, where the log has so much.
  const std::size_t size = load_u32(log, entry.offset + EntryField::size);
  const bool usable = size >= EntryField::references && size <= log.size() - entry.offset;
  seal_entry(log, entry.offset, usable ? size : entry.size);
}

void tear(Bytes& log, const EntryPlace& entry) {
  const Bytes older(entry.size - sector, std::byte{0xE5});
  put(log, entry.offset + sector, older);
}

void spoil(Bytes& log, std::size_t offset) {
  log.at(offset) ^= std::byte{0xFF};
}

void forge_header(Bytes& log, std::size_t offset, std::uint32_t value) {
  store_u32(log, offset, value);
  update_checksum(log);
}

void set_rm_id(Bytes& log, std::byte filling) {
  put(log, rm_id_at, Bytes(16, filling));
  update_checksum(log);
}

}  // namespace kvmnet::test

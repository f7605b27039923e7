// SPDX-License-Identifier: GPL-2.0-or-later
// Changes an input where a hive or a log has something to be read: bytes at random nearly all fall
// into data that nobody looks at.
#include <algorithm>
#include <array>
#include <cstdint>

#include "tests/fuzz/input.h"
#include "tests/fuzz/mutation.h"
#include "tests/fuzz/records.h"
#include "tests/fuzz/seal.h"
#include "tests/support/minimal_hive.h"

namespace kvmnet::fuzz {
namespace {

class Mutator : Random {
 public:
  Mutator(HiveFiles files, unsigned seed) : Random(seed), files_(std::move(files)) {}

  HiveFiles run(std::size_t max_size) {
    for (std::size_t rounds = 1 + below(4); rounds > 0; --rounds) change(max_size);
    if (below(8) != 0) seal();
    return std::move(files_);
  }

 private:
  void change(std::size_t max_size) {
    switch (below(10)) {
      case 0:
        return change_header(any_file());
      case 1:
        return files_.logs.empty() ? change_record() : change_entry(any_log());
      case 2:
        return change_bytes(any_file(), max_size);
      case 3:
        return change_contents();
      case 4:
        return below(8) == 0 ? change_logs() : change_record();
      case 5:
        return swap_records();
      default:
        return change_record();
    }
  }

  Bytes& any_log() { return any(files_.logs); }
  Bytes& any_file() { return files_.logs.empty() || below(2) == 0 ? files_.primary : any_log(); }

  // What counts, sizes and offsets are compared with.
  std::uint32_t number(std::uint32_t old) {
    const std::array<std::uint32_t, 14> candidates = {
        0,
        0xFFFFFFFF,
        0x80000000,
        old + 1,
        old - 1,
        old * 2,
        0U - old,
        old ^ (1U << below(32)),
        static_cast<std::uint32_t>(below(16)),
        static_cast<std::uint32_t>(below(0x10000)),
        static_cast<std::uint32_t>(below(64) * 4096),
        static_cast<std::uint32_t>(16340 + below(10)),
        static_cast<std::uint32_t>(below(4096) * 8),
        static_cast<std::uint32_t>(below(files_.primary.size())),
    };
    return any(candidates);
  }

  void replace(Bytes& file, std::size_t offset, std::uint32_t value, bool two_bytes) {
    if (offset + 4 > file.size()) return;
    const std::uint32_t old = test::load_u32(file, offset);
    test::store_u32(file, offset, two_bytes ? (old & 0xFFFF0000) | (value & 0xFFFF) : value);
  }

  void change_number(Bytes& file, std::size_t offset) {
    if (offset + 4 > file.size()) return;
    replace(file, offset, number(test::load_u32(file, offset)), below(3) == 0);
  }

  void change_header(Bytes& file) {
    constexpr std::array<std::size_t, 13> fields = {0,  4,  8,  12, 16,  20, 24,
                                                    28, 32, 36, 40, 112, 144};
    change_number(file, any(fields));
  }

  void change_entry(Bytes& log) {
    const auto entries = log_entries(log);
    if (entries.empty()) return change_number(log, 512 + below(64));  // DIRT and its bitmap
    change_number(log, any(entries) + 4 * below(16));
  }

  // A number near the start of a used cell, where the fields are. Half of the new ones lead to
  // another cell.
  void change_record() {
    const auto cells = used_cells(files_.primary);
    if (cells.empty()) return;
    const CellPlace& cell = any(cells);
    const std::size_t offset =
        cell.offset - 4 + 2 * below(std::min<std::size_t>(cell.size, 88) / 2);
    if (below(2) == 0) return change_number(files_.primary, offset);
    const CellPlace& target = any(cells);
    replace(files_.primary, offset, static_cast<std::uint32_t>(target.offset - 4 - 4096), false);
  }

  // The contents of two cells, as far as both reach.
  void swap_records() {
    const auto cells = used_cells(files_.primary);
    if (cells.empty()) return;
    const CellPlace& a = any(cells);
    const CellPlace& b = any(cells);
    const auto at = [this](const CellPlace& cell) {
      return files_.primary.begin() + static_cast<std::ptrdiff_t>(cell.offset);
    };
    if (&a == &b) return;
    const auto size = static_cast<std::ptrdiff_t>(std::min(a.size, b.size));
    std::swap_ranges(at(a), at(a) + size, at(b));
  }

  // Whatever libFuzzer makes of one cell; the cell keeps its size.
  void change_contents() {
    const auto cells = used_cells(files_.primary);
    if (cells.empty()) return;
    const CellPlace& cell = any(cells);
    mutate_bytes(
        std::span(files_.primary).subspan(cell.offset, std::min<std::size_t>(cell.size, 256)));
  }

  // Whatever libFuzzer makes of a whole file, its length included.
  void change_bytes(Bytes& file, std::size_t max_size) {
    const std::size_t others = pack(files_).size() - file.size();
    const std::size_t most = max_size > others ? max_size - others : 0;
    if (most >= file.size() && most > 0) mutate_bytes(file, most);
  }

  void change_logs() {
    auto& logs = files_.logs;
    const std::size_t kind = below(4);
    if (kind == 0 && logs.size() < most_logs) {
      logs.push_back(logs.empty() ? files_.primary : any_log());
    } else if (kind == 1 && !logs.empty()) {
      logs.pop_back();
    } else if (kind == 2 && !logs.empty()) {
      std::swap(logs.front(), logs.back());
    } else {
      Bytes& file = any_file();
      file.resize(below(file.size() / 512 + 1) * 512);
    }
  }

  void seal() {
    if (below(4) != 0) seal_lists(files_.primary);
    seal_header(files_.primary);
    for (Bytes& log : files_.logs) {
      seal_header(log);
      seal_entries(log);
    }
  }

  HiveFiles files_;
};

}  // namespace

Bytes mutated(std::span<const std::byte> input, std::size_t max_size, unsigned seed) {
  return pack(Mutator(unpack(input), seed).run(max_size));
}

}  // namespace kvmnet::fuzz

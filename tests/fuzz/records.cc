// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/records.h"

#include <cstdint>

#include "tests/support/minimal_hive.h"

namespace kvmnet::fuzz {
namespace {

constexpr std::size_t page_size = 4096;
constexpr std::uint32_t signature_hbin = 0x6E696268;
constexpr std::uint32_t signature_hvle = 0x454C7648;

}  // namespace

std::vector<CellPlace> used_cells(const hive::Bytes& hive) {
  constexpr std::size_t bin_header = 32;
  std::vector<CellPlace> cells;
  for (std::size_t at = page_size; at + bin_header + 8 <= hive.size();) {
    const std::uint32_t stored = test::load_u32(hive, at);
    if (at % page_size == 0 && stored == signature_hbin) {
      at += bin_header;
      continue;
    }
    const bool used = (stored & 0x80000000) != 0;
    const std::size_t size = used ? 0U - stored : stored;
    if (size < 8 || size % 8 != 0 || size > hive.size() - at) break;
    if (used) cells.push_back({at + 4, size - 4});
    at += size;
  }
  return cells;
}

std::vector<std::size_t> log_entries(const hive::Bytes& log) {
  constexpr std::size_t sector = 512;
  constexpr std::size_t entry_header = 40;
  std::vector<std::size_t> entries;
  for (std::size_t at = sector; at + entry_header <= log.size(); at += sector)
    if (test::load_u32(log, at) == signature_hvle) entries.push_back(at);
  return entries;
}

}  // namespace kvmnet::fuzz

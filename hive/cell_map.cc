// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/cell_map.h"

#include <fmt/format.h>

namespace kvmnet::hive {
namespace {

// The size of the bin at `offset`; 0 if it is damaged.
std::uint32_t bin_size(std::span<const std::byte> bins, CellOffset offset) {
  constexpr std::uint32_t signature_hbin = 0x6E696268;
  const auto bin = bins.subspan(offset);
  if (bin.size() < bin_header_size || read_u32(bin, 0) != signature_hbin) return 0;
  const std::uint32_t size = read_u32(bin, 8);
  const bool sound = read_u32(bin, 4) == offset && size % 4096 == 0 && size <= bin.size();
  return sound ? size : 0;
}

}  // namespace

CellMap::CellMap(std::span<const std::byte> bins, Findings& findings)
    : bins_(bins), states_(bins.size() / 8, State::no_cell_begins) {
  for (CellOffset offset = 0; offset < bins_.size();) {
    const std::uint32_t size = bin_size(bins_, offset);
    if (size == 0) {
      findings.fatal(offset, [] { return "hive bin is damaged"; });
      return;
    }
    map_bin(offset, size, findings);
    offset += size;
  }
}

void CellMap::map_bin(CellOffset bin, std::uint32_t size, Findings& findings) {
  const CellOffset end = bin + size;
  for (CellOffset offset = bin + bin_header_size; offset < end;) {
    const std::uint32_t stored = read_u32(bins_, offset);
    const bool used = (stored & 0x80000000) != 0;  // a negative size
    const std::uint32_t cell_size = used ? 0U - stored : stored;
    if (cell_size < 8 || cell_size % 8 != 0 || cell_size > end - offset) {
      findings.fatal(offset, [&] { return fmt::format("cell has the size {:#x}", stored); });
      return;
    }
    state(offset) = used ? State::used : State::free;
    offset += cell_size;
  }
}

std::optional<Cell> CellMap::used(CellOffset offset) const {
  if (offset % 8 != 0 || offset >= bins_.size()) return std::nullopt;
  const State found = states_[offset / 8];
  if (found != State::used && found != State::claimed) return std::nullopt;
  return used_cell(bins_, offset);
}

bool CellMap::claim(CellOffset offset) {
  if (state(offset) == State::claimed) return false;
  state(offset) = State::claimed;
  return true;
}

void CellMap::report_unclaimed(Findings& findings) const {
  std::size_t cells = 0;
  std::size_t bytes = 0;
  CellOffset first = 0;
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (states_[i] != State::used) continue;
    const auto offset = static_cast<CellOffset>(i * 8);
    if (cells++ == 0) first = offset;
    bytes += 0U - read_u32(bins_, offset);
  }
  if (cells == 0) return;
  findings.harmless(first, [&] {
    return fmt::format("nothing refers to this and other used cells: {} of {} bytes in all", cells,
                       bytes);
  });
}

}  // namespace kvmnet::hive

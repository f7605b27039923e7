// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/cell_map.h"

#include <fmt/format.h>

#include <algorithm>

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
    : bins_(bins), used_(bins.size() / 8), claimed_(bins.size() / 8) {
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
    used_[offset / 8] = used;
    unclaimed_ += used ? 1 : 0;
    offset += cell_size;
  }
}

bool CellMap::claim(CellOffset offset) {
  if (claimed_[offset / 8]) return false;
  claimed_[offset / 8] = true;
  --unclaimed_;
  return true;
}

void CellMap::report_unclaimed(Findings& findings) const {
  if (unclaimed_ == 0) return;
  std::size_t bytes = 0;
  CellOffset first = no_cell;
  for (std::size_t i = 0; i < used_.size(); ++i) {
    if (!used_[i] || claimed_[i]) continue;
    const auto offset = static_cast<CellOffset>(i * 8);
    first = std::min(first, offset);
    bytes += 0U - read_u32(bins_, offset);
  }
  findings.harmless(first, [&] {
    return fmt::format("nothing refers to this and other used cells: {} of {} bytes in all",
                       unclaimed_, bytes);
  });
}

}  // namespace kvmnet::hive

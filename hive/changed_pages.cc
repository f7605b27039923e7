// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/changed_pages.h"

#include <algorithm>
#include <cstring>

#include "hive/base_block.h"

namespace kvmnet::hive {
namespace {

constexpr std::size_t page_size = 4096;

std::span<const std::byte> bins_of(std::span<const std::byte> hive) {
  return hive.subspan(std::min(base_block_size, hive.size()));
}

}  // namespace

ChangedPages::ChangedPages(std::span<const std::byte> before_hive,
                           std::span<const std::byte> after_hive) {
  const auto before = bins_of(before_hive);
  const auto after = bins_of(after_hive);
  changed_.assign((after.size() + page_size - 1) / page_size, true);
  for (std::size_t page = 0; page < changed_.size(); ++page) {
    const std::size_t begin = page * page_size;
    const std::size_t size = std::min(page_size, after.size() - begin);
    if (before.size() < begin + size) break;
    changed_[page] = std::memcmp(before.data() + begin, after.data() + begin, size) != 0;
  }
}

bool ChangedPages::touch(CellOffset offset, Cell cell) const {
  if (changed_.empty()) return false;
  const std::size_t last = (offset + 4 + cell.size() - 1) / page_size;
  for (std::size_t page = offset / page_size; page <= last; ++page)
    if (changed_[page]) return true;
  return false;
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/record.h"

#include "hive/base_block.h"

namespace kvmnet::hive {
namespace {

std::optional<SubkeyList::Kind> list_kind(std::uint16_t tag_found) {
  switch (tag_found) {
    case tag('l', 'i'):
      return SubkeyList::Kind::plain;
    case tag('l', 'f'):
      return SubkeyList::Kind::hinted;
    case tag('l', 'h'):
      return SubkeyList::Kind::hashed;
    case tag('r', 'i'):
      return SubkeyList::Kind::index;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<SubkeyList> read_subkey_list(Cell cell) {
  if (cell.size() < 4) return std::nullopt;
  const auto kind = list_kind(read_u16(cell, 0));
  if (!kind) return std::nullopt;
  const std::uint16_t count = read_u16(cell, 2);
  SubkeyList list = {*kind, count, {}};
  const std::size_t size = count * list.entry_size();
  if (size > cell.size() - 4) return std::nullopt;
  list.entries = cell.subspan(4, size);
  return list;
}

std::optional<SecurityNode> read_security_node(Cell cell) {
  constexpr std::size_t fixed_size = 20;
  if (!is_record(cell, tag('s', 'k'), fixed_size)) return std::nullopt;
  const std::uint32_t size = read_u32(cell, 16);
  if (size > cell.size() - fixed_size) return std::nullopt;
  return SecurityNode{read_u32(cell, 4), read_u32(cell, 8), read_u32(cell, 12),
                      cell.subspan(fixed_size, size)};
}

std::optional<BigData> read_big_data(Cell cell) {
  if (!is_record(cell, tag('d', 'b'), 8)) return std::nullopt;
  return BigData{read_u16(cell, 2), read_u32(cell, 4)};
}

}  // namespace kvmnet::hive

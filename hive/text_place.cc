// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/text_place.h"

#include <fmt/format.h>

namespace kvmnet::hive {

std::string place_in(std::string_view text, std::size_t offset) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t at = 0; at < offset; ++at) {
    const bool ends_line =
        text[at] == '\n' || (text[at] == '\r' && (at + 1 == text.size() || text[at + 1] != '\n'));
    if (ends_line) {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) {  // begins a character
      ++column;
    }
  }
  return fmt::format("line {}, column {}", line, column);
}

}  // namespace kvmnet::hive

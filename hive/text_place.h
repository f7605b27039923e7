// SPDX-License-Identifier: GPL-2.0-or-later
// Where something is in a text, for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kvmnet::hive {

// "line L, column C" of an offset in UTF-8 text. Lines end with LF, CR LF, or CR alone, as Windows
// has it; columns count characters from 1.
std::string place_in(std::string_view text, std::size_t offset);

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// The encodings that .reg files come in.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hive/utf16.h"

namespace kvmnet::hive {

// Whether that is the encoding of a .reg file.
bool is_utf16(std::span<const std::byte> file);

// The text of a .reg file as UTF-8, without its byte order mark: UTF-16 (as regedit writes it; also
// without a mark) or UTF-8 where a mark says so; otherwise UTF-8 if `ansi` is nothing and the bytes
// are, and else the code page `ansi` (default 1252). Throws hive::Error, "line L, column C: WHAT",
// for what is not text in that encoding; offsets are the file's.
std::string decode_reg(std::span<const std::byte> file, std::optional<unsigned> ansi);

}  // namespace kvmnet::hive

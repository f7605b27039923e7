// SPDX-License-Identifier: GPL-2.0-or-later
// The encodings that .reg files come in.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hive/utf16.h"

namespace kvmnet::hive {

// An ANSI code page of Windows by its number, e.g. 1252; 65001 is UTF-8.
class CodePage {
 public:
  static constexpr unsigned western_european = 1252;

  // Throws hive::Error if this host cannot convert it.
  explicit CodePage(unsigned number);

  // UTF-8 of the bytes. Throws hive::Error, which names the place of the first byte that is no
  // character: "byte 0xff at offset 17".
  std::string to_utf8(std::span<const std::byte> bytes) const;
  // UTF-16LE of them, as the registry stores strings.
  Bytes to_utf16le(std::span<const std::byte> bytes) const;

 private:
  unsigned number_;
};

// Whether that is the encoding of a .reg file.
bool is_utf16(std::span<const std::byte> file);

// The text of a .reg file as UTF-8, without its byte order mark: UTF-16 (as regedit writes it; also
// without a mark) or UTF-8 where a mark says so; otherwise UTF-8 if `ansi` is nothing and the bytes
// are, and else the code page `ansi` (default 1252). Throws hive::Error, "line L, column C: WHAT",
// for what is not text in that encoding; offsets are the file's.
std::string decode_reg(std::span<const std::byte> file, std::optional<unsigned> ansi);

}  // namespace kvmnet::hive

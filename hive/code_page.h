// SPDX-License-Identifier: GPL-2.0-or-later
// Text in Windows' ANSI code pages, and in other encodings.
//
// Source of what the C library has otherwise than Windows: Unicode, MAPPINGS/VENDORS/MICSFT/
// WindowsBestFit (as Wine's MultiByteToWideChar has it, too).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hive/value.h"

namespace kvmnet::hive {

// Appends `bytes`, which are in an encoding that the C library names so, to `out` as UTF-8. Returns
// how many of them: all, or up to what is no character. Throws hive::Error if this host cannot
// convert it.
std::size_t append_utf8(std::span<const std::byte> bytes, const std::string& encoding,
                        std::string& out);

// A code page by its number, e.g. 1252; 65001 is UTF-8.
class CodePage {
 public:
  static constexpr unsigned western_european = 1252;

  // Throws hive::Error if this host cannot convert it.
  explicit CodePage(unsigned number);

  std::string name() const;  // for people
  // As the function above. Windows puts no letters together: of the pages with a byte for each
  // character each byte is one.
  std::size_t append_utf8(std::span<const std::byte> bytes, std::string& out) const;
  // UTF-16LE of them, as the registry stores strings. Throws hive::Error, which names the place of
  // the first byte that is no character: "byte 0xff at offset 17".
  Bytes to_utf16le(std::span<const std::byte> bytes) const;

 private:
  // Of a byte alone; nothing: it is none.
  std::optional<std::string> character(std::byte byte) const;

  unsigned number_;
  std::vector<std::string> characters_;  // of each byte, where each is one
};

}  // namespace kvmnet::hive

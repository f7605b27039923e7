// SPDX-License-Identifier: GPL-2.0-or-later
// .reg files, as regedit reads them: the formats REGEDIT4 and "Windows Registry Editor Version
// 5.00".
//
// Sources: Microsoft, "How to add, modify, or delete registry subkeys and values by using a .reg
// file" (support.microsoft.com, article 310516); what that leaves open is as in Wine's regedit.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hive/code_page.h"
#include "hive/reg_text.h"
#include "hive/value.h"

namespace kvmnet::hive {

// "NAME"=DATA, or "NAME"=- .
struct RegValue {
  std::string name;            // empty: the key's default value, `@`
  std::optional<Value> value;  // nothing: the value is to go
  unsigned line = 0;
  unsigned column = 1;  // of the name, in characters from 1
  bool operator==(const RegValue&) const = default;
};

// [KEY] and the values below it, or [-KEY].
struct RegSection {
  std::vector<std::string> key;  // its path, e.g. HKEY_LOCAL_MACHINE, SYSTEM, Select; not empty
  bool remove = false;           // the key is to go with all that is in it; there are no values
  std::vector<RegValue> values;
  unsigned line = 0;
  unsigned column = 0;  // of the path, in characters from 1
  bool operator==(const RegSection&) const = default;
};

// Reads the text of a .reg file. The strings that REGEDIT4 has as bytes (hex(2), hex(7)) are in the
// code page `ansi`; nothing: the file was UTF-16, where Wine takes such bytes for UTF-16, too, and
// what Windows does is not known: they are refused. Bytes are stored as they are: regedit of Vista
// and later adds a NUL to strings of hex(1), hex(2) and hex(7) that end without one (Wine's tests
// of reg.exe, Wine44i), but real hives have such strings, and what export_reg() makes of them is to
// come back as it was. Throws hive::Error, "line L, column C: WHAT": for anything that is not a
// section, a value or a comment, and not only for what cannot be understood. What regedit would
// ignore without a word, as far as Wine's tests of it say, is a mistake of whoever wrote the file.
// But words like dword: may be in other letter case, and blanks before commas: what is meant is
// plain.
std::vector<RegSection> parse_reg(std::string_view text, const std::optional<CodePage>& ansi);

// The same of a file's bytes, see decode_reg().
std::vector<RegSection> read_reg(std::span<const std::byte> file, std::optional<unsigned> ansi);

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// A registry value as the hive stores it: a type and bytes. Vocabulary: no I/O, usable anywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hive/utf16.h"

namespace kvmnet::hive {

// REG_* of winnt.h. Guests may hold other numbers; they are carried through unchanged.
enum class Type : std::uint32_t {
  none = 0,
  sz = 1,
  expand_sz = 2,
  binary = 3,
  dword = 4,
  multi_sz = 7,
  qword = 11,
};

struct Value {
  Type type = Type::none;
  Bytes data;
  bool operator==(const Value&) const = default;
};

struct NamedValue {
  std::string name;  // empty: the key's default value
  Value value;
  bool operator==(const NamedValue&) const = default;
};

// The factories store strings as Windows does: UTF-16LE with their terminating NULs. They throw
// hive::Error on text that is not UTF-8.
Value dword(std::uint32_t number);
Value sz(std::string_view text);
Value expand_sz(std::string_view text);
Value multi_sz(const std::vector<std::string>& texts);

// The number of a REG_DWORD of exactly four bytes; nothing for any other value.
std::optional<std::uint32_t> as_dword(const Value& value);

// The text of a REG_SZ or REG_EXPAND_SZ up to its first NUL; nothing for any other type.
std::optional<std::string> as_string(const Value& value);

// The value for people, e.g. `dword:0x00100000`, `"LocalSystem"`, `hex(3):01,02`; escaped, and long
// data is cut, so guest data is safe to print.
std::string describe(const Value& value);

// `text` with control characters and what is not UTF-8 escaped (\xNN, \uNNNN).
std::string escaped(std::string_view text);

}  // namespace kvmnet::hive

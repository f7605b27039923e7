// SPDX-License-Identifier: GPL-2.0-or-later
// The name of a key or value as a hive stores it, and the order that Windows keeps names in:
// "ascending by an uppercase version of a key name string (comparison should be based on character
// codes)", character meaning UTF-16 unit (msuhanov/regf specification, "Index leaf").
//
// Windows' table of upper-case letters differs from version to version. Here are only the letters
// whose mapping is the same in all; where another one decides, the answer is "unknown".
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "hive/base_block.h"

namespace kvmnet::hive {

struct StoredName {
  std::span<const std::byte> bytes;
  bool latin1 = false;  // one byte for each character; else UTF-16LE

  std::size_t length() const { return latin1 ? bytes.size() : bytes.size() / 2; }
  char16_t unit(std::size_t index) const {
    if (latin1) return std::to_integer<unsigned char>(bytes[index]);
    return read_u16(bytes, index * 2);
  }
  // Whether it is Unicode text. Windows takes any units, also one half of a surrogate pair.
  bool is_text() const;
  std::string text() const;     // UTF-8; U+FFFD for what is no text
  std::string escaped() const;  // fit to be printed, and not long
};

bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b);

// How `a` is ordered relative to `b`; equal: Windows takes them for the same name. Nothing where a
// letter with an unknown upper case decides.
std::optional<std::strong_ordering> compare_names(const StoredName& a, const StoredName& b);

// Whether some Windows may take them for the same name: they have the same length, and no letter's
// known upper case tells them apart.
bool may_be_same(const StoredName& a, const StoredName& b);

// A total order in which names that are equal to compare_names() are equal, for finding duplicates.
bool is_before(const StoredName& a, const StoredName& b);

// A form in which just those names are equal that neither is_before() the other.
std::u16string folded(const StoredName& name);

// Names that are equal in that form have the same one.
std::uint32_t folded_hash(const StoredName& name);

// The hash of a key's name in an `lh` list; nothing if a letter's upper case is unknown.
std::optional<std::uint32_t> name_hash(const StoredName& name);

// Whether `hint` can be the hint of that name in an `lf` list: its first four characters, or a
// first byte of zero ("not possible"). True wherever that cannot be told.
bool is_hint_of(std::uint32_t hint, const StoredName& name);

}  // namespace kvmnet::hive

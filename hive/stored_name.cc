// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/stored_name.h"

#include <algorithm>
#include <array>

#include "hive/value.h"

namespace kvmnet::hive {
namespace {

constexpr bool is_within(char16_t unit, char16_t first, char16_t last) {
  return unit >= first && unit <= last;
}

constexpr char16_t lowered_by(char16_t unit, unsigned distance) {
  return static_cast<char16_t>(unit - distance);
}

// Scripts without letter case: most of the punctuation, Hebrew and Arabic, Chinese, Japanese, Yi,
// Korean, and surrogates, which Windows does not combine.
constexpr bool has_no_case(char16_t unit) {
  return is_within(unit, 0x0590, 0x06FF) || is_within(unit, 0x2000, 0x20FF) ||
         is_within(unit, 0x3000, 0xA63F) || is_within(unit, 0xAC00, 0xFAFF);
}

// No letter, and so no letter's upper case.
constexpr char16_t unknown = 0xFFFF;

constexpr char16_t upper_case_latin1(char16_t unit) {
  if (is_within(unit, u'a', u'z')) return lowered_by(unit, 0x20);
  // Micro sign and y with diaeresis: their upper cases lie outside of Latin-1, or there is none.
  if (unit == 0xB5 || unit == 0xFF) return unknown;
  if (unit >= 0xE0 && unit != 0xF7) return lowered_by(unit, 0x20);
  return unit;
}

// A table: checking a hive asks for a million letters.
constexpr auto latin1_upper_cases = [] {
  std::array<char16_t, 256> table{};
  for (std::size_t unit = 0; unit < table.size(); ++unit)
    table[unit] = upper_case_latin1(static_cast<char16_t>(unit));
  return table;
}();

char16_t upper_case_beyond_latin1(char16_t unit) {
  if (is_within(unit, 0x0400, 0x042F)) return unit;  // Cyrillic
  if (is_within(unit, 0x0430, 0x044F)) return lowered_by(unit, 0x20);
  if (is_within(unit, 0x0450, 0x045F)) return lowered_by(unit, 0x50);
  if (has_no_case(unit)) return unit;
  return unknown;
}

// `unknown` where versions of Windows differ.
char16_t upper_case(char16_t unit) {
  return unit < latin1_upper_cases.size() ? latin1_upper_cases[unit]
                                          : upper_case_beyond_latin1(unit);
}

// The only letters beyond ASCII that Unicode has in one pair of cases with a letter of ASCII: the
// dotless i, the long s and the sign for Kelvin. Windows' tables differ in whether they map them.
constexpr bool may_become_ascii(char16_t unit, char16_t upper) {
  return (unit == 0x0131 && upper == u'I') || (unit == 0x017F && upper == u'S') ||
         (unit == 0x212A && upper == u'K');
}

// `unit`: a letter without a known upper case.
constexpr bool may_become(char16_t unit, char16_t upper) {
  return upper < 0x80 ? may_become_ascii(unit, upper) : !has_no_case(upper);
}

bool may_be_same(char16_t a, char16_t b) {
  if (a == b) return true;
  const char16_t upper_a = upper_case(a);
  const char16_t upper_b = upper_case(b);
  if (upper_a != unknown && upper_b != unknown) return upper_a == upper_b;
  if (upper_a != unknown) return may_become(b, upper_a);
  return upper_b == unknown || may_become(a, upper_b);
}

char16_t folded(char16_t unit) {
  const char16_t upper = upper_case(unit);
  return upper == unknown ? unit : upper;
}

// The units of a name; of one in Latin-1 with nothing else to be decided for each: checking a hive
// takes a million of them, and nearly all are of that kind.
struct Latin1Units {
  std::span<const std::byte> bytes;
  char16_t operator[](std::size_t index) const {
    return std::to_integer<unsigned char>(bytes[index]);
  }
};
struct AnyUnits {
  const StoredName& name;
  char16_t operator[](std::size_t index) const { return name.unit(index); }
};

template <typename Units>
std::optional<std::strong_ordering> compare_units(const Units& a, const Units& b,
                                                  std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (a[i] == b[i]) continue;
    const char16_t upper_a = upper_case(a[i]);
    const char16_t upper_b = upper_case(b[i]);
    if (upper_a == unknown || upper_b == unknown) return std::nullopt;
    if (upper_a != upper_b) return upper_a <=> upper_b;
  }
  return std::strong_ordering::equal;
}

template <typename Units>
bool is_before(const Units& a, const Units& b, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (a[i] == b[i] || folded(a[i]) == folded(b[i])) continue;
    return folded(a[i]) < folded(b[i]);
  }
  return false;
}

// For each letter: the hash so far times 37, plus the letter. Four at a time: each multiplication
// would wait for the one before.
template <typename Letter>
std::uint32_t hash_of(std::size_t count, Letter letter) {
  constexpr std::uint32_t base = 37;
  const auto pair = [&](std::size_t i) { return letter(i) * base + letter(i + 1); };
  std::uint32_t hash = 0;
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4)
    hash = hash * (base * base * base * base) + (pair(i) * (base * base) + pair(i + 2));
  for (; i < count; ++i) hash = hash * base + letter(i);
  return hash;
}

template <typename Units>
std::optional<std::uint32_t> upper_case_hash(const Units& units, std::size_t count) {
  bool known = true;
  const std::uint32_t hash = hash_of(count, [&](std::size_t i) {
    const char16_t upper = upper_case(units[i]);
    known = known && upper != unknown;
    return upper;
  });
  return known ? std::optional(hash) : std::nullopt;
}

template <typename Units>
std::uint32_t folded_hash(const Units& units, std::size_t count) {
  return hash_of(count, [&](std::size_t i) { return folded(units[i]); });
}

}  // namespace

bool StoredName::is_text() const {
  if (latin1) return true;
  for (std::size_t i = 0; i < length(); ++i) {
    if (!is_within(unit(i), 0xD800, 0xDFFF)) continue;
    const bool is_pair =
        unit(i) < 0xDC00 && i + 1 < length() && is_within(unit(i + 1), 0xDC00, 0xDFFF);
    if (!is_pair) return false;
    ++i;
  }
  return bytes.size() % 2 == 0;
}

std::string StoredName::text() const {
  return latin1 ? from_latin1(bytes) : from_utf16le(bytes);
}

std::string StoredName::escaped() const {
  constexpr std::size_t longest = 128;  // bytes
  if (bytes.size() <= longest) return hive::escaped(text());
  return hive::escaped(StoredName{bytes.first(longest), latin1}.text()) + "...";
}

bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

std::optional<std::strong_ordering> compare_names(const StoredName& a, const StoredName& b) {
  const std::size_t common = std::min(a.length(), b.length());
  const auto order = a.latin1 && b.latin1
                         ? compare_units(Latin1Units{a.bytes}, Latin1Units{b.bytes}, common)
                         : compare_units(AnyUnits{a}, AnyUnits{b}, common);
  return order == std::strong_ordering::equal ? a.length() <=> b.length() : order;
}

bool may_be_same(const StoredName& a, const StoredName& b) {
  if (a.length() != b.length()) return false;
  for (std::size_t i = 0; i < a.length(); ++i)
    if (!may_be_same(a.unit(i), b.unit(i))) return false;
  return true;
}

// By length first: most names differ in it.
bool is_before(const StoredName& a, const StoredName& b) {
  if (a.length() != b.length()) return a.length() < b.length();
  return a.latin1 && b.latin1 ? is_before(Latin1Units{a.bytes}, Latin1Units{b.bytes}, a.length())
                              : is_before(AnyUnits{a}, AnyUnits{b}, a.length());
}

std::u16string folded(const StoredName& name) {
  std::u16string text;
  for (std::size_t i = 0; i < name.length(); ++i) text += folded(name.unit(i));
  return text;
}

std::uint32_t folded_hash(const StoredName& name) {
  return name.latin1 ? folded_hash(Latin1Units{name.bytes}, name.length())
                     : folded_hash(AnyUnits{name}, name.length());
}

std::optional<std::uint32_t> name_hash(const StoredName& name) {
  return name.latin1 ? upper_case_hash(Latin1Units{name.bytes}, name.length())
                     : upper_case_hash(AnyUnits{name}, name.length());
}

bool is_hint_of(std::uint32_t hint, const StoredName& name) {
  if ((hint & 0xFF) == 0) return true;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto stored = static_cast<char16_t>((hint >> (8 * i)) & 0xFF);
    const char16_t expected = i < name.length() ? name.unit(i) : u'\0';
    if (stored > 0x7F || expected > 0x7F) return true;
    if (folded(stored) != folded(expected)) return false;
  }
  return true;
}

}  // namespace kvmnet::hive

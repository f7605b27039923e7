// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/key_path.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "hive/error.h"
#include "hive/utf16.h"

namespace kvmnet::hive {
namespace {

char folded(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return folded(x) == folded(y); });
}

std::string folded(std::string_view name) {
  std::string text(name);
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return folded(c); });
  return text;
}

KeyPath KeyPath::parse(std::string_view text) {
  constexpr std::size_t longest_name = 255;  // in UTF-16 units
  KeyPath path;
  while (true) {
    const std::size_t end = text.find('\\');
    const std::string_view element = text.substr(0, end);
    if (element.empty()) throw Error("a key path has an empty element");
    if (to_utf16le(element).size() / 2 > longest_name)
      throw Error("a key name is longer than 255 characters");
    path.elements_.emplace_back(element);
    if (end == std::string_view::npos) return path;
    text.remove_prefix(end + 1);
  }
}

KeyPath KeyPath::operator/(std::string_view relative) const {
  KeyPath joined = *this;
  for (const std::string& element : parse(relative).elements_) joined.elements_.push_back(element);
  return joined;
}

std::string KeyPath::to_string() const {
  return fmt::format("{}", fmt::join(elements_, "\\"));
}

bool KeyPath::operator==(const KeyPath& other) const {
  // From the end: most keys that are compared have the same parents.
  return std::equal(elements_.rbegin(), elements_.rend(), other.elements_.rbegin(),
                    other.elements_.rend(), same_name);
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// The path of a registry key below the root of its hive, e.g. ControlSet001\Services\Tcpip.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvmnet::hive {

// Names compare as Windows compares them, without regard to letter case; this folds ASCII only,
// other letters must match exactly. Every name that kvmnet asks for is ASCII.
bool same_name(std::string_view a, std::string_view b);

// In lower case: equal for names that are the same, to sort them or to find them by.
std::string folded(std::string_view name);

class KeyPath {
 public:
  KeyPath() = default;  // the root

  // Splits at backslashes. Throws hive::Error on an empty element, one above 255 characters
  // (Windows' limit for a key name), or text that is not UTF-8.
  static KeyPath parse(std::string_view text);

  KeyPath operator/(std::string_view relative) const;

  const std::vector<std::string>& elements() const { return elements_; }
  std::string to_string() const;

  // True if both name the same key, whatever the letter case.
  bool operator==(const KeyPath& other) const;

 private:
  std::vector<std::string> elements_;
};

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/reg_input.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/error.h"
#include "hive/reg_path.h"
#include "src/support/error.h"

namespace kvmnet {

void RegInput::add(const std::string& name, std::span<const std::byte> file,
                   std::optional<unsigned> code_page, const std::vector<std::string>& root) {
  const unsigned before = lines_;
  const std::string shown = hive::escaped(name);
  files_.emplace_back(before + 1, shown);
  try {
    for (hive::RegSection& section : hive::below(root, hive::read_reg(file, code_page))) {
      section.line += before;
      columns_[section.line] = section.column;
      for (hive::RegValue& value : section.values) {
        value.line += before;
        if (value.column > 1) columns_[value.line] = value.column;
      }
      lines_ = std::max(
          {lines_, section.line, section.values.empty() ? 0U : section.values.back().line});
      sections_.push_back(std::move(section));
    }
  } catch (const hive::Error& e) {
    // Most begin with the line.
    const std::string what = e.what();
    throw Error(fmt::format("{}{}{}", shown, what.starts_with("line ") ? ", " : ": ", what));
  }
}

std::string RegInput::names() const {
  std::string text;
  for (const auto& [line, name] : files_) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string RegInput::place(unsigned line) const {
  const auto next =
      std::upper_bound(files_.begin(), files_.end(), line,
                       [](unsigned wanted, const auto& file) { return wanted < file.first; });
  if (next == files_.begin()) return {};  // there is no line 0
  const auto& [first, name] = *std::prev(next);
  return fmt::format("{}, line {}", name, line - first + 1);
}

std::string RegInput::place_before(unsigned line, std::string_view what) const {
  const std::string where = place(line);
  if (where.empty()) return std::string(what);
  const auto column = columns_.find(line);
  return fmt::format("{}, column {}: {}", where, column == columns_.end() ? 1 : column->second,
                     what);
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// .reg files that are to be merged into a hive, one after the other.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hive/reg_file.h"

namespace kvmnet {

class RegInput {
 public:
  // One more, behind those that are there. `code_page`: of a file in an ANSI code page. `root`:
  // where the hive's root is in the registry. `name` is shown escaped. Throws Error, "NAME, line L:
  // WHAT", for what is no .reg file, and for keys that are elsewhere.
  void add(const std::string& name, std::span<const std::byte> file,
           std::optional<unsigned> code_page, const std::vector<std::string>& root);

  bool empty() const { return sections_.empty(); }
  // Their keys are below the hive's root; their lines are counted on from file to file.
  const std::vector<hive::RegSection>& sections() const { return sections_; }
  // The same, which are then gone from here.
  std::vector<hive::RegSection> take_sections() { return std::move(sections_); }
  // What they are called, for people.
  std::string names() const;
  // Where such a line is: "NAME, line L"; empty for line 0, which there is not.
  std::string place(unsigned line) const;
  // "NAME, line L, column C: WHAT", or only that.
  std::string place_before(unsigned line, std::string_view what) const;

 private:
  std::vector<std::pair<unsigned, std::string>> files_;  // number of the first line, name
  std::vector<hive::RegSection> sections_;
  std::map<unsigned, unsigned> columns_;  // where in such a line what is said begins; if not in 1
  unsigned lines_ = 0;                    // so many there are in the files before
};

}  // namespace kvmnet

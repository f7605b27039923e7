// SPDX-License-Identifier: GPL-2.0-or-later
// The structure of a whole hive, checked before and after every edit. Every byte is taken for
// hostile: nothing recurses, and time and memory are linear in the hive's size.
// Format: msuhanov/regf specification.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hive/changed_pages.h"

namespace kvmnet::hive {

enum class Severity {
  harmless,  // unusual, or wasted space; nothing misreads it
  fatal,     // makes an edit, hivex or Windows misread or damage something
};

struct Finding {
  Severity severity = Severity::harmless;
  std::uint64_t offset = 0;  // in the file, of the record that it is about
  std::string message;       // escaped, so that it can be printed
};

// What has a byte in a page that has changed; complete for a sound hive.
struct Touched {
  std::vector<CellOffset> keys;  // by their own cell, or by one of the records that only they use
  std::vector<CellOffset> security;  // security descriptors
};

struct CheckResult {
  std::vector<Finding> findings;  // the first 100 of each severity
  std::size_t fatal = 0;          // all, also those that are not in `findings`
  std::size_t harmless = 0;
  std::size_t keys = 0;
  std::size_t values = 0;
  Touched touched;
  bool sound() const { return fatal == 0; }
};

// `hive`: a whole primary file, clean (replayed) or not: its condition is a question for
// read_base_block(). Does not throw on anything that a file may hold. `changed`: the pages that
// Touched is about.
CheckResult check(std::span<const std::byte> hive, const ChangedPages& changed = {});

}  // namespace kvmnet::hive

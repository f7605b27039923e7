// SPDX-License-Identifier: GPL-2.0-or-later
// What goes over the wall for .reg files. As for hive_messages.h: what does not have the right form
// throws Error.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hive/merge.h"
#include "hive/reg_export.h"
#include "hive/reg_file.h"
#include "src/apply/hive_messages.h"
#include "src/plan/reg_facts.h"

namespace kvmnet {

// Sections of .reg files to be merged into a hive, their keys below its root.
struct Merging {
  Cleaning cleaning;
  bool is_system = false;  // whether it is a SYSTEM hive: what is said of control sets holds there
  std::vector<hive::RegSection> sections;
};
std::string encode(const Merging& merging);
Merging decode_merging(std::string_view message);

// What that has come to.
struct Merged {
  HiveFacts condition;            // of the hive before; the rest is nothing unless that is clean
  std::string unsupported;        // why it would damage the hive; empty: it is made
  unsigned unsupported_line = 0;  // of the files, that is to blame; 0: none in particular
  std::vector<hive::Change> changes;  // the first ones
  std::size_t count = 0;              // of all changes
  std::vector<hive::LogKind> logs;    // what each log is to the hive
};
// More are not listed: a process that may have been taken over could fill our memory with them.
inline constexpr std::size_t most_changes = 50'000;
std::string encode(const Merged& merged);
// An answer that names keys or values that the sections do not has no sense either.
Merged decode_merged(std::string_view message, const std::vector<hive::RegSection>& sections);

std::string encode(const RegQuestion& question);
RegQuestion decode_reg_question(std::string_view message);

std::string encode(const RegFacts& facts);
// The same of one that goes beyond the question.
RegFacts decode_reg_facts(std::string_view message, const RegQuestion& question);

// A key that is to be written as a .reg file.
struct Exporting {
  Cleaning cleaning;
  std::vector<std::string> key;   // below the hive's root
  std::vector<std::string> path;  // of the hive's root in the file
  hive::RegEncoding encoding = hive::RegEncoding::utf16;
};
std::string encode(const Exporting& exporting);
Exporting decode_exporting(std::string_view message);

struct Exported {
  HiveFacts condition;
  bool found = false;                 // the key
  std::vector<std::string> left_out;  // see hive::export_reg()
};
std::string encode(const Exported& exported);
Exported decode_exported(std::string_view message);

}  // namespace kvmnet

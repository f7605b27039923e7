// SPDX-License-Identifier: GPL-2.0-or-later
// What the sections of .reg files come to in a given hive: the same as if Windows had taken them
// one after the other, in as few edits as possible. But a value that goes and comes again keeps the
// letter case of its name.
#pragma once

#include <string>
#include <vector>

#include "hive/change.h"
#include "hive/compare.h"
#include "hive/error.h"
#include "hive/reg_file.h"
#include "hive/tree.h"

namespace kvmnet::hive {

// What makes a merge impossible, where a line of a .reg file is to blame.
class UnsupportedInLine : public Unsupported {
 public:
  UnsupportedInLine(const std::string& what, unsigned line) : Unsupported(what), line_(line) {}
  unsigned line() const { return line_; }

 private:
  unsigned line_;
};

// Runs `work`, and adds the line to what it throws.
template <typename Work>
decltype(auto) in_line(unsigned line, Work work) {
  try {
    return work();
  } catch (const UnsupportedInLine&) {
    throw;
  } catch (const Unsupported& e) {
    throw UnsupportedInLine(e.what(), line);
  }
}

struct Merge {
  std::vector<Change> changes;  // empty: the hive has all of it
  // To be edited one after the other. Keys that go and come again are in the first, which may be
  // empty.
  std::vector<KeyEdit> first;
  std::vector<KeyEdit> second;
  // Values that are as wanted already, or not there, as wanted: `old` and `value` are the same.
  // Only where they are asked for: a file can have as many as a hive.
  std::vector<Change> right;
};
enum class RightValues { left_out, listed };

// The sections' keys are below the root, with CurrentControlSet resolved. What is to go and is not
// there is left out, as is what is there already, also where a key that goes and comes again would
// have just what it has. Throws UnsupportedInLine for a name that is not
// ASCII where one that Windows may take for the same one is there, or is to be changed, too, for
// the removal of the root, for keys that are, or lie in, symbolic links, and for what hivex cannot
// make: new keys with such names, and values without data, or too large.
Merge merge(const Tree& tree, const std::vector<RegSection>& sections,
            RightValues right = RightValues::left_out);

// The first line that changes something in the key of one of the edits; 0: none.
unsigned line_of(const Merge& merge, const KeyPath& key);

}  // namespace kvmnet::hive

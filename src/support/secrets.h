// SPDX-License-Identifier: GPL-2.0-or-later
// For processes that hold what nobody else may see.
#pragma once

#include <string>

#include "src/support/fd.h"

namespace kvmnet {

// From now on this process and those that it forks leave no core, and no other process of the same
// user can look into them: /proc/PID is root's. What they start with exec is not held to the
// latter. Throws Error.
void keep_to_ourselves();

// A file that the programs which are started meanwhile have open, too.
class InheritedFile {
 public:
  explicit InheritedFile(const Fd& file);
  // The name under which such a program can open it. Not by way of our own number: of a process
  // that keeps to itself no other can open a file.
  std::string path() const { return proc_path(fd_); }

 private:
  Fd fd_;
};

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// Which files a process can reach (Landlock, Linux 5.13). Everything throws Error.
#pragma once

#include <span>
#include <string>

#include "src/support/fd.h"

namespace kvmnet::landlock {

enum class Access {
  read,
  read_write,  // a file; not to make or remove one
  execute,     // read, and run what is there
};

// A file, or a directory with all that is below it. What is at `path` when the rule is made counts,
// whatever the name leads to later.
struct Rule {
  std::string path;
  Access access = Access::read;
  bool may_be_absent = false;
  // Where somebody else may write, a link in the path would let him choose what is allowed: such a
  // path is an Error.
  bool through_links = true;
};

// Why this kernel has none; empty: it has.
std::string why_unavailable();

// Allows what the rules say and, of all else that the kernel knows to take away, nothing: neither
// files nor network nor signals to others.
Fd make_ruleset(std::span<const Rule> rules);

// The calling thread, and what it starts, from now on. It must have given up privileges
// (PR_SET_NO_NEW_PRIVS). May be called between fork and exec. False: errno says why not.
bool enter(int ruleset);

}  // namespace kvmnet::landlock

// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a program with kvmnet-fault (tests/support/fault.cc) in it and in all that it starts, and
// returns when none of them is left.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace kvmnet::test {

struct Fault {
  std::size_t at = 0;  // the call that it befalls, counted from 1
  std::string kind;
};

struct Ended {
  int status = 0;                  // exit status; 128 + signal if a signal ended it
  std::string output;              // standard output and standard error
  std::vector<std::string> calls;  // that change files in the directory
  std::size_t struck = 0;          // faults that have come to pass
  std::chrono::microseconds duration{};
};

struct Faults {
  std::string directory;  // calls on files in it count
  std::vector<Fault> faults = {};
  std::optional<std::chrono::microseconds> killed_after = {};  // at that moment, whatever it does
};

// Throws Error if a process of the run outlives its first one.
Ended run_under_faults(const std::vector<std::string>& command, const Faults& faults);

}  // namespace kvmnet::test

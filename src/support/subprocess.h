// SPDX-License-Identifier: GPL-2.0-or-later
// Runs other programs, without a shell.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "src/support/fd.h"

namespace kvmnet {

struct Program {
  std::vector<std::string> command;      // found in PATH
  std::vector<std::string> environment;  // NAME=VALUE
  std::vector<int> descriptors;          // become 0, 1, 2, ... of the program
  bool listens = false;            // gets LISTEN_PID, its process number, as sd_listen_fds(3) says
  int ruleset = -1;                // of Landlock, that holds for it; -1: none
  std::uint64_t largest_file = 0;  // in bytes, that it can write; 0: as we can
};

// Starts it in a process group of its own; it is killed when we die. Of our other descriptors it
// gets those that are not close-on-exec. May be called where a library has a handle open that does
// not survive a fork: nothing of it is touched between fork and exec. Throws Error if the program
// cannot be started.
pid_t start(const Program& program);

struct Finished {
  int status = 0;      // exit status; 128 + signal if a signal ended it
  std::string output;  // standard output and standard error together, at most 64 KiB of it
};

// A program that runs while we go on, started as by start(), without standard input; it is killed
// with its scope, and when we die, so that nothing goes on writing to an image that nobody watches.
class Running {
 public:
  // `command`: found in PATH. `ruleset`: of Landlock, that holds for it; closed: none.
  // `listening`: a socket that it gets in the way of sd_listen_fds(3); closed: none.
  // `largest_file`: of Program. Throws Error if it cannot be started.
  explicit Running(const std::vector<std::string>& command, const Fd& ruleset = Fd(),
                   const Fd& listening = Fd(), std::uint64_t largest_file = 0);
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running();

  bool has_ended() const;
  // Of these one, and once; after that they throw Error.
  // Ends it; what it has said, at most 64 KiB.
  std::string stop();
  // Waits until it ends by itself.
  Finished wait();
  // The same, and throws Error with the program's own words unless it ends with status 0.
  std::string wait_checked();

 private:
  void require_running() const;

  std::vector<std::string> command_;
  pid_t pid_ = -1;
  Fd output_;
};

// Runs it to its end.
Finished run(const std::vector<std::string>& command, const Fd& ruleset = Fd());
std::string run_checked(const std::vector<std::string>& command, const Fd& ruleset = Fd());

}  // namespace kvmnet

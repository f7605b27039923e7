// SPDX-License-Identifier: GPL-2.0-or-later
// Runs another program to its end, without a shell.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "src/support/fd.h"

namespace kvmnet {

struct Finished {
  int status = 0;      // exit status; 128 + signal if a signal ended it
  std::string output;  // standard output and standard error together, at most 64 KiB of it
};

// Runs `command` (found in PATH) in a process group of its own, with no standard input; it is
// killed when we die, so that nothing goes on writing to an image that nobody watches. Throws
// Error if it cannot be started.
Finished run(const std::vector<std::string>& command);

// As run(), and throws Error with the program's own words unless it ends with status 0.
std::string run_checked(const std::vector<std::string>& command);

// A program that serves us while we go on; it is killed with its scope, and when we die.
class Server {
 public:
  // It gets `listening`, a socket, in the way of sd_listen_fds(3). Throws Error if it cannot be
  // started.
  Server(const std::vector<std::string>& command, const Fd& listening);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Ends it; what it has said, at most 64 KiB.
  std::string stop();

 private:
  pid_t pid_ = -1;
  Fd output_;
};

}  // namespace kvmnet

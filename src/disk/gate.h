// SPDX-License-Identifier: GPL-2.0-or-later
// A program of QEMU that is started before it is needed: most of its time is what it takes to
// start.
//
// The file of --trace events= is read when all is ready but the other arguments (QEMU 7.2,
// trace/control.c and the main() of qemu-img and qemu-nbd; Debian's 7.2.22 does). Here it is a
// FIFO, and opening that waits for somebody who opens it for writing. Should we die first, nobody
// does: the program is killed while it waits, and has done nothing. (With the trace backend
// "simple", which Debian does not build, each program would leave a file trace-PID.)
#pragma once

#include <string>
#include <vector>

#include "src/support/landlock.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {

class Gate {
 public:
  // `directory`: of ours alone. `name`: of no other gate there. Throws Error.
  Gate(const std::string& directory, const std::string& name);
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate();

  // What the program has to be given, in front of its other words.
  std::vector<std::string> words() const;
  // What it has to be allowed.
  landlock::Rule rule() const;
  // Lets it go on. False: it has ended before, and has done nothing. Throws Error.
  bool open(const Running& program) const;

 private:
  std::string path_;
};

}  // namespace kvmnet::disk

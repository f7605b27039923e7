// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/secrets.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "src/support/error.h"

namespace kvmnet {

// Both: the limit is handed on by exec, to QEMU, too, but the kernel does not ask it where cores go
// to a program (core(5), "Piping core dumps to a program"); being undumpable stops that, but ends
// with exec.
void keep_to_ourselves() {
  const rlimit none = {0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0)
    throw system_error("turning off cores", errno);
}

// Above the numbers that a program expects something at.
InheritedFile::InheritedFile(const Fd& file) : fd_(::fcntl(file.get(), F_DUPFD, 10)) {
  if (!fd_.is_open()) throw system_error("handing on a file", errno);
}

}  // namespace kvmnet

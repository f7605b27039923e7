// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/gate.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "src/disk/qemu_commit.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {

Gate::Gate(const std::string& directory, const std::string& name) : path_(directory + "/" + name) {
  if (::mkfifo(path_.c_str(), 0600) != 0) throw system_error(path_, errno);
}

Gate::~Gate() {
  ::unlink(path_.c_str());
}

std::vector<std::string> Gate::words() const {
  return {"--trace", "events=" + option_value(path_)};
}

landlock::Rule Gate::rule() const {
  return {path_, landlock::Access::read};
}

// ENXIO: it has not come so far yet.
bool Gate::open(const Running& program) const {
  constexpr auto while_it_starts = std::chrono::microseconds(100);
  while (!Fd(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)).is_open()) {
    if (errno != ENXIO) throw system_error(path_, errno);
    if (program.has_ended()) return false;
    std::this_thread::sleep_for(while_it_starts);
  }
  return true;
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// Parses, runs, and reports what nothing else has caught.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "src/apply/guest_child.h"
#include "src/cli/exit_status.h"
#include "src/cli/options.h"
#include "src/cli/run.h"
#include "src/support/error.h"
#include "src/wall/wall.h"

namespace {

// A descriptor of ours that takes the number of a closed standard stream would get what others
// write to that stream: messages in a disk image.
void open_standard_streams() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd >= 0) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  using kvmnet::cli::ExitStatus;
  kvmnet::wall::run_as_child(argc, argv, kvmnet::guest_child());
  open_standard_streams();
  // A reader that goes away (head, less) is an error of a write, not the end of a commit.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const auto options = kvmnet::cli::parse_options(argc, argv);
    if (const int* status = std::get_if<int>(&options)) return *status;
    return kvmnet::cli::run(std::get<kvmnet::cli::Options>(options));
  } catch (const kvmnet::UsageError& e) {
    std::fprintf(stderr, "kvmnet: %s\n", e.what());
    return static_cast<int>(ExitStatus::usage);
  } catch (const kvmnet::OutputClosed&) {
    return 128 + SIGPIPE;  // without a word, as who is ended by that signal
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kvmnet: error: %s\n", e.what());
    return static_cast<int>(ExitStatus::failed);
  }
}

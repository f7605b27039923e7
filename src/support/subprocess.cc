// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet {
namespace {

// Between fork and exec: only calls that are safe there. An errno on `failure` says that it did not
// come to exec.
[[noreturn]] void become(char* const* argv, int output, int failure, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  ::signal(SIGPIPE, SIG_DFL);             // main() ignores it, and exec would keep that
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execvp(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const ssize_t n = ::write(failure, &error, sizeof error);
  ::_exit(1);
}

std::string read_output(int fd) {
  constexpr std::size_t most = 65536;
  std::string output;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    output.append(buffer.data(), std::min(static_cast<std::size_t>(n), most - output.size()));
  }
  while (!output.empty() && output.back() == '\n') output.pop_back();
  return output;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) throw system_error("waiting for a program", errno);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Finished run(const std::vector<std::string>& command) {
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  Pipe output = make_pipe();
  Pipe failure = make_pipe();
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw system_error("starting " + command[0], errno);
  if (pid == 0) become(argv.data(), output.write_end.get(), failure.write_end.get(), parent);
  output.write_end.reset();
  failure.write_end.reset();
  Finished finished;
  finished.output = read_output(output.read_end.get());
  finished.status = wait_for(pid);
  int error = 0;
  if (::read(failure.read_end.get(), &error, sizeof error) == sizeof error)
    throw system_error("starting " + command[0], error);
  return finished;
}

std::string run_checked(const std::vector<std::string>& command) {
  Finished finished = run(command);
  if (finished.status != 0)
    throw Error(fmt::format("{} {} failed with status {}: {}", command[0],
                            command.size() > 1 ? command[1] : "", finished.status,
                            finished.output));
  return std::move(finished.output);
}

}  // namespace kvmnet

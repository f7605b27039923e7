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
#include <cstring>
#include <string_view>

#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet {
namespace {

// Out of the way of the numbers that the program expects to find its own descriptors at.
int move_up(int fd) {
  constexpr int out_of_the_way = 10;
  return ::fcntl(fd, F_DUPFD_CLOEXEC, out_of_the_way);
}

// What a program gets as sd_listen_fds(3) says: descriptor 3, and its own process number.
struct Listening {
  int socket = -1;      // none
  char* pid = nullptr;  // where the digits of LISTEN_PID are to stand
};

void pass_socket(const Listening& listening, int socket) {
  constexpr int first_passed = 3;
  ::dup2(socket, first_passed);
  // No library function that writes a number is safe here.
  char* end = listening.pid;
  for (pid_t rest = ::getpid(); rest > 0; rest /= 10) *end++ = static_cast<char>('0' + rest % 10);
  *end = '\0';
  std::reverse(listening.pid, end);
}

// Between fork and exec: only calls that are safe there. An errno on `failure` says that it did not
// come to exec.
[[noreturn]] void become(char* const* argv, char* const* environment, int output, int failure,
                         const Listening& listening, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  ::signal(SIGPIPE, SIG_DFL);             // main() ignores it, and exec would keep that
  failure = move_up(failure);
  output = move_up(output);
  const int socket = listening.socket < 0 ? -1 : move_up(listening.socket);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  if (socket >= 0) pass_socket(listening, socket);
  ::execvpe(argv[0], argv, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t n = ::write(failure, &error, sizeof error);
  ::_exit(1);
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

struct Started {
  pid_t pid = -1;
  Fd output;
};

// `socket`: a listening socket for the program; -1: none.
Started start(const std::vector<std::string>& command, int socket) {
  std::vector<std::string> words = command;
  const std::vector<char*> argv = pointers(words);
  std::vector<std::string> added = {"LISTEN_FDS=1", "LISTEN_PID=" + std::string(20, '\0')};
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("LISTEN_")) environment.push_back(*entry);
  if (socket >= 0)
    for (std::string& entry : added) environment.push_back(entry.data());
  environment.push_back(nullptr);
  const Listening listening = {socket, added[1].data() + std::strlen("LISTEN_PID=")};

  Pipe output = make_pipe();
  Pipe failure = make_pipe();
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw system_error("starting " + command[0], errno);
  if (pid == 0)
    become(argv.data(), environment.data(), output.write_end.get(), failure.write_end.get(),
           listening, parent);
  failure.write_end.reset();
  int error = 0;
  if (::read(failure.read_end.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(pid, nullptr, 0);
    throw system_error("starting " + command[0], error);
  }
  return {pid, std::move(output.read_end)};
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
  const Started started = start(command, -1);
  Finished finished;
  finished.output = read_output(started.output.get());
  finished.status = wait_for(started.pid);
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

Server::Server(const std::vector<std::string>& command, const Fd& listening) {
  Started started = start(command, listening.get());
  pid_ = started.pid;
  output_ = std::move(started.output);
}

Server::~Server() {
  if (pid_ > 0) stop();
}

std::string Server::stop() {
  ::kill(pid_, SIGKILL);
  std::string output = read_output(output_.get());
  wait_for(pid_);
  pid_ = -1;
  return output;
}

}  // namespace kvmnet

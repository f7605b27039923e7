// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/landlock.h"

namespace kvmnet {
namespace {

// What execve wants, ready before the fork.
struct Image {
  std::vector<char*> argv;
  std::vector<char*> environment;
  std::vector<int> descriptors;
  char* listen_pid = nullptr;  // where its process number is to stand; null: nowhere
  int ruleset = -1;
  std::uint64_t largest_file = 0;
};

// Descriptors get out of the way of the numbers that the program expects them at, then there.
// False: errno says why not.
bool place(std::vector<int>& descriptors, int& failure) {
  const int out_of_the_way = std::max(10, static_cast<int>(descriptors.size()));
  failure = ::fcntl(failure, F_DUPFD_CLOEXEC, out_of_the_way);
  for (int& fd : descriptors)
    if ((fd = ::fcntl(fd, F_DUPFD_CLOEXEC, out_of_the_way)) < 0) return false;
  for (std::size_t i = 0; i < descriptors.size(); ++i)
    if (::dup2(descriptors[i], static_cast<int>(i)) < 0) return false;
  return failure >= 0;
}

// No library function that writes a number is safe between fork and exec.
void write_number(char* to, pid_t number) {
  char* end = to;
  for (pid_t rest = number; rest > 0; rest /= 10) *end++ = static_cast<char>('0' + rest % 10);
  *end = '\0';
  std::reverse(to, end);
}

bool confine(int ruleset) {
  if (ruleset < 0) return true;
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && landlock::enter(ruleset);
}

// A write that goes further fails, and does not end the program.
bool limit_files(std::uint64_t size) {
  if (size == 0) return true;
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
  limit.rlim_max = std::min<rlim_t>(limit.rlim_max, size);
  limit.rlim_cur = limit.rlim_max;
  return ::signal(SIGXFSZ, SIG_IGN) != SIG_ERR && ::setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

// Between fork and exec: only calls that are safe there. An errno on `failure` says that it did not
// come to exec.
[[noreturn]] void become(Image& image, int failure, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  ::signal(SIGPIPE, SIG_DFL);             // main() ignores it, and exec would keep that
  if (image.listen_pid != nullptr) write_number(image.listen_pid, ::getpid());
  if (limit_files(image.largest_file) && confine(image.ruleset) &&
      place(image.descriptors, failure))
    ::execvpe(image.argv[0], image.argv.data(), image.environment.data());
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

std::vector<std::string> our_environment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!std::string_view(*entry).starts_with("LISTEN_")) all.emplace_back(*entry);
  return all;
}

// Who has no qemu-img has forgotten a package, and may not know which.
std::string where_from(std::string_view program, int error) {
  const bool is_missing = error == ENOENT && (program == "qemu-img" || program == "qemu-nbd");
  return is_missing ? ", which is in Debian's package qemu-utils" : "";
}

struct Started {
  pid_t pid = -1;
  Fd output;
};

// Without input, and with one pipe for all output. `socket`: a listening socket that the program
// gets as descriptor 3, as sd_listen_fds(3) says; -1: none.
Started start_with_output(const std::vector<std::string>& command, int socket, int ruleset,
                          std::uint64_t largest_file) {
  const Fd null = open_file("/dev/null", O_RDONLY);
  Pipe output = make_pipe();
  const int end = output.write_end.get();
  Program program = {command, our_environment(), {null.get(), end, end}};
  program.ruleset = ruleset;
  program.largest_file = largest_file;
  if (socket >= 0) {
    program.descriptors.push_back(socket);
    program.environment.emplace_back("LISTEN_FDS=1");
    // Its buffers, a new one for each request, are then taken from memory that it has, and not from
    // fresh pages, which the kernel clears: an eighth of the time of a whole patch.
    program.environment.emplace_back(
        "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold="
        "134217728");
    program.listens = true;
  }
  return {start(program), std::move(output.read_end)};
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

pid_t start(const Program& program) {
  Program copy = program;
  std::string listen_pid = "LISTEN_PID=";
  const std::size_t digits = listen_pid.size();
  listen_pid.resize(digits + 20);
  Image image = {pointers(copy.command), pointers(copy.environment), copy.descriptors};
  image.ruleset = program.ruleset;
  image.largest_file = program.largest_file;
  if (program.listens) {
    image.listen_pid = listen_pid.data() + digits;
    image.environment.insert(image.environment.begin(), listen_pid.data());
  }
  Pipe failure = make_pipe();
  const pid_t parent = ::getpid();
  const pid_t pid = ::vfork();
  if (pid < 0) throw system_error("starting " + program.command[0], errno);
  if (pid == 0) become(image, failure.write_end.get(), parent);
  failure.write_end.reset();
  int error = 0;
  if (::read(failure.read_end.get(), &error, sizeof error) == sizeof error) {
    ::waitpid(pid, nullptr, 0);
    throw system_error("starting " + program.command[0] + where_from(program.command[0], error),
                       error);
  }
  return pid;
}

Running::Running(const std::vector<std::string>& command, const Fd& ruleset, const Fd& listening,
                 std::uint64_t largest_file)
    : command_(command) {
  Started started = start_with_output(command, listening.get(), ruleset.get(), largest_file);
  pid_ = started.pid;
  output_ = std::move(started.output);
}

Running::~Running() {
  if (pid_ > 0) stop();
}

bool Running::has_ended() const {
  siginfo_t end{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         end.si_pid == pid_;
}

std::string Running::stop() {
  require_running();
  ::kill(pid_, SIGKILL);
  return wait().output;
}

// Else kill() and waitpid() are about other processes.
void Running::require_running() const {
  if (pid_ < 0) throw Error(command_[0] + ": has ended before");
}

Finished Running::wait() {
  require_running();
  Finished finished;
  finished.output = read_output(output_.get());
  finished.status = wait_for(pid_);
  pid_ = -1;
  return finished;
}

std::string Running::wait_checked() {
  Finished finished = wait();
  if (finished.status != 0)
    throw Error(fmt::format("{} {} failed with status {}: {}", command_[0],
                            command_.size() > 1 ? command_[1] : "", finished.status,
                            finished.output));
  return std::move(finished.output);
}

Finished run(const std::vector<std::string>& command, const Fd& ruleset) {
  return Running(command, ruleset).wait();
}

std::string run_checked(const std::vector<std::string>& command, const Fd& ruleset) {
  return Running(command, ruleset).wait_checked();
}

}  // namespace kvmnet

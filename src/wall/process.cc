// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/wall/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "src/support/subprocess.h"
#include "src/wall/protocol.h"

namespace kvmnet::wall {
namespace {

using How = Breach::How;

struct SocketPair {
  Fd ours;
  Fd theirs;
};

SocketPair make_socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw system_error("making a socket", errno);
  return {Fd(ends[0]), Fd(ends[1])};
}

// Nothing of ours but what the loader and the sanitizers go by. A leak check at exit would need
// what the child has lost. Large blocks of memory are to have large pages where the kernel grants
// them, and what is freed is kept for what comes: a hive in pages of 4 KiB is thousands of page
// faults.
std::vector<std::string> environment() {
  std::vector<std::string> all = {"LC_ALL=C",
                                  "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:"
                                  "glibc.malloc.mmap_threshold=33554432:"
                                  "glibc.malloc.trim_threshold=1073741824"};
  for (const char* name : {"LD_LIBRARY_PATH", "UBSAN_OPTIONS"})
    if (const char* value = std::getenv(name)) all.push_back(fmt::format("{}={}", name, value));
  const char* asan = std::getenv("ASAN_OPTIONS");
  all.push_back(fmt::format("ASAN_OPTIONS={}:detect_leaks=0", asan == nullptr ? "" : asan));
  return all;
}

// One line of printable ASCII.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '\\')
      out += c;
    else
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return out;
}

using Resource = __rlimit_resource;

// Whether this process, and so the child, was given less of it than the child may have.
bool was_low_before(Resource resource, const Limits& limits) {
  const std::array<std::pair<Resource, rlim_t>, 3> ours = {
      {{RLIMIT_AS, limits.memory},
       {RLIMIT_CPU, static_cast<rlim_t>(limits.cpu.count())},
       {RLIMIT_FSIZE, limits.file}}};
  return std::any_of(ours.begin(), ours.end(), [resource](const auto& limit) {
    rlimit given{};
    return limit.first == resource && ::getrlimit(resource, &given) == 0 &&
           given.rlim_max < limit.second;
  });
}

}  // namespace

// What became of the child.
struct Process::End {
  std::optional<How> how;  // nothing: something on this host has ended it
  std::string what;
  std::optional<Resource> resource = {};  // whose limit it ran into
};

Process::Process(const Means& means) : means_(means) {
  SocketPair sockets = make_socket_pair();
  Pipe errors = make_pipe();
  const Fd null = open_file("/dev/null", O_RDONLY);
  const int said = errors.write_end.get();
  Program program = {{"/proc/self/exe", child_argument},
                     environment(),
                     {null.get(), said, said, sockets.theirs.get()}};
  for (const Fd* file : means.files) program.descriptors.push_back(file->get());
  ::fcntl(errors.read_end.get(), F_SETFL, O_NONBLOCK);
  socket_ = std::move(sockets.ours);
  errors_ = std::move(errors.read_end);
  pid_ = kvmnet::start(program);
  // glibc 2.36 declares pidfd_open() for C only.
  end_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!end_.is_open()) {
    const int error = errno;
    kill();
    throw system_error("watching a process", error);
  }
}

void Process::begin(std::string_view operation) {
  operation_ = operation;
  deadline_ = Clock::now() + means_.limits.time;
}

void Process::close_sending() {
  ::shutdown(socket_.get(), SHUT_WR);
}

void Process::send(Parts parts) {
  while (!parts.empty()) {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.count();
    const ssize_t n = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
      parts.skip(static_cast<std::size_t>(n));
    else if (errno == EAGAIN)
      wait_for(socket_, POLLOUT);
    else if (errno != EINTR)
      return;
  }
}

bool Process::receive(std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t n = ::recv(socket_.get(), into.data(), into.size(), MSG_DONTWAIT);
    if (n > 0)
      into = into.subspan(static_cast<std::size_t>(n));
    else if (n < 0 && errno == EAGAIN)
      wait_for(socket_, POLLIN);
    else if (n == 0 || errno != EINTR)
      return false;
  }
  return true;
}

std::string Process::receive_text(std::uint64_t size) {
  // Memory for what has come, not for what was announced.
  constexpr std::uint64_t step = 1 << 20;
  std::string text;
  while (text.size() < size) {
    const std::size_t before = text.size();
    text.resize(std::min(size, before + step));
    if (!receive(std::as_writable_bytes(std::span(text).subspan(before)))) {
      join();
      breach(How::crash, "ended within its answer");
    }
  }
  return text;
}

void Process::join() {
  wait_for(end_, POLLIN);
  rusage used{};
  const int status = reap(used);
  if (status != 0) fail(describe(status, used));
}

Process::End Process::describe(int status, const rusage& used) const {
  const Limits& limits = means_.limits;
  if (WIFEXITED(status))
    return {How::crash, fmt::format("ended with status {}", WEXITSTATUS(status))};
  const End out_of_time = {
      How::limit, fmt::format("ran into its limit of {} s of processor time", limits.cpu.count()),
      RLIMIT_CPU};
  const int signal = WTERMSIG(status);
  switch (signal) {
    case SIGSYS:
      return {How::forbidden, "made a forbidden system call"};
    case SIGXCPU:
      return out_of_time;
    case SIGXFSZ:
      return {How::limit, fmt::format("ran into its limit of {} bytes in a file", limits.file),
              RLIMIT_FSIZE};
    case SIGKILL:
      // It cannot send signals, and the kernel does so only where SIGXCPU has not ended it.
      if (used.ru_utime.tv_sec + used.ru_stime.tv_sec >= limits.cpu.count()) return out_of_time;
      return {{}, "was killed from outside, as the kernel does when this host runs out of memory"};
    default:
      return {How::crash,
              fmt::format("crashed with signal {} ({})", signal, ::sigdescr_np(signal))};
  }
}

void Process::breach(How how, std::string_view what) {
  fail({how, std::string(what)});
}

void Process::run_out_of_memory() {
  fail({How::limit, "ran out of memory", RLIMIT_AS});
}

void Process::fail(const End& end) {
  if (pid_ > 0) kill();
  hear();
  std::string message = fmt::format("the process that {} the guest's data ({}) {}",
                                    ready_ ? "reads" : "is to read", operation_, end.what);
  if (!said_.empty()) message += fmt::format("; it said: {}", escaped(said_));
  if (!ready_)
    throw Error(message + "; it had not begun to read: the reason lies on this host, see ulimit");
  if (!end.how) throw Error(message);
  if (end.resource && was_low_before(*end.resource, means_.limits))
    throw Error(message + "; the limit of this session is lower than kvmnet's, see ulimit");
  throw Breach(*end.how, message);
}

// Until `fd` is ready.
void Process::wait_for(const Fd& fd, short events) {
  constexpr Clock::duration longest = std::chrono::seconds(1);
  while (true) {
    const Clock::duration left = deadline_ - Clock::now();
    // At least one look: what was done in time counts, however late we come to see it.
    if (is_ready(fd, events, std::clamp(left, Clock::duration::zero(), longest))) return;
    if (left <= Clock::duration::zero())
      breach(How::limit, fmt::format("ran into its limit of {:.1f} s",
                                     std::chrono::duration<double>(means_.limits.time).count()));
  }
}

// Whether `fd` is, within `longest`. Takes what the child says meanwhile.
bool Process::is_ready(const Fd& fd, short events, Clock::duration longest) {
  std::array<pollfd, 2> fds = {{{fd.get(), events, 0}, {errors_.get(), POLLIN, 0}}};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(longest);
  const Clock::time_point start = Clock::now();
  ::poll(fds.data(), fds.size(), static_cast<int>(wait.count()));
  // We were stopped, and the child may have waited for us.
  constexpr Clock::duration noticeable = std::chrono::seconds(1);
  if (const auto late = Clock::now() - start - wait; late > noticeable) excuse(late);
  if (fds[1].revents != 0) hear();
  return fds[0].revents != 0;
}

// Takes what it has said, so that it does not stop for a full pipe; keeps the beginning.
void Process::hear() {
  constexpr std::size_t kept = 4096;
  std::array<char, 65536> buffer{};
  const ssize_t n = ::read(errors_.get(), buffer.data(), buffer.size());
  if (n > 0)
    said_.append(buffer.data(), std::min(static_cast<std::size_t>(n), kept - said_.size()));
  if (n == 0) errors_.reset();  // poll() skips it from now on
}

void Process::stop() const {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

void Process::kill() {
  stop();
  rusage used{};
  reap(used);
}

int Process::reap(rusage& used) {
  int status = -1;
  while (::wait4(pid_, &status, 0, &used) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

}  // namespace kvmnet::wall

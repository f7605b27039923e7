// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/wall/wall.h"

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
#include <utility>

#include "src/support/subprocess.h"
#include "src/wall/protocol.h"

namespace kvmnet::wall {
namespace {

using Clock = std::chrono::steady_clock;

// Whether the user does without the sandbox.
bool& without() {
  static bool value = false;
  return value;
}

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
// them: a hive in pages of 4 KiB is thousands of page faults.
std::vector<std::string> environment() {
  std::vector<std::string> all = {"LC_ALL=C", "GLIBC_TUNABLES=glibc.malloc.hugetlb=1"};
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

using How = Breach::How;

struct End {
  How how;
  std::string what;
};

// What a process did that ended with `status`.
End describe(int status, const Limits& limits) {
  if (WIFEXITED(status))
    return {How::crash, fmt::format("ended with status {}", WEXITSTATUS(status))};
  const int signal = WTERMSIG(status);
  switch (signal) {
    case SIGSYS:
      return {How::forbidden, "made a forbidden system call"};
    case SIGXCPU:
      return {How::limit,
              fmt::format("ran into its limit of {} s of processor time", limits.cpu.count())};
    case SIGXFSZ:
      return {How::limit, fmt::format("ran into its limit of {} bytes in a file", limits.file)};
    default:
      return {How::crash,
              fmt::format("crashed with signal {} ({})", signal, ::sigdescr_np(signal))};
  }
}

// Whether this process, and so the child, was given less than what the child may have.
bool has_lower_limits(const Limits& limits) {
  const std::array<std::pair<__rlimit_resource, rlim_t>, 4> ours = {
      {{RLIMIT_AS, limits.memory},
       {RLIMIT_CPU, static_cast<rlim_t>(limits.cpu.count())},
       {RLIMIT_FSIZE, limits.file},
       {RLIMIT_STACK, limits.stack}}};
  return std::any_of(ours.begin(), ours.end(), [](const auto& limit) {
    rlimit given{};
    return ::getrlimit(limit.first, &given) == 0 && given.rlim_max < limit.second;
  });
}

// The child, as somebody hostile: no wait for it goes beyond its time, whatever it does.
class Process {
 public:
  explicit Process(const Request& request);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (pid_ > 0) kill();
  }

  // What the child does not read any more is lost.
  void send(std::span<const std::byte> bytes);
  template <typename T>
  void send_object(const T& object) {
    send(std::as_bytes(std::span(&object, 1)));
  }

  // False: the child has closed its end before.
  bool receive(std::span<std::byte> into);
  // The same for `size` bytes that the child has announced; it has to keep its word.
  std::string receive_text(std::uint64_t size);

  // It has locked itself up: what happens to it from now on comes from what it reads.
  void is_ready() { ready_ = true; }

  // Waits for its end; throws, as breach() does, unless it has ended as it should.
  void join();
  // Ends it, and throws Breach, or Error if it was not ready yet.
  [[noreturn]] void breach(How how, std::string_view what);

  // Time that is not the child's.
  void excuse(Clock::duration time) { deadline_ += time; }

 private:
  int reap();
  void wait_for(const Fd& fd, short events);
  void hear();
  void kill();

  const Request& request_;
  Clock::time_point deadline_ = Clock::now() + request_.limits.time;
  pid_t pid_ = -1;
  Fd end_;     // readable when it has ended
  Fd socket_;  // to it
  Fd errors_;  // its standard output and standard error
  std::string said_;
  bool ready_ = false;
};

Process::Process(const Request& request) : request_(request) {
  SocketPair sockets = make_socket_pair();
  Pipe errors = make_pipe();
  const Fd null = open_file("/dev/null", O_RDONLY);
  const int said = errors.write_end.get();
  Program program = {{"/proc/self/exe", child_argument},
                     environment(),
                     {null.get(), said, said, sockets.theirs.get()}};
  for (const Fd* file : request.files) program.descriptors.push_back(file->get());
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

void Process::send(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
      bytes = bytes.subspan(static_cast<std::size_t>(n));
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
  const int status = reap();
  if (status == 0) return;
  const End end = describe(status, request_.limits);
  breach(end.how, end.what);
}

void Process::breach(How how, std::string_view what) {
  if (pid_ > 0) kill();
  hear();
  std::string message = fmt::format("the process that {} the guest's data ({}) {}",
                                    ready_ ? "reads" : "is to read", request_.operation, what);
  if (!said_.empty()) message += fmt::format("; it said: {}", escaped(said_));
  if (!ready_)
    throw Error(message + "; it had not begun to read: the reason lies on this host, see ulimit");
  if (how == How::limit && has_lower_limits(request_.limits))
    throw Error(message + "; the limits of this session are lower than kvmnet's, see ulimit");
  throw Breach(how, message);
}

// Until `fd` is ready.
void Process::wait_for(const Fd& fd, short events) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0)
      breach(How::limit, fmt::format("ran into its limit of {:.1f} s",
                                     std::chrono::duration<double>(request_.limits.time).count()));
    std::array<pollfd, 2> fds = {{{fd.get(), events, 0}, {errors_.get(), POLLIN, 0}}};
    // poll() takes no longer time; then it is asked again.
    constexpr std::int64_t longest = 60'000;
    ::poll(fds.data(), fds.size(), static_cast<int>(std::min(left.count(), longest)));
    if (fds[1].revents != 0) hear();
    if (fds[0].revents != 0) return;
  }
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

void Process::kill() {
  ::kill(pid_, SIGKILL);
  reap();
}

int Process::reap() {
  int status = -1;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

// What goes to and fro.
class Conversation {
 public:
  Conversation(const Request& request, bool sandboxed) : request_(request), process_(request) {
    Setup setup;
    setup.limits = request.limits;
    setup.operation = request.operation.size();
    setup.message = request.message.size();
    setup.files = static_cast<std::uint32_t>(request.files.size());
    setup.sandboxed = sandboxed;
    setup.has_read_at = static_cast<bool>(request.read_at);
    process_.send_object(setup);
    process_.send(std::as_bytes(std::span(request.operation)));
    process_.send(std::as_bytes(std::span(request.message)));
  }

  std::string run() {
    while (true) {
      const Header header = receive_header();
      switch (header.kind) {
        case Kind::ready:
          process_.is_ready();
          break;
        case Kind::question:
          reply_to(header);
          break;
        case Kind::answer:
          return last_words(header, request_.limits.answer);
        case Kind::failure:
          throw Error(last_words(header, longest_failure));
        case Kind::out_of_memory:
          last_words(header, 0);
          process_.breach(How::limit, "ran out of memory");
        default:
          process_.breach(How::crash, "said what it must not");
      }
    }
  }

 private:
  Header receive_header() {
    Header header;
    if (!process_.receive(std::as_writable_bytes(std::span(&header, 1)))) {
      process_.join();
      process_.breach(How::crash, "ended without an answer");
    }
    return header;
  }

  void reply_to(const Header& question) {
    constexpr std::uint64_t at_least = 4096;
    asked_for_ += std::max(question.size, at_least);
    if (!request_.read_at || question.size > largest_question || asked_for_ > request_.limits.read)
      process_.breach(How::forbidden, "asked for what it must not");
    const auto start = Clock::now();
    const auto bytes = request_.read_at(question.file, question.offset, question.size);
    process_.excuse(Clock::now() - start);
    process_.send_object(std::uint64_t{bytes.size()});
    process_.send(bytes);
  }

  // The text that `header` announces, after which nothing may come but the end.
  std::string last_words(const Header& header, std::uint64_t longest) {
    if (header.size > longest) process_.breach(How::limit, "said more than it may");
    std::string text = process_.receive_text(header.size);
    std::byte more{};
    if (process_.receive(std::span(&more, 1)))
      process_.breach(How::crash, "said more than it had announced");
    process_.join();
    return text;
  }

  const Request& request_;
  Process process_;
  std::uint64_t asked_for_ = 0;  // bytes, by all questions together
};

}  // namespace

std::string call(const Request& request) {
  if (!without()) {
    const std::string why = why_unavailable();
    if (!why.empty())
      throw Error(why + ", and nothing of a guest is parsed without; --no-sandbox does");
  }
  return Conversation(request, !without()).run();
}

void do_without() {
  without() = true;
}

}  // namespace kvmnet::wall

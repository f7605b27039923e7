// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <span>

#include "guestfs/guest_files.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

struct Header {
  Message::Kind kind;
  std::int32_t number;
  std::uint32_t size;
};

void send(const Fd& fd, Message::Kind kind, int number, const std::string& text) {
  const Header header = {kind, number, static_cast<std::uint32_t>(text.size())};
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  write_whole(fd, bytes + text);
}

void become_worker(pid_t parent) {
  // A session of its own: it tells what the worker leaves behind from everybody else's children.
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  // Whoever signals all of us, as a service manager does, must not stop a commit: the parent
  // decides, and ends a worker with SIGKILL. qemu-img inherits this.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(signal, SIG_IGN);
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::umask(077);
  sigset_t nothing;
  sigemptyset(&nothing);
  ::sigprocmask(SIG_SETMASK, &nothing, nullptr);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(null, STDIN_FILENO);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
}

// Without a word from the parent nothing is written to the image: the parent may have decided
// already that this worker is to end.
void wait_for_permission(const Fd& permission) {
  std::byte word{};
  if (!read_exactly(permission, std::span(&word, 1)))
    throw Error("stopped before the image was written");
}

Outcome work(const WorkerTask& task, const Fd& out, const Fd& permission) {
  JobContext context;
  context.accelerator = task.accelerator;
  context.temporary_directory = task.temporary_directory;
  context.before_writing = [&permission] { wait_for_permission(permission); };
  std::string no_kvm;  // why not; said only when the appliance has started without
  context.begin = [&](Phase phase) {
    if (phase == Phase::inspect && !no_kvm.empty()) send(out, Message::Kind::fallback, 0, no_kvm);
    const bool kvm = context.accelerator == guestfs::Accelerator::kvm;
    send(out, Message::Kind::phase, static_cast<int>(phase), kvm ? "kvm" : "");
  };
  try {
    try {
      return task.job(task.image, context);
    } catch (const guestfs::LaunchError& e) {
      if (!task.may_fall_back) throw;
      no_kvm = e.what();
    }
    context.accelerator = guestfs::Accelerator::tcg;
    return task.job(task.image, context);
  } catch (const guestfs::LaunchError& e) {
    Outcome outcome;
    outcome.image = task.image;
    std::string why = e.what();
    while (why.ends_with('.')) why.pop_back();
    outcome.error = fmt::format(
        "{}: the appliance could not be started ({}): {}; 'libguestfs-test-tool' (Debian's package "
        "libguestfs-tools) tells more, and --backend direct does without",
        task.image, guestfs::to_string(context.accelerator), why);
    return outcome;
  }
}

[[noreturn]] void run_worker(const WorkerTask& task, const Fd& out, const Fd& permission) {
  int status = 0;
  try {
    const Outcome outcome = work(task, out, permission);
    send(out, Message::Kind::result, static_cast<int>(outcome.status), task.render(outcome));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kvmnet: %s: %s\n", task.image.c_str(), e.what());
    status = 1;
  }
  std::fflush(stderr);
  ::_exit(status);
}

// Ends the children of ours that are in a session; false if there were none.
bool kill_children_in(pid_t session) {
  bool found = false;
  std::ifstream children(fmt::format("/proc/self/task/{}/children", ::getpid()));
  for (pid_t pid = 0; children >> pid;) {
    if (::getsid(pid) != session) continue;
    found = true;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  return found;
}

// Ends what a worker has left behind, an appliance or qemu-img. Whatever these have started becomes
// our child only when they are gone.
void kill_orphans(pid_t session) {
  while (kill_children_in(session)) {
  }
}

}  // namespace

void adopt_orphans() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Worker::Worker(const WorkerTask& task) {
  Pipe messages = make_pipe();
  Pipe permission = make_pipe();
  const pid_t parent = ::getpid();
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw system_error("starting a worker", errno);
  if (pid_ != 0) {
    messages_ = std::move(messages.read_end);
    permission_ = std::move(permission.write_end);
    return;
  }
  become_worker(parent);
  messages.read_end.reset();
  permission.write_end.reset();
  run_worker(task, messages.write_end, permission.read_end);
}

void Worker::allow_writing() {
  // A worker that has died meanwhile says so by the end of its messages.
  [[maybe_unused]] const ssize_t n = ::write(permission_.get(), "!", 1);
}

Worker::~Worker() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  kill_orphans(pid_);
}

std::optional<Message> Worker::receive() {
  Header header{};
  if (!read_exactly(messages_, std::as_writable_bytes(std::span(&header, 1)))) return std::nullopt;
  Message message{header.kind, header.number, std::string(header.size, '\0')};
  if (!read_exactly(messages_, std::as_writable_bytes(std::span(message.text))))
    return std::nullopt;
  return message;
}

std::string Worker::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  ended_ = true;
  if (WIFEXITED(status)) return fmt::format("exited with status {}", WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  return fmt::format("was killed by signal {} ({})", signal, ::sigdescr_np(signal));
}

}  // namespace kvmnet

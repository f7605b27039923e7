// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <numeric>

#include "src/wall/protocol.h"
#include "src/wall/sandbox.h"
#include "src/wall/wall.h"

namespace kvmnet::wall {
namespace {

template <typename T>
std::span<std::byte> writable(T& object) {
  return std::as_writable_bytes(std::span(&object, 1));
}

// The child's end of the conversation.
class Parent {
 public:
  void receive(std::span<std::byte> into) const {
    if (!read_exactly(socket_, into)) throw Error("the parent has gone away");
  }
  std::string receive_text(std::uint64_t size) const {
    std::string text(size, '\0');
    receive(std::as_writable_bytes(std::span(text)));
    return text;
  }

  // False: there is none any more.
  bool receive(Task& task) const { return read_exactly(socket_, writable(task)); }

  void say(Kind kind, std::string_view text) const {
    const Header header = {kind, 0, 0, text.size()};
    send({bytes_of(header), bytes_of(text)});
  }

  // As ReadAt, however much is asked for.
  std::vector<std::byte> read_at(unsigned file, std::uint64_t offset, std::size_t size) const {
    std::vector<std::byte> bytes;
    while (bytes.size() < size) {
      const std::size_t part = std::min(size - bytes.size(), largest_question);
      if (ask(file, offset + bytes.size(), part, bytes) < part) break;
    }
    return bytes;
  }

  // As WriteAt, however much it is.
  bool write_at(unsigned file, std::uint64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), largest_question));
      const Header header = {Kind::write, file, offset, part.size()};
      send({bytes_of(header), part});
      std::uint64_t done = 0;
      receive(writable(done));
      if (done == 0) return false;
      offset += part.size();
      bytes = bytes.subspan(part.size());
    }
    return true;
  }

 private:
  // Needs no memory: it may be to say that there is none.
  void send(Parts parts) const {
    while (!parts.empty()) {
      const ssize_t n = ::writev(socket_.get(), parts.data(), static_cast<int>(parts.count()));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw Error("the parent has gone away");
      parts.skip(static_cast<std::size_t>(n));
    }
  }

  // Appends the reply to `bytes`; its size.
  std::size_t ask(unsigned file, std::uint64_t offset, std::size_t size,
                  std::vector<std::byte>& bytes) const {
    const Header header = {Kind::question, file, offset, size};
    send({bytes_of(header)});
    std::uint64_t got = 0;
    receive(writable(got));
    const std::size_t before = bytes.size();
    bytes.resize(before + got);
    receive(std::span(bytes).subspan(before));
    return got;
  }

  const Fd socket_{channel_number};
};

// Whatever the parent blocks or ignores, limits and crashes end this process.
void reset_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGXCPU, SIGXFSZ, SIGSYS}) ::signal(signal, SIG_DFL);
}

Setup lock_self_up(const Parent& parent, const Child& child) {
  reset_signals();
  Setup setup;
  parent.receive(writable(setup));
  close_from(first_file_number + static_cast<int>(setup.files));
  set_limits(setup.limits, setup.files);
  if (child.prepare) child.prepare();
  if (setup.sandboxed) lock_up(setup.limits);
  return setup;
}

std::string handle(const Parent& parent, const Setup& setup, const Task& task, const Child& child) {
  const std::string operation = parent.receive_text(task.operation);
  const std::string message = parent.receive_text(task.message);
  std::vector<int> files(setup.files);
  std::iota(files.begin(), files.end(), first_file_number);
  Call call = {operation, message, files, {}, {}};
  if (setup.has_read_at)
    call.read_at = [&parent](unsigned file, std::uint64_t offset, std::size_t size) {
      return parent.read_at(file, offset, size);
    };
  if (setup.has_write_at)
    call.write_at = [&parent](unsigned file, std::uint64_t offset,
                              std::span<const std::byte> bytes) {
      return parent.write_at(file, offset, bytes);
    };
  return child.handle(call);
}

// Does `step` and tells the parent if it fails. False: there is no memory to go on with.
bool try_to(const Parent& parent, const std::function<void()>& step) {
  try {
    step();
  } catch (const std::bad_alloc&) {
    parent.say(Kind::out_of_memory, {});
    return false;
  } catch (const std::exception& e) {
    parent.say(Kind::failure, std::string_view(e.what()).substr(0, longest_failure));
  }
  return true;
}

void serve(const Child& child) {
  const Parent parent;
  Setup setup;
  bool locked_up = false;
  const bool goes_on = try_to(parent, [&] {
    setup = lock_self_up(parent, child);
    locked_up = true;
  });
  if (!goes_on || !locked_up) return;
  parent.say(Kind::ready, {});
  Task task;
  while (parent.receive(task))
    if (!try_to(parent, [&] { parent.say(Kind::answer, handle(parent, setup, task, child)); }))
      return;
}

}  // namespace

void run_as_child(int argc, char** argv, const Child& child) {
  if (argc != 2 || std::strcmp(argv[1], child_argument) != 0) return;
  int status = 0;
  try {
    serve(child);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    status = 1;
  }
  // Nothing that libraries do at exit: it may need what this process has lost.
  ::_exit(status);
}

}  // namespace kvmnet::wall

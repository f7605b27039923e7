// SPDX-License-Identifier: GPL-2.0-or-later
// The wall: what comes from a guest is parsed in a process that can do nothing else.
//
// The process is a fresh exec of our own program in a hidden mode (a bare fork would hold what the
// parent holds: an appliance's sockets, other guests' data). Before it looks at the first byte it
// has given up everything: file descriptors other than those handed over, every path (Landlock),
// every system call that its work does not need (seccomp, which kills), memory, time and stack
// beyond limits.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::wall {

// The child was brought down by what it was given: the message says how.
class Breach : public Error {
 public:
  enum class How {
    crash,      // also: it ended without an answer, or with one that makes no sense
    limit,      // of memory, time, or size
    forbidden,  // a system call or a question that it must not make
  };
  Breach(How how, const std::string& message) : Error(message), how_(how) {}
  How how() const { return how_; }

 private:
  How how_;
};

// For people; `what` the child worked on: "hive".
std::string describe(Breach::How how, std::string_view what);

// Bytes of a file that only the parent has: number of the file, offset, size. Fewer than asked for
// only at its end.
using ReadAt =
    std::function<std::vector<std::byte>(unsigned file, std::uint64_t offset, std::size_t size)>;

// The other way: number of the file, offset, bytes. Whether it could be done.
using WriteAt =
    std::function<bool(unsigned file, std::uint64_t offset, std::span<const std::byte> bytes)>;

// Sizes in bytes. A limit of ours that is lower stays.
struct Limits {
  std::uint64_t memory = 1ULL << 30;  // address space; not set in a sanitizer's build
  std::chrono::seconds cpu{60};
  // For one request, by the clock, without what `read_at` and `write_at` take.
  std::chrono::milliseconds time{120'000};
  std::uint64_t stack = 8 << 20;
  // That the child can write to: none gets larger. 0: it writes to none, and opens and maps none
  // anew, so that a file in memory which is handed over for reading stays as it is.
  std::uint64_t file = 512 << 20;
  std::uint64_t read = 512 << 20;   // by `read_at` in all; a short read counts as 4 KiB
  std::uint64_t write = 512 << 20;  // by `write_at`, likewise
  std::size_t answer = 256 << 20;
};

// What a child is given.
struct Means {
  std::vector<const Fd*> files;  // handed over, e.g. files in memory; the child gets them in order,
                                 // with the file positions shared
  ReadAt read_at;                // empty: there are no such files
  WriteAt write_at;              // empty: none that it may write
  Limits limits;
};

struct Request : Means {
  std::string operation;  // what is to be done
  std::string message;    // its parameters, in whatever form the handler wants
};

// Runs the request in a child and returns its answer, after the child is gone. Throws Breach; Error
// with the child's own message, cut to 4 KiB and not escaped, where its handler has thrown, or
// where no child could be started or locked up, however that failed, where it ran into a limit that
// was set lower than these before we came, or was killed from outside; whatever `read_at` and
// `write_at` throw. The child's standard error goes into the message of a Breach, cut to 4 KiB and
// escaped, and nowhere else.
std::string call(const Request& request);

// A child that works on one request after the other, and keeps what it knows between them.
class Session {
 public:
  // Throws Error if no child can be started.
  explicit Session(Means means);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();  // ends the child, whatever it does

  // As call(), but that the child stays. Where its handler has thrown the session goes on; after
  // everything else it is of no use.
  std::string ask(std::string_view operation, std::string_view message);
  // The same in two steps, for who has other work meanwhile, which takes none of the request's
  // time. The child is not answered before answer() is called.
  void begin(std::string_view operation, std::string_view message);
  std::string answer();
  // Lets the child end; throws, as call() does, unless it ends as it should.
  void finish();
  // Has the child killed, and does not wait until it is gone, as the destructor does: what it had
  // is freed meanwhile. Of no use afterwards.
  void stop();

 private:
  class Conversation;
  friend std::string call(const Request& request);
  std::unique_ptr<Conversation> conversation_;
};

// ---- in the child

struct Call {
  std::string_view operation;
  std::string_view message;
  std::span<const int> files;
  ReadAt read_at;    // asks the parent
  WriteAt write_at;  // likewise
};
struct Child {
  std::function<void()> prepare;  // runs before the process is locked up, sees no guest's bytes
  std::function<std::string(const Call& call)> handle;
};

// If the program was started as the child: prepares, locks the process up, has each call of its
// session handled, and ends the process without returning. To be the first thing in main(), and to
// get what main() got.
void run_as_child(int argc, char** argv, const Child& child);

// Why this kernel cannot lock the child up; empty if it can. Else call() throws Error.
std::string why_unavailable();

// For the user who knowingly does without (--no-sandbox): from now on the child gets neither
// Landlock nor the filter of system calls. Everything else stays.
void do_without();

}  // namespace kvmnet::wall

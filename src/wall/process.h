// SPDX-License-Identifier: GPL-2.0-or-later
// The child as its parent sees it.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/support/fd.h"
#include "src/wall/protocol.h"
#include "src/wall/wall.h"

namespace kvmnet::wall {

// The child, as somebody hostile: no wait for it goes beyond its time, whatever it does.
class Process {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Process(const Means& means);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (pid_ > 0) kill();
  }

  // A request of that name begins, and with it its time.
  void begin(std::string_view operation);

  // What the child does not read any more is lost.
  void send(Parts parts);

  // False: the child has closed its end before.
  bool receive(std::span<std::byte> into);
  // The same for `size` bytes that the child has announced; it has to keep its word.
  std::string receive_text(std::uint64_t size);

  // It has locked itself up: what happens to it from now on comes from what it reads.
  void set_ready() { ready_ = true; }
  bool is_ready() const { return ready_; }

  // Nothing more will be sent.
  void close_sending();
  // Waits for its end; throws, as breach() does, unless it has ended as it should.
  void join();
  // Has it killed; it may still be there.
  void stop() const;
  // Ends it, and throws Breach, or Error if it was not ready yet.
  [[noreturn]] void breach(Breach::How how, std::string_view what);
  // The same, for what it says of itself.
  [[noreturn]] void run_out_of_memory();

  // Time that is not the child's.
  void excuse(Clock::duration time) { deadline_ += time; }

 private:
  struct End;

  [[noreturn]] void fail(const End& end);
  End describe(int status, const rusage& used) const;
  int reap(rusage& used);
  void wait_for(const Fd& fd, short events);
  bool is_ready(const Fd& fd, short events, Clock::duration longest);
  void hear();
  void kill();

  const Means& means_;
  std::string operation_;
  Clock::time_point deadline_ = Clock::now() + means_.limits.time;
  pid_t pid_ = -1;
  Fd end_;     // readable when it has ended
  Fd socket_;  // to it
  Fd errors_;  // its standard output and standard error
  std::string said_;
  bool ready_ = false;
};

}  // namespace kvmnet::wall

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/faults/run_under_faults.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "tests/support/fault.h"

namespace kvmnet::test {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// The record that the run shares with us: in memory, found by way of our descriptor.
class Record {
 public:
  Record() : fd_(make_memory_file("record")) {
    if (::ftruncate(fd_.get(), sizeof(FaultRecord)) != 0) throw system_error(path(), errno);
    constexpr int access = PROT_READ | PROT_WRITE;
    memory_ = ::mmap(nullptr, sizeof(FaultRecord), access, MAP_SHARED, fd_.get(), 0);
    if (memory_ == MAP_FAILED) throw system_error(path(), errno);
  }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;
  ~Record() { ::munmap(memory_, sizeof(FaultRecord)); }

  std::string path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd_.get()); }
  const FaultRecord& operator*() const { return *static_cast<const FaultRecord*>(memory_); }

 private:
  Fd fd_;
  void* memory_ = nullptr;
};

std::string list_of(const std::vector<Fault>& faults) {
  std::string list;
  for (const Fault& fault : faults)
    list += fmt::format("{}{}:{}", list.empty() ? "" : ",", fault.at, fault.kind);
  return list;
}

// In the child. A session of its own is what a fault that kills all goes by.
[[noreturn]] void become(const std::vector<std::string>& command, const Faults& faults,
                         const std::string& record, const Fd& output) {
  ::setsid();
  ::setenv(fault_directory, faults.directory.c_str(), 1);
  ::setenv(fault_record, record.c_str(), 1);
  ::setenv(fault_list, list_of(faults.faults).c_str(), 1);
  ::setenv("LD_PRELOAD", KVMNET_FAULT_LIBRARY, 1);
  ::dup2(output.get(), STDOUT_FILENO);
  ::dup2(output.get(), STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) throw system_error("waiting for a run", errno);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// All that the run has started and left has become ours: we are its subreaper.
void wait_for_orphans(const std::string& command) {
  const auto deadline = Clock::now() + 10s;
  while (true) {
    const pid_t pid = ::waitpid(-1, nullptr, WNOHANG);
    if (pid < 0) return;
    if (pid > 0) continue;
    if (Clock::now() > deadline) throw Error(command + ": a process that it started goes on");
    std::this_thread::sleep_for(100us);
  }
}

std::vector<std::string> calls_of(const FaultRecord& record) {
  std::vector<std::string> calls;
  const std::size_t count = std::min<std::size_t>(record.calls, FaultRecord::most_calls);
  for (std::size_t i = 0; i < count; ++i) calls.emplace_back(record.what[i].data());
  return calls;
}

std::string text_of(const Fd& fd) {
  const auto bytes = read_whole(fd);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Ended run_under_faults(const std::vector<std::string>& command, const Faults& faults) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const Record record;
  const std::string path = record.path();
  const Fd output = make_memory_file("output");
  const auto begin = Clock::now();
  const pid_t pid = ::fork();
  if (pid < 0) throw system_error("fork", errno);
  if (pid == 0) become(command, faults, path, output);
  if (faults.killed_after) {
    std::this_thread::sleep_until(begin + *faults.killed_after);
    ::kill(pid, SIGKILL);
  }
  Ended ended;
  ended.status = wait_for(pid);
  wait_for_orphans(command[0]);
  ended.duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin);
  ended.output = text_of(output);
  ended.calls = calls_of(*record);
  ended.struck = (*record).struck;
  return ended;
}

}  // namespace kvmnet::test

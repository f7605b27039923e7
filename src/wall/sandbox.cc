// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/wall/sandbox.h"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <memory>

#include "src/support/landlock.h"

namespace kvmnet::wall {
namespace {

// ---- limits

void set_limit(__rlimit_resource resource, rlim_t soft, rlim_t hard) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  limit.rlim_max = std::min(hard, limit.rlim_max);
  limit.rlim_cur = std::min(soft, limit.rlim_max);
  if (::setrlimit(resource, &limit) != 0) throw system_error("limiting a process", errno);
}

void set_limit(__rlimit_resource resource, rlim_t value) {
  set_limit(resource, value, value);
}

// ---- Landlock

// Denied everywhere. Files without a path, as those in memory and pipes, are not its business.
void give_up_paths() {
  const Fd nothing = landlock::make_ruleset({});
  if (!landlock::enter(nothing.get())) throw system_error("entering a Landlock ruleset", errno);
}

// ---- seccomp

// For memory, files that are open or in memory, and ending. fadvise64: libblkid.
constexpr auto allowed = std::to_array<int>(
    {SCMP_SYS(read),          SCMP_SYS(write),        SCMP_SYS(writev),         SCMP_SYS(pread64),
     SCMP_SYS(pwrite64),      SCMP_SYS(lseek),        SCMP_SYS(close),          SCMP_SYS(fstat),
     SCMP_SYS(newfstatat),    SCMP_SYS(ftruncate),    SCMP_SYS(munmap),         SCMP_SYS(fadvise64),
     SCMP_SYS(mremap),        SCMP_SYS(brk),          SCMP_SYS(madvise),        SCMP_SYS(futex),
     SCMP_SYS(getpid),        SCMP_SYS(gettid),       SCMP_SYS(getrusage),      SCMP_SYS(getrandom),
     SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(exit),
     SCMP_SYS(exit_group)});

// What AddressSanitizer asks for while it makes its report.
constexpr auto allowed_to_sanitizers = std::to_array<int>(
    {SCMP_SYS(open), SCMP_SYS(ioctl), SCMP_SYS(readlink), SCMP_SYS(sigaltstack),
     SCMP_SYS(rt_sigaction), SCMP_SYS(sched_yield), SCMP_SYS(prlimit64), SCMP_SYS(pipe2)});

class Filter {
 public:
  Filter() : filter_(::seccomp_init(SCMP_ACT_KILL_PROCESS)) {
    if (!filter_) throw Error("making a filter for system calls: out of memory");
    check(::seccomp_attr_set(filter_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
  }

  void allow(int call) { check(::seccomp_rule_add_array(get(), SCMP_ACT_ALLOW, call, 0, nullptr)); }
  void allow_if(int call, std::initializer_list<scmp_arg_cmp> conditions) {
    check(::seccomp_rule_add_array(get(), SCMP_ACT_ALLOW, call,
                                   static_cast<unsigned>(conditions.size()), conditions.begin()));
  }
  // It fails, and the process goes on.
  void deny(int call, std::uint16_t error) {
    check(::seccomp_rule_add_array(get(), SCMP_ACT_ERRNO(error), call, 0, nullptr));
  }
  void load() { check(::seccomp_load(get())); }

 private:
  struct Release {
    void operator()(void* filter) const { ::seccomp_release(filter); }
  };

  scmp_filter_ctx get() { return filter_.get(); }
  static void check(int result) {
    if (result < 0) throw system_error("filtering system calls", -result);
  }

  std::unique_ptr<void, Release> filter_;
};

scmp_arg_cmp argument_is(unsigned number, scmp_datum_t value) {
  return {number, SCMP_CMP_EQ, value, 0};
}

scmp_arg_cmp argument_has_not(unsigned number, scmp_datum_t bits) {
  return {number, SCMP_CMP_MASKED_EQ, bits, 0};
}

scmp_arg_cmp argument_has(unsigned number, scmp_datum_t bits) {
  return {number, SCMP_CMP_MASKED_EQ, bits, bits};
}

void give_up_system_calls(bool opens_files) {
  Filter filter;
  for (const int call : allowed) filter.allow(call);
  // Memory for data, never for code.
  const scmp_arg_cmp no_code = argument_has_not(2, PROT_EXEC);
  filter.allow_if(SCMP_SYS(mprotect), {no_code});
  if (opens_files) {
    // hivex opens /proc/self/fd/N for each open and commit; Landlock lets it open nothing else.
    filter.allow(SCMP_SYS(openat));
    filter.allow_if(SCMP_SYS(mmap), {no_code});
  } else {
    // As Landlock denies it. Who opens a file in memory anew has it for writing; and who maps one
    // fills it, and so the host's memory, even if it is only to be read.
    filter.deny(SCMP_SYS(openat), EACCES);
    filter.allow_if(SCMP_SYS(mmap), {no_code, argument_has(3, MAP_ANONYMOUS)});
  }
  // hivex says so although open() has got O_CLOEXEC.
  filter.allow_if(SCMP_SYS(fcntl), {argument_is(1, F_SETFD)});
  // abort() sends a signal, to the process itself.
  filter.allow_if(SCMP_SYS(tgkill), {argument_is(0, static_cast<scmp_datum_t>(::getpid()))});
  if (sanitized)
    for (const int call : allowed_to_sanitizers) filter.allow(call);
  filter.load();
}

}  // namespace

std::string why_unavailable() {
  if (std::string why = landlock::why_unavailable(); !why.empty()) return why;
  constexpr unsigned kills_processes = 3;  // seccomp_api_get(3)
  if (::seccomp_api_get() < kills_processes)
    return "this kernel does not end processes for system calls (Linux does from 4.14 on, with "
           "CONFIG_SECCOMP_FILTER)";
  return {};
}

void close_from(int first) {
  if (::close_range(static_cast<unsigned>(first), std::numeric_limits<unsigned>::max(), 0) != 0)
    throw system_error("closing inherited files", errno);
}

void set_limits(const Limits& limits, unsigned files) {
  // No core dump, whatever the kernel does with them (RLIMIT_CORE does not stop a pipe), and no
  // other process of the same user looks into this one: a SYSTEM hive holds the boot key.
  ::prctl(PR_SET_DUMPABLE, 0);
  set_limit(RLIMIT_CORE, 0);
  const auto cpu = static_cast<rlim_t>(limits.cpu.count());
  set_limit(RLIMIT_CPU, cpu, cpu + 1);  // SIGXCPU, which says why; then SIGKILL
  set_limit(RLIMIT_STACK, limits.stack);
  set_limit(RLIMIT_FSIZE, limits.file);  // files in memory, too; SIGXFSZ
  constexpr rlim_t standard_streams_and_socket = 4;
  constexpr rlim_t spare = 8;
  set_limit(RLIMIT_NOFILE, standard_streams_and_socket + files + spare);
  set_limit(RLIMIT_NPROC, 0);
  // AddressSanitizer maps a sixth of all addresses.
  if (!sanitized) set_limit(RLIMIT_AS, limits.memory);
}

void lock_up(const Limits& limits) {
  constexpr std::uintmax_t links_of_one_thread = 3;  // ".", ".." and one for each thread
  if (std::filesystem::hard_link_count("/proc/self/task") != links_of_one_thread)
    throw Error("a process with several threads cannot be locked up");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    throw system_error("giving up privileges", errno);
  give_up_paths();
  give_up_system_calls(limits.file > 0);
}

}  // namespace kvmnet::wall

// SPDX-License-Identifier: GPL-2.0-or-later
// What the child must not be able to do.
#include "src/wall/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/support/temp_dir.h"
#include "tests/unit/wall/operations.h"

namespace kvmnet::wall {
namespace {

using test::request;
using test::result_of;
using test::system_call;

std::string opening(const std::string& path, int flags) {
  return result_of(request("open", fmt::format("{} {}", path, flags)));
}

std::string forbidden(const Request& request) {
  const std::string result = result_of(request);
  const std::string breach = fmt::format(
      "Breach: the process that reads the guest's data ({}) made a forbidden system call",
      request.operation);
  return result == breach ? "forbidden" : result;
}

TEST(Sandbox, NoPathCanBeOpened) {
  const TempDir directory;
  for (const char* path : {"/etc/passwd", "/", ".", "/proc/self/exe", "/proc/self/maps",
                           "/proc/self/mem", "/proc/self/fd", "/dev/null", "/dev/zero", "/tmp"})
    EXPECT_EQ(opening(path, O_RDONLY), "EACCES") << path;
  for (const char* path :
       {"/etc/passwd", "/dev/null", "/proc/self/mem", "/proc/self/oom_score_adj"})
    EXPECT_EQ(opening(path, O_WRONLY), "EACCES") << path;
  EXPECT_EQ(opening(directory.path() + "/new", O_WRONLY | O_CREAT), "EACCES");
  EXPECT_EQ(opening(directory.path(), O_RDWR | O_TMPFILE), "EACCES");
}

TEST(Sandbox, NoFileOfAnotherProcessCanBeOpened) {
  // It has no path, so what keeps it is that Landlock lets nobody look into other processes.
  const Fd secret = make_memory_file("test");
  EXPECT_EQ(opening(path_for_others(secret), O_RDONLY), "EACCES");
  EXPECT_EQ(opening(fmt::format("/proc/{}/mem", ::getpid()), O_RDONLY), "EACCES");
}

TEST(Sandbox, AFileThatIsHandedOverCanBeOpenedOnlyIfItIsInMemory) {
  const TempDir directory;
  const Fd in_memory = make_memory_file("test");
  const Fd on_disk = open_file(directory.path() + "/file", O_RDWR | O_CREAT, 0600);
  for (const int flags : {O_RDONLY, O_RDWR, O_WRONLY | O_CREAT | O_TRUNC}) {
    auto open = request("open", fmt::format("/proc/self/fd/4 {}", flags));
    open.files = {&in_memory};
    EXPECT_EQ(result_of(open), "opened") << flags;
    open.files = {&on_disk};
    EXPECT_EQ(result_of(open), "EACCES") << flags;
  }
}

// A file in memory that is as long as a guest's disk would take all of the host's memory, as soon
// as it is written to, or only mapped and looked at.
TEST(Sandbox, AFileStaysAsItIsIfNoneIsToBeWritten) {
  const Fd file = make_memory_file("test");
  ASSERT_EQ(::ftruncate(file.get(), 1 << 20), 0);
  const Fd for_reading = open_file(proc_path(file), O_RDONLY);
  const auto with_file = [&](Request request) {
    request.files = {&for_reading};
    request.limits.file = 0;
    return request;
  };
  for (const int flags : {O_RDONLY, O_RDWR})
    EXPECT_EQ(result_of(with_file(request("open", fmt::format("/proc/self/fd/4 {}", flags)))),
              "EACCES");
  for (const int flags : {MAP_SHARED, MAP_PRIVATE})
    EXPECT_EQ(forbidden(with_file(system_call(SYS_mmap, 0, 4096, PROT_READ, flags, 4))),
              "forbidden");
  EXPECT_NE(result_of(with_file(system_call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS, -1))),
            "-1");
  EXPECT_EQ(result_of(with_file(system_call(SYS_ftruncate, 4, 2 << 20))), "-1");
  EXPECT_EQ(result_of(with_file(request("double files"))), "Error: files");
  struct stat st {};
  ASSERT_EQ(::fstat(file.get(), &st), 0);
  EXPECT_EQ(st.st_blocks, 0);
}

struct Call {
  const char* name;
  long number;
};

TEST(Sandbox, ForbiddenSystemCallsEndTheChild) {
  constexpr Call calls[] = {
    {"socket", SYS_socket},
    {"socketpair", SYS_socketpair},
    {"connect", SYS_connect},
    {"sendmsg", SYS_sendmsg},
    {"recvmsg", SYS_recvmsg},
    {"execve", SYS_execve},
    {"execveat", SYS_execveat},
    {"ptrace", SYS_ptrace},
    {"process_vm_writev", SYS_process_vm_writev},
    {"kill", SYS_kill},
    {"tkill", SYS_tkill},
    {"rt_sigqueueinfo", SYS_rt_sigqueueinfo},
    {"pidfd_send_signal", SYS_pidfd_send_signal},
    {"pidfd_getfd", SYS_pidfd_getfd},
    {"clone", SYS_clone},
    {"clone3", SYS_clone3},
    {"io_uring_setup", SYS_io_uring_setup},
    {"mount", SYS_mount},
    {"unshare", SYS_unshare},
    {"setns", SYS_setns},
    {"chroot", SYS_chroot},
    {"bpf", SYS_bpf},
    {"keyctl", SYS_keyctl},
    {"userfaultfd", SYS_userfaultfd},
    {"perf_event_open", SYS_perf_event_open},
    {"prctl", SYS_prctl},
    {"seccomp", SYS_seccomp},
    {"setrlimit", SYS_setrlimit},
    {"setuid", SYS_setuid},
    {"openat2", SYS_openat2},
    {"unlinkat", SYS_unlinkat},
    {"renameat2", SYS_renameat2},
    {"fchmod", SYS_fchmod},
    {"memfd_create", SYS_memfd_create},
    {"shmget", SYS_shmget},
    {"pkey_mprotect", SYS_pkey_mprotect},
    {"getdents64", SYS_getdents64},
#if defined(__x86_64__)
    {"fork", SYS_fork},
    {"vfork", SYS_vfork},
    {"getpid of the x32 interface", 0x40000000 | SYS_getpid},
#endif
    {"no system call", 100'000},
  };
  for (const Call& call : calls)
    EXPECT_EQ(forbidden(system_call(call.number)), "forbidden") << call.name;
}

TEST(Sandbox, SystemCallsThatOnlySanitizersMakeAreForbiddenToo) {
  for (const long number : {SYS_ioctl, SYS_readlink, SYS_rt_sigaction, SYS_prlimit64, SYS_pipe2})
    EXPECT_EQ(forbidden(system_call(number)) == "forbidden", !sanitized) << number;
}

TEST(Sandbox, MemoryMustNotBecomeCode) {
  EXPECT_EQ(forbidden(system_call(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC)), "forbidden");
  EXPECT_EQ(forbidden(system_call(SYS_mprotect, 0, 0, PROT_READ | PROT_EXEC)), "forbidden");
  EXPECT_EQ(result_of(system_call(SYS_mprotect, 0, 0, PROT_READ)), "0");
}

TEST(Sandbox, TheParentCannotBeSignalled) {
  EXPECT_EQ(forbidden(system_call(SYS_tgkill, ::getpid(), ::getpid(), 0)), "forbidden");
}

}  // namespace
}  // namespace kvmnet::wall

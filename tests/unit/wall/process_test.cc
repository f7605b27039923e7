// SPDX-License-Identifier: GPL-2.0-or-later
// The child as a process: what it holds, who may start it, how it ends.
#include <fcntl.h>
#include <fmt/ranges.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include "src/support/temp_dir.h"
#include "src/wall/sandbox.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/wall/operations.h"

namespace kvmnet::wall {
namespace {

using test::request;
using test::result_of;

// What `work` returns in a process that may change for good what it can do.
std::string in_another_process(const std::function<std::string()>& work) {
  Pipe pipe = make_pipe();
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      write_whole(pipe.write_end, work());
    } catch (const std::exception& e) {
      write_whole(pipe.write_end, std::string("exception: ") + e.what());
    }
    ::_exit(0);
  }
  pipe.write_end.reset();
  std::string text(4096, '\0');
  std::size_t size = 0;
  ssize_t n = 0;
  while ((n = ::read(pipe.read_end.get(), text.data() + size, text.size() - size)) > 0)
    size += static_cast<std::size_t>(n);
  ::waitpid(pid, nullptr, 0);
  return text.substr(0, size);
}

// The first child of a process, as soon as it has one; 0 if it gets none for 5 s.
pid_t child_of(pid_t pid) {
  for (int i = 0; i < 500; ++i) {
    std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", pid));
    pid_t child = 0;
    if (children >> child) return child;
    ::usleep(10'000);
  }
  return 0;
}

// What `look` finds out about a child that waits for an answer.
std::string look_at_child(const std::function<std::string(pid_t child)>& look, const Fd& file) {
  // In a process that has no other child.
  return in_another_process([&] {
    std::string seen;
    auto read = request("read at", "0 0 1");
    read.files = {&file};
    read.read_at = [&](unsigned, std::uint64_t, std::size_t) {
      seen = look(child_of(::getpid()));
      return std::vector<std::byte>();
    };
    return result_of(read) + seen;
  });
}

TEST(WallProcess, HoldsNothingButItsOwn) {
  // Two that every program we start would get.
  const Fd leaked(::open("/etc/passwd", O_RDONLY));
  const Fd leaked_far_up(::fcntl(leaked.get(), F_DUPFD, 500));
  ASSERT_TRUE(leaked_far_up.is_open());
  const Fd file = make_memory_file("test");
  auto list = request("descriptors");
  EXPECT_EQ(result_of(list), "0 1 2 3 ");
  list.files = {&file, &file};
  EXPECT_EQ(result_of(list), "0 1 2 3 4 5 ");
}

TEST(WallProcess, IsSeenToHoldNothingButItsOwn) {
  if (::geteuid() != 0) return;  // nobody else may look into it
  const Fd leaked(::open("/etc/passwd", O_RDONLY));
  const Fd file = make_memory_file("test");
  const auto list = [](pid_t child) {
    std::set<std::string> held;
    for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", child)))
      held.insert(entry.path().filename().string() + " " +
                  std::filesystem::read_symlink(entry).string().substr(0, 5));
    return fmt::format("{}", fmt::join(held, ", "));
  };
  EXPECT_EQ(look_at_child(list, file), "0 /dev/, 1 pipe:, 2 pipe:, 3 socke, 4 /memf");
}

TEST(WallProcess, IsNotBlamedForALimitThatWasLowBefore) {
  const std::string result = in_another_process([] {
    const rlimit limit = {1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return std::string("no limit");
    const Fd file = make_memory_file("test");
    auto fill = request("fill file");
    fill.files = {&file};
    return result_of(fill);
  });
  EXPECT_EQ(result.find("Error: the process that reads the guest's data (fill file) ran into"), 0U)
      << result;
  EXPECT_NE(result.find("ulimit"), std::string::npos) << result;
}

TEST(WallProcess, IsNotExcusedByAnotherLimitThatWasLowBefore) {
  const std::string result = in_another_process([] {
    const rlimit limit = {1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return std::string("no limit");
    auto spin = request("spin");
    spin.limits.cpu = std::chrono::seconds(1);
    return result_of(spin);
  });
  EXPECT_EQ(result.find("Breach: "), 0U) << result;
}

// As when this host runs out of memory.
TEST(WallProcess, IsNotBlamedWhereItIsKilledFromOutside) {
  const std::string result = in_another_process([] {
    auto read = request("read for ever");
    read.read_at = [](unsigned, std::uint64_t, std::size_t) {
      ::kill(child_of(::getpid()), SIGKILL);
      return std::vector<std::byte>();
    };
    return result_of(read);
  });
  EXPECT_EQ(
      result,
      "Error: the process that reads the guest's data (read for ever) was killed from outside, "
      "as the kernel does when this host runs out of memory");
}

// The time by the clock goes on while the user has stopped us. What the child has done by then
// counts, and it gets the time that it may have waited for us.
TEST(WallProcess, IsNotBlamedForTheTimeInWhichWeWereStopped) {
  for (const char* milliseconds : {"1000", "5900"}) {
    Pipe answer = make_pipe();
    const pid_t parent = ::fork();
    if (parent == 0) {
      auto nap = request("nap", milliseconds);
      nap.limits.time = std::chrono::milliseconds(3000);
      write_whole(answer.write_end, result_of(nap));
      ::_exit(0);
    }
    answer.write_end.reset();
    EXPECT_NE(child_of(parent), 0);
    ::usleep(400'000);  // until it has been told what to do
    ::kill(parent, SIGSTOP);
    ::usleep(5'000'000);
    ::kill(parent, SIGCONT);
    ::waitpid(parent, nullptr, 0);
    std::string text(200, '\0');
    const ssize_t n = ::read(answer.read_end.get(), text.data(), text.size());
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    EXPECT_EQ(text, "awake") << milliseconds;
  }
}

TEST(WallProcess, ThatDiesBeforeItReadsAnythingIsAnError) {
  if (sanitized) return;  // cannot live with so little at all
  const std::string result = in_another_process([] {
    const rlimit limit = {8 << 20, 8 << 20};  // too little for its libraries
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return std::string("no limit");
    return result_of(request("echo", "text"));
  });
  EXPECT_EQ(result.find("Error: the process that is to read the guest's data (echo) "), 0U)
      << result;
  EXPECT_NE(result.find("ulimit"), std::string::npos) << result;
}

TEST(WallProcess, HasAGroupOfItsOwn) {
  const auto look = [](pid_t child) {
    return child != 0 && ::getpgid(child) == child ? "leader" : "member";
  };
  EXPECT_EQ(look_at_child(look, make_memory_file("test")), "leader");
}

TEST(WallProcess, HasAnEmptyEnvironment) {
  if (::geteuid() != 0) return;  // as above
  const auto look = [](pid_t child) {
    std::ifstream environment(fmt::format("/proc/{}/environ", child));
    return std::string(std::istreambuf_iterator<char>(environment), {});
  };
  ::setenv("KVMNET_TEST_SECRET", "secret", 1);
  ::setenv("UBSAN_OPTIONS", "print_summary=0", 1);
  const std::string environment = look_at_child(look, make_memory_file("test"));
  ::unsetenv("UBSAN_OPTIONS");
  ::unsetenv("KVMNET_TEST_SECRET");
  EXPECT_NE(environment.find("LC_ALL=C"), std::string::npos);
  EXPECT_NE(environment.find("UBSAN_OPTIONS=print_summary=0"), std::string::npos);
  EXPECT_EQ(environment.find("secret"), std::string::npos);
}

TEST(WallProcess, DiesWithItsParent) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t parent = ::fork();
  if (parent == 0) {
    result_of(request("sleep"));
    ::_exit(0);
  }
  const pid_t child = child_of(parent);
  ASSERT_NE(child, 0);
  ::usleep(100'000);  // so that it sleeps
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST(WallProcess, IsGoneWhenCallReturns) {
  for (const char* operation : {"echo", "sleep", "abort", "fail", "system call"}) {
    const std::string left = in_another_process([&] {
      auto any = request(operation, "57");
      any.limits.time = std::chrono::milliseconds(2000);
      result_of(any);
      return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD ? "none" : "some";
    });
    EXPECT_EQ(left, "none") << operation;
  }
}

TEST(WallProcess, OpensNothingForGood) {
  const auto open_files = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const auto before = open_files();
  for (const char* operation : {"echo", "abort", "fail"}) result_of(request(operation));
  EXPECT_EQ(open_files(), before);
}

TEST(WallProcess, WorksForAnOrdinaryUser) {
  const std::string results = in_another_process([] {
    if (::geteuid() == 0) {
      constexpr unsigned nobody = 65534;
      if (::setgroups(0, nullptr) != 0 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0)
        return std::string("cannot become nobody");
    }
    const Fd hive = make_memory_file("hive");
    write_whole(hive, test::minimal_hive());
    auto edit = request("edit hive");
    edit.files = {&hive};
    return result_of(edit) + "\n" + result_of(request("open", "/etc/passwd 0")) + "\n" +
           result_of(request("open", path_for_others(hive) + " 0")) + "\n" +
           result_of(test::system_call(SYS_socket));
  });
  EXPECT_EQ(results,
            "Key Gr\u00f6\u00dfe dword:0x00100000\nEACCES\nEACCES\n"
            "Breach: the process that reads the guest's data (system call) made a forbidden "
            "system call");
}

// From now on this process and its children run on a kernel without Landlock, as it seems.
void take_landlock_away() {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  ::seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(landlock_create_ruleset), 0,
                           nullptr);
  if (::seccomp_load(filter) != 0) throw Error("no filter");
  ::seccomp_release(filter);
}

TEST(WallProcess, IsNotStartedWhereItCannotBeLockedUp) {
  EXPECT_EQ(why_unavailable(), "");
  const std::string why =
      "this kernel has no Landlock (asked for it: Operation not supported; Linux has it from 5.13 "
      "on, where the boot parameter lsm names it)";
  EXPECT_EQ(in_another_process([] {
              take_landlock_away();
              return why_unavailable();
            }),
            why);
  EXPECT_EQ(in_another_process([] {
              take_landlock_away();
              return result_of(request("echo", "hello"));
            }),
            "Error: " + why + ", and nothing of a guest is parsed without; --no-sandbox does");
}

// A SYSTEM hive holds the boot key. By the time it could be asked it must not ask any more.
TEST(WallProcess, LeavesNoCoreAndIsNotLookedInto) {
  EXPECT_EQ(in_another_process([] {
              do_without();
              return result_of(request("privacy"));
            }),
            "core 0 dumpable 0");
}

TEST(WallProcess, IsNotLockedUpForTheUserWhoDoesWithout) {
  const auto results = [] {
    do_without();
    auto sleep = request("sleep");
    sleep.limits.time = std::chrono::milliseconds(2000);
    return result_of(request("echo", "hello")) + "\n" +
           result_of(request("open", "/etc/passwd 0")) + "\n" +
           result_of(test::system_call(SYS_getppid)) + "\n" + result_of(request("descriptors")) +
           "\n" + result_of(sleep);
  };
  const auto expected = [](pid_t parent) {
    return fmt::format(
        "hello\nopened\n{}\n0 1 2 3 \nBreach: the process that reads the guest's data (sleep) ran "
        "into its limit of 2.0 s",
        parent);
  };
  for (const bool landlock : {true, false}) {
    const std::string all = in_another_process([&] {
      if (!landlock) take_landlock_away();
      const std::string got = results();
      return got == expected(::getpid()) ? "as expected" : got;
    });
    EXPECT_EQ(all, "as expected") << "with Landlock: " << landlock;
  }
}

TEST(WallProcess, IsNotLockedUpWithThreadsThatWouldStayFree) {
  EXPECT_EQ(in_another_process([]() -> std::string {
              std::thread([] { ::pause(); }).detach();
              lock_up({});
              return "locked up";
            }),
            "exception: a process with several threads cannot be locked up");
}

}  // namespace
}  // namespace kvmnet::wall

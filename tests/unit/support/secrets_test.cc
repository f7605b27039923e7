// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/secrets.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "src/support/subprocess.h"

namespace kvmnet {
namespace {

// The exit status of a process of its own, which is no longer root: root may look into everything.
int status_as_nobody(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    if (::getuid() == 0 && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) ::_exit(100);
    ::_exit(work());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Secrets, LeaveNoCore) {
  const auto has_none = [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    return ::prctl(PR_GET_DUMPABLE) == 0 && limit.rlim_max == 0;
  };
  EXPECT_EQ(status_as_nobody([&] {
              keep_to_ourselves();
              if (!has_none()) return 1;
              const pid_t fork = ::fork();  // as a worker is
              if (fork == 0) ::_exit(has_none() ? 0 : 2);
              int status = 0;
              ::waitpid(fork, &status, 0);
              return WEXITSTATUS(status);
            }),
            0);
}

// qemu-img and cp write to files that we have made.
TEST(Secrets, DoNotKeepFilesFromProgramsThatAreToHaveThem) {
  const Fd file = make_memory_file("test");
  const auto written_to = [](const std::string& path) {
    return run({"sh", "-c", "echo written > \"$0\"", path}).status;
  };
  EXPECT_EQ(status_as_nobody([&] {
              ::prctl(PR_SET_DUMPABLE, 1);  // another user's start has ended it
              keep_to_ourselves();
              if (written_to(path_for_others(file)) == 0) return 1;
              const InheritedFile inherited(file);
              return written_to(inherited.path()) == 0 ? 0 : 2;
            }),
            0);
  EXPECT_EQ(read_text(file, 100), "written\n");
}

}  // namespace
}  // namespace kvmnet

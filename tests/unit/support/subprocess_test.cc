// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/subprocess.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/temp_dir.h"

namespace kvmnet {
namespace {

Finished shell(const std::string& script) {
  return run({"sh", "-c", script});
}

std::string error_of(const std::vector<std::string>& command) {
  try {
    run_checked(command);
  } catch (const Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "did not fail";
  return {};
}

TEST(Subprocess, ReportsTheExitStatus) {
  EXPECT_EQ(run({"true"}).status, 0);
  EXPECT_EQ(run({"false"}).status, 1);
  EXPECT_EQ(shell("exit 42").status, 42);
}

TEST(Subprocess, ReportsASignalAs128PlusItsNumber) {
  EXPECT_EQ(shell("kill -KILL $$").status, 128 + SIGKILL);
  EXPECT_EQ(shell("kill -TERM $$").status, 128 + SIGTERM);
}

TEST(Subprocess, CollectsBothOutputsWithoutTheLastLineEnds) {
  EXPECT_EQ(shell("echo out; echo error >&2; echo; echo").output, "out\nerror");
  EXPECT_EQ(run({"true"}).output, "");
}

TEST(Subprocess, KeepsTheFirst64KibibytesAndLetsTheProgramFinish) {
  const Finished finished = shell("head -c 200000 /dev/zero | tr '\\0' a; exit 3");
  EXPECT_EQ(finished.output, std::string(65536, 'a'));
  EXPECT_EQ(finished.status, 3);
}

TEST(Subprocess, PassesArgumentsAsTheyAre) {
  EXPECT_EQ(run({"printf", "%s|", "a b", "", "$HOME", "*", "\"'\\", "\xff"}).output,
            "a b||$HOME|*|\"'\\|\xff|");
}

TEST(Subprocess, AMissingProgramIsAnError) {
  EXPECT_EQ(error_of({"kvmnet-no-such-program", "x"}),
            "starting kvmnet-no-such-program: No such file or directory");
  EXPECT_EQ(run({"sh", "-c", "exit 127"}).status, 127);
  EXPECT_THROW(run({"/dev/null"}), Error);
}

TEST(Subprocess, TheProgramHasNoInput) {
  EXPECT_EQ(run({"cat"}).output, "");
}

TEST(Subprocess, TheProgramHasAProcessGroupOfItsOwn) {
  const std::string output = run({"cut", "-d", " ", "-f", "1,5", "/proc/self/stat"}).output;
  const std::size_t blank = output.find(' ');
  ASSERT_NE(blank, std::string::npos) << output;
  EXPECT_EQ(output.substr(0, blank), output.substr(blank + 1)) << "process and group";
}

TEST(Subprocess, TheProgramDoesNotGetOurFiles) {
  const Fd ours = open_file("/dev/null", O_RDONLY);
  EXPECT_EQ(shell("test -e /proc/self/fd/" + std::to_string(ours.get())).status, 1);
}

TEST(Subprocess, CheckedRunsPassTheOutputOrTheProgramsOwnWords) {
  EXPECT_EQ(run_checked({"echo", "a", "b"}), "a b");
  EXPECT_EQ(error_of({"sh", "-c", "echo no space left; exit 5"}),
            "sh -c failed with status 5: no space left");
}

// A listening socket that a name leads to.
struct Listener {
  Listener() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_EQ(::bind(fd.get(), generic, sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 1), 0);
    EXPECT_EQ(::connect(client.get(), generic, sizeof address), 0);
  }
  TempDir directory;
  std::string path = directory.path() + "/socket";
  Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  Fd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

TEST(Running, GetsTheSocketAsDescriptor3AndIsToldSo) {
  const Listener listener;
  const std::string mark = listener.directory.path() + "/said";
  Running server({"sh", "-c",
                  "echo $LISTEN_FDS; [ $LISTEN_PID = $$ ] && echo me; readlink /proc/self/fd/3; "
                  "touch " +
                      mark + "; exec sleep 1000"},
                 Fd(), listener.fd);
  struct stat st {};
  ::fstat(listener.fd.get(), &st);
  std::string expected = "1\nme\nsocket:[" + std::to_string(st.st_ino) + "]";
  while (::access(mark.c_str(), F_OK) != 0) std::this_thread::yield();
  EXPECT_EQ(server.stop(), expected);
}

TEST(Running, EndsWithItsScope) {
  const Listener listener;
  const std::string mark = listener.directory.path() + "/pid";
  {
    const Running server(
        {"sh", "-c",
         "echo $$ > " + mark + ".new; mv " + mark + ".new " + mark + "; exec sleep 1000"},
        Fd(), listener.fd);
    while (::access(mark.c_str(), F_OK) != 0) std::this_thread::yield();
  }
  const Fd file = open_file(mark, O_RDONLY);
  const auto bytes = read_whole(file);
  const pid_t pid =
      std::stoi(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  EXPECT_EQ(::kill(pid, 0), -1) << "it still runs";
}

TEST(Running, RunsWhileWeGoOn) {
  const TempDir directory;
  const std::string mark = directory.path() + "/mark";
  Running first(
      {"sh", "-c", "while ! [ -e " + mark + " ]; do sleep 0.01; done; echo seen; exit 3"});
  Running second({"touch", mark});
  EXPECT_EQ(second.wait_checked(), "");
  const Finished finished = first.wait();
  EXPECT_EQ(finished.status, 3);
  EXPECT_EQ(finished.output, "seen");
}

TEST(Running, ThatCannotBeStartedIsAnError) {
  const Listener listener;
  EXPECT_THROW(Running({"kvmnet-no-such-program"}, Fd(), listener.fd), Error);
}

}  // namespace
}  // namespace kvmnet

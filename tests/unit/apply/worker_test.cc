// SPDX-License-Identifier: GPL-2.0-or-later
// What a worker is, apart from its work: it gets images here that are refused before an appliance.
#include "src/apply/worker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "src/apply/patch_image.h"
#include "src/support/error.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

WorkerTask task(std::function<std::string(const Outcome&)> render) {
  WorkerTask task;
  task.image = "/nowhere/disk.img";
  PatchRequest request;
  request.guest.mode = Mode::plan;
  request.guest.decide = to_patch(test::default_settings());
  task.job = [request](const std::string& image, const JobContext& context) {
    return patch_image(image, request, context);
  };
  task.render = std::move(render);
  return task;
}

// The messages up to the end of the stream.
std::vector<Message> messages(Worker& worker) {
  std::vector<Message> all;
  while (auto message = worker.receive()) all.push_back(std::move(*message));
  return all;
}

TEST(Worker, TellsPhasesThenTheResult) {
  Worker worker(task([](const Outcome& outcome) { return "error: " + outcome.error; }));
  const auto all = messages(worker);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].kind, Message::Kind::phase);
  EXPECT_EQ(static_cast<Phase>(all[0].number), Phase::open);
  EXPECT_EQ(all[1].kind, Message::Kind::result);
  EXPECT_EQ(static_cast<Status>(all[1].number), Status::failed);
  EXPECT_NE(all[1].text.find("/nowhere/disk.img"), std::string::npos) << all[1].text;
  EXPECT_EQ(worker.wait(), "exited with status 0");
}

TEST(Worker, TellsResultsOfAnySize) {
  // More than a pipe holds, and every byte value.
  std::string text;
  for (int i = 0; i < 1 << 20; ++i) text.push_back(static_cast<char>(i * 7));
  for (const std::string& sent : {text, std::string()}) {
    Worker worker(task([&sent](const Outcome&) { return sent; }));
    const auto all = messages(worker);
    ASSERT_FALSE(all.empty());
    EXPECT_EQ(all.back().kind, Message::Kind::result);
    EXPECT_EQ(all.back().text == sent, true);
  }
}

TEST(Worker, EndsWithoutAResultWhenItDies) {
  const struct {
    std::string (*render)(const Outcome&);
    const char* end;
  } table[] = {
      {[](const Outcome&) -> std::string { throw std::runtime_error("no text"); },
       "exited with status 1"},
      {[](const Outcome&) -> std::string { ::_exit(7); }, "exited with status 7"},
      {[](const Outcome&) -> std::string {
         ::raise(SIGKILL);
         return "";
       },
       "was killed by signal 9 (Killed)"},
  };
  for (const auto& row : table) {
    Worker worker(task(row.render));
    const auto all = messages(worker);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].kind, Message::Kind::phase);
    EXPECT_EQ(worker.wait(), row.end);
  }
}

TEST(Worker, IsAProcessOfItsOwnThatLeavesNoTraces) {
  Worker worker(task([](const Outcome&) {
    struct rlimit core {};
    ::getrlimit(RLIMIT_CORE, &core);
    sigset_t blocked;
    ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
    struct stat in {};
    ::fstat(STDIN_FILENO, &in);
    std::string text;
    if (::getpgrp() == ::getpid()) text += "leader ";
    if (core.rlim_max == 0) text += "no-core ";
    if (::umask(0) == 077) text += "private ";
    if (::sigismember(&blocked, SIGTERM) == 0) text += "unblocked ";
    if (S_ISCHR(in.st_mode)) text += "null";
    return text;
  }));
  const auto all = messages(worker);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().text, "leader no-core private unblocked null");
}

// Whether the process has ended within 5 s.
bool is_gone(pid_t pid) {
  for (int i = 0; i < 500; ++i) {
    if (::kill(pid, 0) != 0) return true;
    ::usleep(10'000);
  }
  return false;
}

TEST(Worker, IsKilledWithItsScope) {
  pid_t pid = 0;
  {
    Worker worker(task([](const Outcome&) -> std::string {
      while (true) ::pause();
    }));
    ASSERT_TRUE(worker.receive());  // the phase
    std::array<char, 32> children{};
    const Fd list =
        open_file("/proc/self/task/" + std::to_string(::getpid()) + "/children", O_RDONLY);
    ASSERT_GT(::read(list.get(), children.data(), children.size() - 1), 0);
    pid = static_cast<pid_t>(std::stol(children.data()));
  }
  EXPECT_TRUE(is_gone(pid));
}

TEST(Worker, LeavesNoProcessBehind) {
  adopt_orphans();
  pid_t left = 0;
  {
    // As a worker that dies while its appliance runs.
    Worker worker(task([](const Outcome&) {
      const pid_t child = ::fork();
      if (child == 0)
        while (true) ::pause();
      return std::to_string(child);
    }));
    std::optional<Message> last;
    while (auto message = worker.receive()) {
      last = std::move(message);
      if (last->kind == Message::Kind::result) break;
    }
    ASSERT_TRUE(last);
    left = static_cast<pid_t>(std::stol(last->text));
    worker.wait();
    EXPECT_EQ(::kill(left, 0), 0);
  }
  const bool gone = is_gone(left);
  if (!gone) ::kill(left, SIGKILL);
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/temp_dir.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace kvmnet {
namespace {

namespace fs = std::filesystem;

TEST(TempDir, IsThereForItsOwnerOnly) {
  const TempDir directory;
  EXPECT_TRUE(fs::is_directory(directory.path()));
  EXPECT_EQ(fs::status(directory.path()).permissions(), fs::perms::owner_all);
}

TEST(TempDir, GoesWithItsScopeAndAllThatIsInIt) {
  std::string path;
  {
    const TempDir directory;
    path = directory.path();
    fs::create_directory(path + "/sub");
    std::ofstream(path + "/sub/file") << "text";
    EXPECT_TRUE(fs::exists(path + "/sub/file"));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TempDir, DoesNotFollowLinksWhenItGoes) {
  const TempDir kept;
  std::ofstream(kept.path() + "/file") << "text";
  {
    const TempDir directory;
    fs::create_directory_symlink(kept.path(), directory.path() + "/link");
  }
  EXPECT_TRUE(fs::exists(kept.path() + "/file"));
}

TEST(TempDir, ItsNameLeadsThroughNoLink) {
  const TempDir place;
  const char* const before = ::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  fs::create_directory_symlink(place.path(), place.path() + "/link");
  ::setenv("TMPDIR", (place.path() + "/link").c_str(), 1);
  const TempDir directory;
  kept.empty() ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", kept.c_str(), 1);
  EXPECT_EQ(fs::path(directory.path()).parent_path(), fs::canonical(place.path()));
}

TEST(TempDir, NoTwoAreTheSame) {
  const TempDir one;
  const TempDir other;
  EXPECT_NE(one.path(), other.path());
}

// A process that has made a directory, written into it, and died.
std::string left_by_a_dead_process() {
  const TempDir place;  // tells where such directories are
  const fs::path base = fs::path(place.path()).parent_path();
  const Pipe pipe = make_pipe();
  const pid_t pid = ::fork();
  if (pid == 0) {
    const TempDir directory;
    std::ofstream(directory.path() + "/socket") << "text";
    write_whole(pipe.write_end, directory.path());
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(pid, nullptr, 0);
  std::array<char, 4096> path{};
  const ssize_t n = ::read(pipe.read_end.get(), path.data(), path.size());
  return {path.data(), static_cast<std::size_t>(n)};
}

TEST(TempDir, OfADeadProcessIsRemovedByTheNextOne) {
  const std::string left = left_by_a_dead_process();
  ASSERT_TRUE(fs::exists(left + "/socket"));
  const TempDir ours;
  const fs::path other = fs::path(left).parent_path() / "kvmnet.mine";
  fs::create_directory(other);
  remove_stale_temp_dirs();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(ours.path())) << "a process that lives needs it";
  EXPECT_TRUE(fs::remove(other)) << "not one of ours";
}

TEST(TempDir, OfALivingProcessIsLeftAloneAndNoLinkIsFollowed) {
  const TempDir kept;
  std::ofstream(kept.path() + "/file") << "text";
  const fs::path link = fs::path(kept.path()).parent_path() / "kvmnet.tmp.link01";
  fs::create_directory_symlink(kept.path(), link);
  const pid_t pid = ::fork();
  if (pid == 0) {
    remove_stale_temp_dirs();
    ::_exit(0);
  }
  ::waitpid(pid, nullptr, 0);
  EXPECT_TRUE(fs::exists(kept.path() + "/file"));
  EXPECT_TRUE(fs::remove(link));
}

}  // namespace
}  // namespace kvmnet

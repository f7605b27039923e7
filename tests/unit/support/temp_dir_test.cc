// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/temp_dir.h"

#include <gtest/gtest.h>

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

TEST(TempDir, NoTwoAreTheSame) {
  const TempDir one;
  const TempDir other;
  EXPECT_NE(one.path(), other.path());
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/replacement.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "src/support/error.h"
#include "tests/unit/disk/disk_files.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet {
namespace {

using hive::Bytes;
using test::read_file;
using Names = std::vector<std::string>;
using Naming = Replacement::Naming;

Fd memory_file(const Bytes& bytes) {
  Fd fd = make_memory_file("test");
  write_whole(fd, bytes);
  return fd;
}

class ReplacementTest : public test::DiskTest {
 protected:
  ReplacementTest() { test::write_file(file_, Bytes(100, std::byte{'o'})); }

  void replace(const Bytes& draft, const Bytes& content, Naming naming) {
    const Fd original = open_file(file_, O_RDONLY);
    const Fd begun = memory_file(draft);
    Replacement replacement(file_, original, naming);
    replacement.begin(begun);
    replacement.complete(memory_file(content));
    replacement.finish();
  }

  unsigned mode_of(const std::string& name) {
    struct stat st {};
    EXPECT_EQ(::stat(path(name).c_str(), &st), 0);
    return st.st_mode & 07777;
  }

  std::string file_ = path("file");
};

TEST_F(ReplacementTest, HasTheContentWhateverTheDraftWas) {
  Bytes content(5 * 4096 + 17, std::byte{'c'});
  content[4096] = std::byte{'d'};
  Bytes alike = content;
  alike[2 * 4096 + 1] = std::byte{'e'};
  alike.back() = std::byte{'f'};
  Bytes longer = content;
  longer.resize(content.size() + 9000, std::byte{'g'});
  const Bytes shorter(content.begin(), content.begin() + 4096 + 5);
  for (const Naming naming : {Naming::at_the_end, Naming::at_once})
    for (const Bytes& draft : {content, alike, longer, shorter, Bytes(), Bytes(4096)}) {
      replace(draft, content, naming);
      EXPECT_EQ(read_file(file_), content) << "after a draft of " << draft.size();
      EXPECT_EQ(names(), Names{"file"});
    }
}

// The process that edits the hive may still write to the draft while it is copied.
TEST_F(ReplacementTest, HasTheContentWhateverBecomesOfTheDraft) {
  const Fd original = open_file(file_, O_RDONLY);
  const Fd draft = memory_file(Bytes(8 << 20, std::byte{'d'}));
  Replacement replacement(file_, original);
  replacement.begin(draft);
  const Bytes content(8 << 20, std::byte{'c'});
  write_at(draft, 0, content);
  replacement.complete(memory_file(content));
  replacement.finish();
  EXPECT_EQ(read_file(file_), content);
}

TEST_F(ReplacementTest, LeavesNothingBehindUnlessItIsFinished) {
  const Bytes before = read_file(file_);
  const Fd original = open_file(file_, O_RDONLY);
  const Fd draft = memory_file(Bytes(1 << 20, std::byte{'d'}));
  for (const Naming naming : {Naming::at_the_end, Naming::at_once}) {
    std::optional<Replacement> replacement;
    replacement.emplace(file_, original, naming);
    replacement->begin(draft);
    // Where it has no name, nothing is left even of a run that is killed.
    EXPECT_EQ(names().size(), naming == Naming::at_once ? 2U : 1U);
    replacement.reset();
    EXPECT_EQ(names(), Names{"file"});
    EXPECT_EQ(read_file(file_), before);
  }
}

// A hive holds the guest's boot key, and a run can be killed.
TEST_F(ReplacementTest, IsPrivateUntilItIsFinished) {
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  const Fd original = open_file(file_, O_RDONLY);
  const Fd draft = memory_file(Bytes(10, std::byte{'d'}));
  Replacement replacement(file_, original, Naming::at_once);
  replacement.begin(draft);
  for (const std::string& name : names())
    EXPECT_EQ(mode_of(name), name == "file" ? 0644U : 0600U) << name;
  replacement.complete(draft);
  EXPECT_EQ(read_file(file_), Bytes(100, std::byte{'o'}));
  replacement.finish();
  EXPECT_EQ(mode_of("file"), 0644U);
}

TEST_F(ReplacementTest, KeepsExtendedAttributes) {
  // An access control list: the owner, user 1234, the group, the mask, and others.
  const std::string list(
      "\2\0\0\0"
      "\1\0\6\0\377\377\377\377"
      "\2\0\4\0\322\4\0\0"
      "\4\0\0\0\377\377\377\377"
      "\20\0\4\0\377\377\377\377"
      "\40\0\0\0\377\377\377\377",
      44);
  const char* const acl = "system.posix_acl_access";
  if (::setxattr(file_.c_str(), acl, list.data(), list.size(), 0) != 0)
    GTEST_SKIP() << "the file system has no access control lists";
  ASSERT_EQ(::setxattr(file_.c_str(), "user.note", "kept", 4, 0), 0);
  for (const Naming naming : {Naming::at_the_end, Naming::at_once}) {
    replace(Bytes(10), Bytes(10), naming);
    char value[100];
    EXPECT_EQ(::getxattr(file_.c_str(), "user.note", value, sizeof value), 4);
    const ssize_t size = ::getxattr(file_.c_str(), acl, value, sizeof value);
    EXPECT_EQ(std::string(value, static_cast<std::size_t>(std::max<ssize_t>(size, 0))), list);
    EXPECT_EQ(mode_of("file"), 0640U);  // the mask is where the group's bits are
  }
}

TEST_F(ReplacementTest, HasNeitherGroupNorAccessControlListOfItsDirectory) {
  const std::string directory = std::filesystem::path(file_).parent_path().string();
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(directory.c_str(), 0, 1234), 0);
    ASSERT_EQ(::chmod(directory.c_str(), 02755), 0);
  }
  ASSERT_EQ(::chmod(file_.c_str(), 0640), 0);
  // What new files there get: user 1234 may read them.
  const std::string list(
      "\2\0\0\0"
      "\1\0\7\0\377\377\377\377"
      "\2\0\4\0\322\4\0\0"
      "\4\0\5\0\377\377\377\377"
      "\20\0\7\0\377\377\377\377"
      "\40\0\5\0\377\377\377\377",
      44);
  if (::setxattr(directory.c_str(), "system.posix_acl_default", list.data(), list.size(), 0) != 0)
    GTEST_SKIP() << "the file system has no access control lists";
  struct stat before {};
  ASSERT_EQ(::stat(file_.c_str(), &before), 0);
  for (const Naming naming : {Naming::at_the_end, Naming::at_once}) {
    replace(Bytes(10), Bytes(10), naming);
    struct stat after {};
    ASSERT_EQ(::stat(file_.c_str(), &after), 0);
    EXPECT_EQ(after.st_gid, before.st_gid);
    EXPECT_EQ(mode_of("file"), 0640U);
    EXPECT_LT(::getxattr(file_.c_str(), "system.posix_acl_access", nullptr, 0), 0);
  }
}

TEST_F(ReplacementTest, FailsIfTheDraftCouldNotBeWritten) {
  const Fd not_readable = open_file(path("other"), O_WRONLY | O_CREAT, 0600);
  write_whole(not_readable, "text");
  const Fd original = open_file(file_, O_RDONLY);
  Replacement replacement(file_, original);
  replacement.begin(not_readable);
  EXPECT_THROW(replacement.complete(memory_file(Bytes(10))), Error);
  EXPECT_EQ(read_file(file_), Bytes(100, std::byte{'o'}));
}

}  // namespace
}  // namespace kvmnet

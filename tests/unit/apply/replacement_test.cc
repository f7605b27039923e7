// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/replacement.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <optional>

#include "src/support/error.h"
#include "tests/unit/disk/disk_files.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet {
namespace {

using hive::Bytes;
using test::read_file;
using Names = std::vector<std::string>;

Fd memory_file(const Bytes& bytes) {
  Fd fd = make_memory_file("test");
  write_whole(fd, bytes);
  return fd;
}

class ReplacementTest : public test::DiskTest {
 protected:
  ReplacementTest() {
    test::write_file(file_, Bytes(100, std::byte{'o'}));
    if (::stat(file_.c_str(), &st_) != 0) throw system_error(file_, errno);
  }

  void replace(const Bytes& draft, const Bytes& content) {
    const Fd begun = memory_file(draft);
    Replacement replacement(file_, st_);
    replacement.begin(begun);
    replacement.finish(memory_file(content));
  }

  std::string file_ = path("file");
  struct stat st_ {};
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
  for (const Bytes& draft : {content, alike, longer, shorter, Bytes(), Bytes(4096)}) {
    replace(draft, content);
    EXPECT_EQ(read_file(file_), content) << "after a draft of " << draft.size();
    EXPECT_EQ(names(), Names{"file"});
  }
}

TEST_F(ReplacementTest, LeavesNothingBehindUnlessItIsFinished) {
  const Bytes before = read_file(file_);
  const Fd draft = memory_file(Bytes(1 << 20, std::byte{'d'}));
  std::optional<Replacement> replacement;
  replacement.emplace(file_, st_);
  replacement->begin(draft);
  EXPECT_EQ(names().size(), 2U);
  replacement.reset();
  EXPECT_EQ(names(), Names{"file"});
  EXPECT_EQ(read_file(file_), before);
}

// A hive holds the guest's boot key, and a run can be killed.
TEST_F(ReplacementTest, IsPrivateUntilItIsFinished) {
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  ASSERT_EQ(::stat(file_.c_str(), &st_), 0);
  const Fd draft = memory_file(Bytes(10, std::byte{'d'}));
  Replacement replacement(file_, st_);
  replacement.begin(draft);
  for (const std::string& name : names()) {
    struct stat st {};
    ASSERT_EQ(::stat(path(name).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, name == "file" ? 0644U : 0600U) << name;
  }
  replacement.finish(draft);
  struct stat st {};
  ASSERT_EQ(::stat(file_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0644U);
}

TEST_F(ReplacementTest, FailsIfTheDraftCouldNotBeWritten) {
  const Fd not_readable = open_file(path("other"), O_WRONLY | O_CREAT, 0600);
  write_whole(not_readable, "text");
  Replacement replacement(file_, st_);
  replacement.begin(not_readable);
  EXPECT_THROW(replacement.finish(memory_file(Bytes(10))), Error);
  EXPECT_EQ(read_file(file_), Bytes(100, std::byte{'o'}));
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "src/support/error.h"
#include "src/support/temp_dir.h"

namespace kvmnet {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

std::string text_of(const Fd& fd) {
  const std::vector<std::byte> bytes = read_whole(fd);
  std::string text;
  for (const std::byte b : bytes) text.push_back(static_cast<char>(b));
  return text;
}

TEST(Fd, ClosesWithItsScope) {
  int number = -1;
  {
    const Fd fd = make_memory_file("test");
    number = fd.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(Fd, AMovedOneOwnsNothing) {
  Fd first = make_memory_file("test");
  const int number = first.get();
  Fd second = std::move(first);
  EXPECT_FALSE(first.is_open());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(second.get(), number);
  Fd third = make_memory_file("test");
  const int closed = third.get();
  third = std::move(second);
  EXPECT_FALSE(is_open(closed));
  EXPECT_EQ(third.get(), number);
  EXPECT_EQ(third.release(), number);
  EXPECT_FALSE(third.is_open());
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(CopyWhole, AppendsAllThatThereIs) {
  const TempDir directory;
  const Fd from = open_file(directory.path() + "/a", O_RDWR | O_CREAT, 0600);
  const std::string text(300'000, 'x');
  write_whole(from, text);  // its position is at its end
  const Fd to = make_memory_file("test");
  write_whole(to, "before ");
  copy_whole(from, to);
  EXPECT_EQ(text_of(to), "before " + text);
  copy_whole(make_memory_file("empty"), to);
  EXPECT_EQ(text_of(to).size(), text.size() + 7);
  const Fd file = open_file(directory.path() + "/b", O_RDWR | O_CREAT, 0600);
  copy_whole(to, file);
  EXPECT_EQ(text_of(file), text_of(to));
}

TEST(CopyWhole, SaysWhatFails) {
  const TempDir directory;
  const Fd from = open_file(directory.path() + "/a", O_RDWR | O_CREAT, 0600);
  write_whole(from, "text");
  const Fd to = open_file(directory.path() + "/a", O_RDONLY);
  EXPECT_THROW(copy_whole(from, to), Error);
}

TEST(Fd, WhatItOpensIsClosedOnExec) {
  const TempDir directory;
  const Fd file = open_file(directory.path() + "/a", O_RDWR | O_CREAT, 0600);
  const Fd memory = make_memory_file("test");
  EXPECT_EQ(::fcntl(file.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(memory.get(), F_GETFD), FD_CLOEXEC);
}

TEST(Fd, AFileThatCannotBeOpenedIsNamedWithTheReason) {
  const TempDir directory;
  const std::string path = directory.path() + "/missing";
  try {
    open_file(path, O_RDONLY);
    ADD_FAILURE() << "opened";
  } catch (const Error& e) {
    EXPECT_EQ(e.what(), path + ": No such file or directory");
  }
}

TEST(Fd, ReadsWholeWhereverThePositionIs) {
  const Fd fd = make_memory_file("test");
  EXPECT_EQ(text_of(fd), "");
  std::string text(300000, 'a');
  text += "end";
  write_whole(fd, text);
  EXPECT_EQ(text_of(fd), text);
  EXPECT_EQ(text_of(fd), text);
}

TEST(Fd, AFailingReadOrWriteIsAnError) {
  const TempDir directory;
  const Fd read_only = open_file(directory.path(), O_RDONLY | O_DIRECTORY);
  EXPECT_THROW(write_whole(read_only, "a"), Error);
  EXPECT_THROW(read_whole(read_only), Error);
  EXPECT_THROW(read_whole(Fd()), Error);
}

TEST(Fd, ProcPathOpensTheSameFile) {
  const Fd fd = make_memory_file("test");
  write_whole(fd, "through proc");
  std::ifstream file(proc_path(fd));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "through proc");
}

TEST(Fd, SyncsFilesAndTheDirectoryAroundThem) {
  const TempDir directory;
  const std::string path = directory.path() + "/a";
  EXPECT_NO_THROW(sync_file(open_file(path, O_RDWR | O_CREAT, 0600), path));
  EXPECT_NO_THROW(sync_directory_of(path));
  EXPECT_NO_THROW(sync_directory_of("a-name-without-a-directory"));
  EXPECT_THROW(sync_directory_of(directory.path() + "/missing/a"), Error);
  EXPECT_THROW(sync_file(Fd(), path), Error);
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/memory_view.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string_view>

#include "src/support/error.h"

namespace kvmnet {
namespace {

std::string_view text_of(const MemoryView& view) {
  return {reinterpret_cast<const char*>(view.bytes().data()), view.bytes().size()};
}

TEST(MemoryView, ShowsTheFileAlsoWhenItsDescriptorIsClosed) {
  Fd file = make_memory_file("test");
  write_whole(file, "content");
  MemoryView view(file);
  file.reset();
  EXPECT_EQ(text_of(view), "content");
  MemoryView moved;
  moved = std::move(view);
  EXPECT_EQ(text_of(moved), "content");
}

TEST(MemoryView, OfAnEmptyFileIsEmpty) {
  EXPECT_TRUE(MemoryView(make_memory_file("test")).bytes().empty());
}

TEST(MemoryView, KeepsTheFileFromBecomingShorterAndFromNothingElse) {
  const Fd file = make_memory_file("test");
  write_whole(file, "content");
  const MemoryView view(file);
  EXPECT_EQ(::ftruncate(file.get(), 3), -1);
  EXPECT_EQ(::ftruncate(file.get(), 9000), 0);
  EXPECT_EQ(text_of(MemoryView(file)).size(), 9000U);
}

TEST(MemoryView, IsRefusedOfWhatCanBecomeShorter) {
  EXPECT_THROW(MemoryView(open_file("/proc/self/exe", O_RDONLY)), Error);
}

}  // namespace
}  // namespace kvmnet

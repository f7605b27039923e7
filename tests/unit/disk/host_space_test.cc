// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/host_space.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "src/support/error.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using HostSpace = test::DiskTest;
constexpr std::uint64_t too_much = std::numeric_limits<std::uint64_t>::max() / 2;

TEST_F(HostSpace, OfWhatIsNotThereIsAnError) {
  EXPECT_THROW(free_space(path("nothing")), Error);
  EXPECT_THROW(check_space(path("nothing"), 0, "x"), Error);
  EXPECT_THROW(free_space(""), Error);
}

TEST_F(HostSpace, IsRefusedWhereTooLittleIsFree) {
  const auto refusal = check_space(path("."), too_much, "the changes");
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->reason, Reason::no_host_space);
  EXPECT_EQ(refusal->message.find(path(".") + ": "), 0U) << refusal->message;
  EXPECT_NE(refusal->message.find(" MiB free, 8796093022208 MiB needed for the changes"),
            std::string::npos)
      << refusal->message;
  EXPECT_FALSE(check_space(path("."), 1, "the changes").has_value());
}

// /proc is a file system that never has room.
TEST_F(HostSpace, IsEnoughToTheByte) {
  ASSERT_EQ(free_space("/proc"), 0U);
  EXPECT_FALSE(check_space("/proc", 0, "x").has_value());
  const std::pair<std::uint64_t, const char*> table[] = {
      {1, "/proc: 0 MiB free, 1 MiB needed for x"},
      {1 << 20, "/proc: 0 MiB free, 1 MiB needed for x"},
      {(1 << 20) + 1, "/proc: 0 MiB free, 2 MiB needed for x"},
      {std::numeric_limits<std::uint64_t>::max(),
       "/proc: 0 MiB free, 17592186044416 MiB needed for x"},
  };
  for (const auto& [needed, message] : table) {
    const auto refusal = check_space("/proc", needed, "x");
    ASSERT_TRUE(refusal.has_value()) << needed;
    EXPECT_EQ(refusal->message, message);
  }
}

TEST_F(HostSpace, IsWhatAnOrdinaryUserCanUseOfTheFileSystem) {
  const std::string image = file("disk", "x");
  // Others write to the file system meanwhile.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const std::uintmax_t before = std::filesystem::space(image).available;
    const std::uint64_t free = free_space(image);
    if (std::filesystem::space(image).available != before) continue;
    EXPECT_EQ(free, before);
    return;
  }
  FAIL() << "the free space changes all the time";
}

}  // namespace
}  // namespace kvmnet::disk

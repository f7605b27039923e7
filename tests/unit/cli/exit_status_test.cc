// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/exit_status.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace kvmnet::cli {
namespace {

int number(ExitStatus status) {
  return static_cast<int>(status);
}

TEST(ExitStatus, EachStatusHasItsNumber) {
  EXPECT_EQ(number(exit_status(Status::patched, false)), 0);
  EXPECT_EQ(number(exit_status(Status::unchanged, false)), 0);
  EXPECT_EQ(number(exit_status(Status::pending, false)), 0);
  EXPECT_EQ(number(exit_status(Status::failed, false)), 1);
  EXPECT_EQ(number(exit_status(Status::refused, false)), 3);
}

TEST(ExitStatus, OnlyPendingDependsOnTheOption) {
  EXPECT_EQ(number(exit_status(Status::patched, true)), 0);
  EXPECT_EQ(number(exit_status(Status::unchanged, true)), 0);
  EXPECT_EQ(number(exit_status(Status::pending, true)), 4);
  EXPECT_EQ(number(exit_status(Status::failed, true)), 1);
  EXPECT_EQ(number(exit_status(Status::refused, true)), 3);
}

TEST(ExitStatus, OfSeveralTheMostSeriousCounts) {
  constexpr std::array order = {1, 3, 4, 0};
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t j = 0; j < order.size(); ++j)
      EXPECT_EQ(
          number(worse(static_cast<ExitStatus>(order.at(i)), static_cast<ExitStatus>(order.at(j)))),
          order.at(std::min(i, j)))
          << order.at(i) << " and " << order.at(j);
}

}  // namespace
}  // namespace kvmnet::cli

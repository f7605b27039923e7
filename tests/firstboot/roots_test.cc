// SPDX-License-Identifier: GPL-2.0-or-later
// Guests whose Windows is not C:\Windows. Wine's directory is C:\windows for good, and each process
// gets that as %SystemRoot%; so it is not Wine's service manager that expands the service's command
// line here, but the test, and the script is given the variable by another one that calls it.
#include <gtest/gtest.h>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;

class FirstBootIn : public testing::TestWithParam<const char*> {};

TEST_P(FirstBootIn, ThatDirectoryRunsAllAndRemovesItself) {
  Machine machine(patch(ten), "10.0.19045 client", GetParam());
  machine.boot();
  const Lines sets = {"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal"};
  EXPECT_EQ(machine.sets(), sets);
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_FALSE(machine.has_service());
  EXPECT_EQ(machine.files(), (Lines{"firstboot-before.txt", "firstboot.log", "firstboot.result"}));
}

INSTANTIATE_TEST_SUITE_P(Root, FirstBootIn,
                         testing::Values(R"(C:\WINDOWS)", R"(D:\Windows)", R"(C:\WINNT)"));

}  // namespace
}  // namespace kvmnet::test

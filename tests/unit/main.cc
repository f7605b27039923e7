// SPDX-License-Identifier: GPL-2.0-or-later
// gtest_main, and the child of the tests of the wall.
#include <gtest/gtest.h>

#include "tests/unit/wall/operations.h"

int main(int argc, char** argv) {
  kvmnet::wall::run_as_child(argc, argv, kvmnet::test::wall_child());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

// SPDX-License-Identifier: GPL-2.0-or-later
// gtest_main, and the process in which kvmnet parses hives.
#include <gtest/gtest.h>

#include "src/apply/hive_child.h"
#include "src/wall/wall.h"

int main(int argc, char** argv) {
  kvmnet::wall::run_as_child(argc, argv, kvmnet::hive_child());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

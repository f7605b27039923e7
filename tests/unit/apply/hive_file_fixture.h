// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of bare hive files share.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/apply/hive_file.h"
#include "tests/unit/apply/windows_guest.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::test {

inline Outcome patch_hive(const std::string& path, Mode mode = Mode::patch,
                          WindowsVersion version = {6, 1, 0}) {
  return patch_hive_file(path, {mode, version, default_settings()});
}

class HiveFileTest : public DiskTest {
 protected:
  std::string fixture(const std::string& name, const std::string& as = "SYSTEM") {
    std::string where = path(as);
    write_file(where, fixture_hive(name));
    return where;
  }
  // Patching must refuse with `code`, and touch nothing.
  void expect_refused(const std::string& hive, const char* expected,
                      WindowsVersion version = {6, 1, 0}) {
    const hive::Bytes before = read_file(hive);
    const Outcome outcome = patch_hive(hive, Mode::patch, version);
    EXPECT_EQ(outcome.status, Status::refused) << outcome.error;
    ASSERT_TRUE(outcome.refusal);
    EXPECT_EQ(code(outcome.refusal->reason), expected);
    EXPECT_EQ(read_file(hive), before);
    EXPECT_EQ(names(), std::vector<std::string>{"SYSTEM"});
  }
};

}  // namespace kvmnet::test

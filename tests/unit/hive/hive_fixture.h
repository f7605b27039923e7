// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of hive::Hive share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "hive/hive.h"
#include "src/support/temp_dir.h"
#include "tests/unit/hive/hive_files.h"

namespace kvmnet::test {

// A directory with hive files for each test.
class HiveTest : public testing::Test {
 protected:
  std::string fixture(const std::string& name) const {
    return fixture_file(directory_.path(), name);
  }
  std::string file(const Bytes& bytes) const {
    std::string path = directory_.path() + "/hive";
    write_file(path, bytes);
    return path;
  }
  const std::string& directory() const { return directory_.path(); }

 private:
  const TempDir directory_;
};

// Where `text` is in `bytes`.
inline Bytes::iterator find_text(Bytes& bytes, std::string_view text) {
  const auto wanted = std::as_bytes(std::span(text));
  return std::search(bytes.begin(), bytes.end(), wanted.begin(), wanted.end());
}

}  // namespace kvmnet::test

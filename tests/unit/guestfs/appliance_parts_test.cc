// SPDX-License-Identifier: GPL-2.0-or-later
#include "guestfs/appliance_parts.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "src/support/temp_dir.h"

namespace kvmnet::guestfs {
namespace {

namespace fs = std::filesystem;

// The file system of a host on which an appliance starts.
class AppliancePartsTest : public testing::Test {
 protected:
  AppliancePartsTest() {
    for (const char* program : {"usr/bin/supermin", "usr/bin/qemu-system-x86_64"}) {
      make(program);
      fs::permissions(root() / program, fs::perms::owner_all);
    }
    make("boot/vmlinuz-6.1.0-1-amd64");
  }
  void make(const std::string& name) const {
    fs::create_directories((root() / name).parent_path());
    std::ofstream(root() / name) << "x";
  }
  fs::path root() const { return host_.path(); }
  std::string missing() const { return missing_parts(host_.path()); }

 private:
  const TempDir host_;
};

TEST_F(AppliancePartsTest, NothingIsSaidOfWhatIsThere) {
  EXPECT_EQ(missing(), "");
}

TEST_F(AppliancePartsTest, EachIsNamedWithItsPackage) {
  fs::remove(root() / "usr/bin/supermin");
  EXPECT_EQ(missing(), "supermin (package supermin)");
  fs::remove(root() / "boot/vmlinuz-6.1.0-1-amd64");
  make("boot/config-6.1.0-1-amd64");
  fs::remove_all(root() / "usr");
  EXPECT_EQ(missing(),
            "supermin (package supermin), a kernel in /boot that this user can read (package "
            "linux-image-amd64), QEMU (package qemu-system-x86)");
}

TEST_F(AppliancePartsTest, WhatCannotBeRunIsNotThere) {
  fs::permissions(root() / "usr/bin/qemu-system-x86_64", fs::perms::owner_read);
  EXPECT_EQ(missing(), "QEMU (package qemu-system-x86)");
}

}  // namespace
}  // namespace kvmnet::guestfs

// SPDX-License-Identifier: GPL-2.0-or-later
// Disk images for tests, and processes that use them.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/disk/image_info.h"
#include "src/support/temp_dir.h"

namespace kvmnet::test {

// A directory for images. Every user may pass through it, none but us may write to it.
class DiskTest : public testing::Test {
 protected:
  DiskTest();
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  // A file of that name; returns its path.
  std::string file(const std::string& name, std::string_view content) const;
  // An image of 1 MiB that qemu-img makes, with `pattern` in the second half.
  std::string image(const std::string& name, const std::string& format) const;
  // The names in the directory, sorted.
  std::vector<std::string> names() const;

 private:
  const TempDir directory_;
};

// The header of a qcow2 image, field by field; nothing of it need make sense.
struct Qcow2 {
  std::uint32_t version = 3;
  std::uint64_t backing_offset = 0;
  std::uint32_t backing_size = 0;
  std::uint32_t encryption = 0;
  std::uint64_t incompatible = 0;
  std::string backing = {};  // stands at 512
  std::optional<std::string> backing_format = {};

  // One that names its backing file as it should be done.
  static Qcow2 over(std::string backing, std::optional<std::string> format = "qcow2");
  std::string bytes() const;
};

// A header extension with the format of the backing file.
std::string format_extension(const std::string& format);

std::string text_of(const std::string& path);
// With its format named, as it is. Throws if it is refused.
disk::ImageInfo identified(const std::string& path);

// Runs `child` in a process of its own, as the user nobody where we are root; its exit status.
int in_child_of_nobody(const std::function<int()>& child);

// A process that has done `prepare` or runs a program, and ends with its scope.
class Holder {
 public:
  explicit Holder(const std::function<void()>& prepare);
  explicit Holder(std::vector<std::string> program);
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

}  // namespace kvmnet::test

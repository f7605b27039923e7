// SPDX-License-Identifier: GPL-2.0-or-later
// Commits that are interrupted, for the tests of commit() and recover().
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "src/disk/image_lock.h"
#include "src/disk/recover.h"
#include "src/support/temp_dir.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {

using Names = std::vector<std::string>;

ImageLock locked(const std::string& path);

// 4 KiB of 0x22 at the start of the disk, and one sector of 0x33 in the middle.
void write_changes(const std::string& path, const std::string& format);
bool is_before(const std::string& path, const std::string& format);
bool is_after(const std::string& path, const std::string& format);

// Programs of that name do `script` for "commit", and what they always do otherwise.
class FakeQemuImg {
 public:
  explicit FakeQemuImg(const std::string& script);
  FakeQemuImg(const FakeQemuImg&) = delete;
  FakeQemuImg& operator=(const FakeQemuImg&) = delete;
  ~FakeQemuImg();

 private:
  const TempDir bin_;
  const std::string search_;
};

class CommitTest : public test::DiskTest {
 protected:
  // A patch that has come to its commit.
  using Changes = std::function<void(const std::string& overlay)>;
  static void change(const std::string& overlay) { write_changes(overlay, "qcow2"); }
  static void commit_to(const std::string& image, const Changes& changes = change);
  // The same in a process that dies when qemu-img has done `script`.
  static void die_committing(const std::string& image, const std::string& script,
                             const Changes& changes = change);
  // Journal `writing`, and one of the two changes in the image.
  std::string half_written(const std::string& name = "disk", const std::string& format = "raw");
  // Journal `ready`: hidden, or not even that.
  std::string prepared(bool hidden);
  // The image, and what is beside it, as copies with the same times in another directory, and here
  // no more. Returns its new path.
  std::string move_away(const std::string& image);

  // The reason and the message.
  static std::string refusal_of(const std::string& path,
                                Interruption interruption = Interruption::keep);
  void expect_conflict(const std::string& path, const std::string& message);
};

}  // namespace kvmnet::disk

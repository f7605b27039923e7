// SPDX-License-Identifier: GPL-2.0-or-later
// The steps of one commit, from the journal on, as commit() and recover() take them.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "src/disk/commit.h"
#include "src/disk/image_lock.h"
#include "src/disk/journal.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

// As far as a rename leaves it: that changes the time of the last change of state. Neither is the
// device compared: a file system may have another number after a reboot.
bool is_unchanged(const Identity& now, const Identity& before);

Refusal changed_meanwhile(const std::string& image);

// The files are named by the image's path.
class Commit {
 public:
  // `qemu`: from prepare_commit(); null: write() prepares it.
  Commit(std::string image, Journal journal, const ImageLock& lock,
         const BeforeWriting& before_writing, std::unique_ptr<QemuCommit> qemu = nullptr)
      : image_(std::move(image)),
        journal_(std::move(journal)),
        lock_(lock),
        before_writing_(before_writing),
        qemu_(std::move(qemu)) {}

  // From `ready`, the image under its own name: away with it, write, and back. Returns warnings.
  std::vector<std::string> run();
  // Also from `ready`, and from `writing` and `restoring` once the tables have been put back, with
  // the image under its other name.
  std::vector<std::string> write();
  // From `done`. `may_leak`: the image may have lost space, see give_back_leaks(). Returns
  // warnings.
  std::vector<std::string> finish(bool may_leak = true);
  // When nothing has been written. The guest may be started as soon as the image has its name back:
  // from then on nothing may finish this commit without a look at the image.
  void roll_back();

  // The image's other name, so that nobody can start the guest. Refused, and it keeps its name, if
  // somebody has just begun to use it, or has changed it.
  void hide_untouched();
  // From `writing` and `restoring`, before write(): a qcow2 image's tables as they were. What a
  // commit that was interrupted or met an error of the disk has made of them does not matter then.
  // QEMU must not open the image before its header has been judged: the journal lay beside it.
  // Refused if somebody has just begun to use it by its other name.
  void put_back_tables();

 private:
  const Journal::Content& content() const { return *journal_.content(); }
  void hide();
  void check_untouched() const;
  bool is_as_before(const std::string& path) const;
  [[noreturn]] void fail_half_written(const std::exception& e) const;
  void show();
  void drop();

  std::string image_;
  Journal journal_;
  const ImageLock& lock_;
  const BeforeWriting& before_writing_;
  std::unique_ptr<QemuCommit> qemu_;
};

}  // namespace kvmnet::disk

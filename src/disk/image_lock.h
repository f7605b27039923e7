// SPDX-License-Identifier: GPL-2.0-or-later
// Who else uses an image file, and our own claim on it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "src/support/fd.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

enum class Use {
  read,   // `plan`: nobody may be writing to the image
  write,  // `patch`: nobody may be using it, not even as a backing file
};

// A lock on the image's inode that other runs of kvmnet see, released with its scope. QEMU does not
// see it, and QEMU's own locks do not keep a second overlay away: both are needed.
class ImageLock {
 public:
  // Refused at once, naming the holder where it can be found, if the image is in use. Throws Error
  // if there is no such file, or not for this user.
  static std::variant<ImageLock, Refusal> take(const std::string& path, Use use);

  // Whether `path` is the locked file.
  bool is_of(const std::string& path) const;
  // Refused if somebody has begun to use the image in a way that take() would have refused.
  std::optional<Refusal> check_unused() const;

 private:
  ImageLock(Fd fd, std::string path, Use use)
      : fd_(std::move(fd)), path_(std::move(path)), use_(use) {}
  Fd fd_;
  std::string path_;
  Use use_;
};

}  // namespace kvmnet::disk

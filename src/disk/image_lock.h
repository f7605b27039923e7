// SPDX-License-Identifier: GPL-2.0-or-later
// Who else uses an image file, and our own claim on it.
#pragma once

#include <string>
#include <variant>

#include "src/disk/image_info.h"
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
  // Refused at once, naming the holder where it can be found, if the image is in use.
  static std::variant<ImageLock, Refusal> take(const ImageInfo& image, Use use);

 private:
  explicit ImageLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace kvmnet::disk

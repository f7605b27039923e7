// SPDX-License-Identifier: GPL-2.0-or-later
// A temporary qcow2 overlay over an image: all work is done on it, and the image is written only
// when commit() (src/disk/commit.h) gets it.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>

#include "src/disk/image_check.h"
#include "src/disk/image_info.h"
#include "src/support/fd.h"

namespace kvmnet::disk {

// How one is made.
struct OverlayMaking {
  // Called with its path while the overlay is made: the file is there, but not ready.
  std::function<void(const std::string& path)> meanwhile = {};
  // Whether the image is still to be checked when the overlay is there: see begin_check().
  bool check_later = false;
};

class Overlay {
 public:
  // The overlay that patch uses: beside the image, so that it is on the same file system. The
  // caller holds the image's lock, and has recovered what a dead run had left. Its mode is 0600 and
  // its owner we: it will hold the guest's boot key, and who owns it could have QEMU led elsewhere.
  // Throws Error, and Refused if the image is damaged (src/disk/image_check.h).
  static Overlay beside(const ImageInfo& image, const OverlayMaking& making = {});
  // An overlay in `directory`, to be thrown away.
  static Overlay in(const std::string& directory, const ImageInfo& image,
                    const OverlayMaking& making = {});

  Overlay(Overlay&& other) noexcept;
  Overlay& operator=(Overlay&&) = delete;
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;
  ~Overlay();  // removes the file, unless it is to be kept

  const std::string& path() const { return path_; }
  // Brings to the host's disk what was written to it, by whomever, since it was made. Throws Error
  // also where some of that failed before.
  void sync() const;
  void keep() { kept_ = true; }
  // Whether it is this file, whatever its name leads to by now.
  bool is(const struct stat& file) const;
  // Lets the check of the image begin, where it has not.
  void begin_check() const { check_->begin(); }
  // Waits for the check of the image. Throws Refused if it is damaged, and Error. Nothing that was
  // read of a damaged image counts.
  void require_sound() const { check_->finish(); }
  // Waits and throws likewise. Whether the image has compressed clusters. What QEMU frees of them
  // when they are overwritten it uses again at once, before the image's tables say so on disk.
  bool image_is_compressed() const { return check_->finds_compressed(); }

 private:
  Overlay(std::string path, const ImageInfo& image, const OverlayMaking& making);
  std::string path_;
  std::unique_ptr<ImageCheck> check_;
  Fd file_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool kept_ = false;
};

}  // namespace kvmnet::disk

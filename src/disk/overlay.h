// SPDX-License-Identifier: GPL-2.0-or-later
// A temporary qcow2 overlay over an image: all work is done on it, and the image is written only
// by commit().
#pragma once

#include <optional>
#include <string>

#include "src/disk/image_info.h"

namespace kvmnet::disk {

class Overlay {
 public:
  // The overlay that patch uses: beside the image, so that it is on the same file system. The
  // caller holds the image's lock, so one that is already there is left from a run that died, and
  // is replaced. Its mode is 0600 and its owner the image's: it will hold the guest's boot key.
  // Throws Error, also if the image is damaged (`qemu-img check`).
  static Overlay beside(const ImageInfo& image);
  // An overlay in `directory`, to be thrown away.
  static Overlay in(const std::string& directory, const ImageInfo& image);

  Overlay(Overlay&& other) noexcept;
  Overlay& operator=(Overlay&&) = delete;
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;
  ~Overlay();  // removes the file

  const std::string& path() const { return path_; }

  // Brings the overlay to disk, writes its changes into the image and brings that to disk. Throws
  // Error if the image is not as it was when identified. If it fails once writing has begun, the
  // image may be half written: the overlay, which has everything, is then kept as
  // uncommitted_path(), and the error says so.
  void commit();

 private:
  Overlay(std::string path, const ImageInfo& image);
  std::string path_;
  ImageInfo image_;
};

// Where an overlay is while it is committed, and stays if that does not end well.
std::string uncommitted_path(const ImageInfo& image);
// Refused: an image whose last commit did not end well.
std::optional<Refusal> check_committed(const ImageInfo& image);

// Removes the overlay that a dead run left beside the image, if there is one.
void remove_leftover_overlay(const ImageInfo& image);

}  // namespace kvmnet::disk

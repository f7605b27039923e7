// SPDX-License-Identifier: GPL-2.0-or-later
// Whether an image is undamaged, as `qemu-img check` finds it. QEMU reads clusters behind the end
// of a truncated qcow2 as zeros, without a word, and writing to an image with wrong reference
// counts overwrites data.
#pragma once

#include <optional>
#include <string>

#include "src/disk/image_info.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {

// Of what it prints, for a message of one line: the first error, else the first line.
std::string first_words(const std::string& output);

class ImageCheck {
 public:
  // Throws Refused if the header says that the image is damaged, and Error.
  explicit ImageCheck(const ImageInfo& image);

  // It goes on by itself. Does nothing where it has been begun, and of formats without tables.
  void begin();
  // Begins and waits for it. Throws Refused if the image is damaged, and Error; each time.
  void finish() { finds_compressed(); }
  // The same; whether clusters are compressed.
  bool finds_compressed();

 private:
  const std::string path_;
  const bool has_tables_;
  std::optional<Running> running_;
  std::optional<Finished> report_;  // when it has ended
};

}  // namespace kvmnet::disk

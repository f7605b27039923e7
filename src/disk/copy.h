// SPDX-License-Identifier: GPL-2.0-or-later
// A patched copy of an image that is not to be patched in place: it has another name until it is
// complete.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <variant>

#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/support/fd.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

class Copy {
 public:
  // Copies `image`, which the caller has locked, to OUTPUT.kvmnet-output: the same format, the same
  // backing file, sparse, sharing the image's blocks where the file system can. It belongs to us
  // and nobody else can read it (0600). A copy of that name that a dead run left is replaced; one
  // that another kvmnet is at work on is refused. Throws UsageError if there is an OUTPUT already,
  // Refused if the disk has no room for it, and Error, also if the image has changed meanwhile;
  // nothing is left then.
  static std::variant<Copy, Refusal> make(const ImageInfo& image, const std::string& output,
                                          mode_t umask);

  Copy(Copy&&) noexcept = default;
  Copy& operator=(Copy&&) = delete;
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;
  ~Copy();  // removes the file, unless it is kept

  // The copy as it was when it was made. It is locked as ImageLock::take(..., Use::write) does, for
  // as long as this object lives.
  const ImageInfo& info() const { return info_; }

  // Brings the copy to disk, gives it the mode that the image has less the umask (a block device's
  // copy: 0600) and renames it to OUTPUT. Throws Error, also if there is an OUTPUT by now: nothing
  // is ever replaced.
  void keep();

 private:
  Copy(const ImageInfo& image, std::string output, mode_t umask);
  std::optional<Refusal> claim();
  void fill(const ImageInfo& image);
  bool is_ours() const;  // whether the file is still what we made, under its first name

  std::string output_;
  std::string path_;
  mode_t mode_;
  Fd file_;
  std::optional<ImageLock> lock_;
  ImageInfo info_;
};

// Removes the copy that a dead run left for `output`, with its overlay, if there is one. Refused if
// a run that lives is at work on it. Throws Error.
std::optional<Refusal> remove_leftover_copy(const std::string& output);

}  // namespace kvmnet::disk

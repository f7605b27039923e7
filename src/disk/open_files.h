// SPDX-License-Identifier: GPL-2.0-or-later
// What a program that no wall is around has really opened.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "src/disk/image_info.h"
#include "src/disk/overlay.h"

namespace kvmnet::disk {

// For a QEMU that was started on an overlay where others may put another file, or a link, in the
// place of what is opened by name. Of regular files and disks it may have open: to write, the
// overlay; to read, the overlay, the image and its backing files; and what lies in `own`,
// directories that nobody else may write to. Throws Refused (image-in-use) for anything else, or if
// the overlay is not among them.
void check_open_files(pid_t process, const Overlay& overlay, const ImageInfo& image,
                      const std::vector<std::string>& own);

}  // namespace kvmnet::disk

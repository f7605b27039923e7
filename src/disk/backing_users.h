// SPDX-License-Identifier: GPL-2.0-or-later
// Who needs an image as it is: the images that are based on it. Writing to it damages them, and no
// lock tells while they are shut down.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/disk/image_info.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

// Refused: an image that is in the chain of backing files, up to 64 below the top, of an image of
// its own directory or of one of `others`, which are paths as the user gave them. What is missing,
// unreadable or damaged is passed over, and so are kvmnet's own files beside images: nothing can be
// told from them.
std::optional<Refusal> check_backing_users(const ImageInfo& image,
                                           const std::vector<std::string>& others);

}  // namespace kvmnet::disk

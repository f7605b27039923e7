// SPDX-License-Identifier: GPL-2.0-or-later
// Which files QEMU's programs can open while they work for us, whatever images name (Landlock).
#pragma once

#include <span>
#include <string>

#include "src/disk/image_info.h"
#include "src/support/fd.h"
#include "src/support/landlock.h"

namespace kvmnet::disk {

// `files`, and what the programs need to run. Throws Error where the kernel has no Landlock.
Fd confine_to(std::span<const landlock::Rule> files);

// For a program that root has work on an image to which, or to whose directory, somebody else may
// write: a header that is looked at can be another one when QEMU reads it, and lead root's QEMU to
// any file. It gets the image, the overlay (empty: none) and the backing files that the header
// names now, as far as they are safe. A closed descriptor: nobody else may write there, we are not
// root, or the kernel has no Landlock; then QEMU is not confined. Throws Error.
Fd confine_to_image(const std::string& image, Format format, const std::string& overlay);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// Which files QEMU's programs can open while they work for us, whatever images name (Landlock).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "src/disk/image_info.h"
#include "src/support/fd.h"
#include "src/support/landlock.h"

namespace kvmnet::disk {

// `files`, and what the programs need to run. Throws Error where the kernel has no Landlock.
Fd confine_to(std::span<const landlock::Rule> files);

// The rule for a file of the user's. `path` is its real one: where somebody has put a link there
// since, it is an Error.
landlock::Rule users_file(const std::string& path, landlock::Access access);

// Whether somebody else than us and root may write to the image, to one of its backing files, or to
// a directory on the way to one: what was looked at can be another file, or have another header,
// when QEMU opens it.
bool others_may_exchange(const std::string& image, Format format);

// For a program that works on such an image: without a wall it could be led to any file that we may
// read or write. It gets the image, the overlay (empty: none) and the backing files that the header
// names now, as far as they are safe. A closed descriptor: nobody else may write there, or the
// kernel has no Landlock; then QEMU is not confined. `more`: what else it gets. Throws Error.
Fd confine_to_image(const std::string& image, Format format, const std::string& overlay,
                    const std::vector<landlock::Rule>& more = {});

}  // namespace kvmnet::disk

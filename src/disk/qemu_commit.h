// SPDX-License-Identifier: GPL-2.0-or-later
// What QEMU does in a commit: it writes what an overlay holds into the image's file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/disk/image_info.h"
#include "src/disk/overlay.h"

namespace kvmnet::disk {

// For --image-opts: every driver and file by name. QEMU probes nothing, and the overlay's own word
// for its backing file, which is wrong once the image has been renamed, does not count.
std::string image_options(const std::string& path, Format format);
std::string overlay_options(const std::string& overlay, const std::string& image, Format format);

// Commits the overlay into the file `path` and brings that to disk. Throws Error; the file may be
// half written then, and the tables of a qcow2 file may be such that they cannot even be repaired:
// QEMU goes on after a failed flush. Returns whether space of it was lost, see give_back_leaks().
bool write_into(const std::string& overlay, const std::string& path, Format format);

// Gives back what QEMU has lost of a qcow2 file's space: also a commit that nothing disturbs can
// lose clusters (seen with qemu-img 7.2.22 while the disk is busy with other things). Returns
// warnings where space stays lost; throws Error where damage does. `image`: the file's name for
// them.
std::vector<std::string> give_back_leaks(const std::string& path, Format format,
                                         const std::string& image);

// What `qemu-img check` says of errors in a qcow2 file, where they are worse than wasted space or
// such that it cannot go on. Throws Error if it could not look.
std::optional<std::string> find_damage(const std::string& path);

}  // namespace kvmnet::disk

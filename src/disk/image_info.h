// SPDX-License-Identifier: GPL-2.0-or-later
// What an image file is, told from its own bytes before anything else opens it: QEMU follows the
// names that a qcow2 header gives it, to any file of the host.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/support/refusal.h"

namespace kvmnet::disk {

enum class Format { qcow2, raw };
std::string_view to_string(Format format);  // QEMU's name of it

// Tells whether a file is still the one, and unchanged.
struct Identity {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;  // of a block device, too
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  bool operator==(const Identity&) const = default;
};
// Throws Error if the file cannot be asked.
Identity identity_of(const std::string& path);

struct ImageInfo {
  std::string path;  // the file itself: absolute, without symbolic links
  Format format = Format::raw;
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;
  nlink_t links = 1;  // names that the file has
  bool is_block_device = false;
  Identity identity;
  std::vector<std::string> backing_files = {};  // paths, each the one of the one before
};

enum class BlockDevices { refuse, allow };

// `format`: what the user says it is ("qcow2", "raw"), checked against the file. No known magic
// means raw. Refused: other image formats, external data files, encryption, backing files that are
// not regular files reached by a path or, for root, that the image's owner may not read; what is no
// regular file, or else a block device where they are allowed. Throws Error if there is no such
// file, it cannot be read, or its header is damaged; UsageError for an unknown format name.
std::variant<ImageInfo, Refusal> identify(const std::string& path,
                                          const std::optional<std::string>& format,
                                          BlockDevices block_devices = BlockDevices::refuse);

// Refused: an image that is not to be patched in place: it has other names, this user may not
// write to it or to its directory, or its name is too long for the files beside it.
std::optional<Refusal> check_in_place(const ImageInfo& image);

}  // namespace kvmnet::disk

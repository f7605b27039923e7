// SPDX-License-Identifier: GPL-2.0-or-later
// Where on a guest's disk Windows is installed.
//
// A Windows root is a directory that has the hives System32\config\SYSTEM and SOFTWARE. Nothing
// else is asked for: guests installed with CompactOS have system files that ntfs-3g cannot read,
// and libguestfs' own inspection then finds no Windows.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "guestfs/guest_files.h"
#include "src/support/refusal.h"

namespace kvmnet {

struct WindowsRoot {
  std::string device;
  std::string directory;  // in the volume's letter case, e.g. "/Windows"
  bool operator==(const WindowsRoot&) const = default;
};

// A key or password for an encrypted volume: `--key ID:key:WORDS`.
struct VolumeKey {
  std::string volume;  // its device or UUID; "all" or empty: any
  std::string key;
};

struct Search {
  std::vector<WindowsRoot> roots;  // in the order of the disk
  std::vector<guestfs::Volume> volumes;
  std::vector<std::string> problems;             // volumes that could not be looked into, and why
  std::optional<Refusal> locked = std::nullopt;  // an encrypted volume that no key has opened
};

// Looks into every NTFS volume, mounted read-only: the search never writes. Leaves nothing mounted,
// but encrypted volumes unlocked. Throws what `guest` throws where it opens no encrypted volume at
// all, and there is a key for one: that may be the Windows that is meant.
Search find_windows(guestfs::GuestFiles& guest, const std::vector<VolumeKey>& keys = {});

// `selector`: "single" (refused if there are several), "first", a device, or
// "DEVICE:/DIRECTORY".
std::variant<WindowsRoot, Refusal> choose_root(const Search& search, const std::string& selector);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The work on a guest's disk behind the wall: what the child does for a DirectGuest.
#pragma once

#include <memory>
#include <string>

#include "direct/ntfs_volume.h"
#include "src/wall/wall.h"

namespace kvmnet {

// One disk, and the volume of it that is mounted; lives as long as the child.
class DirectChild {
 public:
  static bool knows(std::string_view operation);
  std::string handle(const wall::Call& call);

 private:
  std::string volumes(const wall::Call& call) const;
  std::string work_on_volume(const wall::Call& call);
  direct::NtfsVolume& mounted() const;

  std::unique_ptr<direct::NtfsVolume> mounted_;
};

}  // namespace kvmnet

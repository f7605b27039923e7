// SPDX-License-Identifier: GPL-2.0-or-later
// The work on a guest's disk behind the wall: what the child does for a DirectGuest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "direct/block_cache.h"
#include "direct/ntfs_volume.h"
#include "src/apply/direct_messages.h"
#include "src/wall/wall.h"

namespace kvmnet {

// One disk, and the volume of it that is mounted; lives as long as the child.
class DirectChild {
 public:
  static bool knows(std::string_view operation);
  std::string handle(const wall::Call& call);

 private:
  // A part of the disk, and what of it has been read.
  struct Part {
    std::uint64_t start;
    std::uint64_t length;
    direct::BlockCache cache;
  };

  std::string volumes(const wall::Call& call) const;
  Part& part(const wall::Call& call, MessageReader& message);
  std::string state(const wall::Call& call);
  void mount(const wall::Call& call);
  void unmount();
  std::string work_on_volume(const wall::Call& call);
  direct::NtfsVolume& mounted() const;

  std::unique_ptr<Part> part_;  // the last one
  std::unique_ptr<direct::NtfsVolume> mounted_;
  bool is_writable_ = false;
};

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The whole work on one image, in the order that makes it all or nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "guestfs/accelerator.h"
#include "src/apply/outcome.h"
#include "src/apply/patch_guest.h"
#include "src/apply/phase.h"

namespace kvmnet {

struct PatchRequest {
  GuestRequest guest;
  std::optional<std::string> format;  // what the user says the images are
  bool verbose = false;               // libguestfs' debug messages on standard error
  bool trace = false;                 // libguestfs' calls
};

struct PatchContext {
  PhaseClock::Listener begin;
  // Asked once everything is proven, before the first byte is written to the image. Throws if it is
  // not to be written.
  std::function<void()> before_commit;
  guestfs::Accelerator accelerator = guestfs::Accelerator::kvm;
  std::string temporary_directory;  // private to this image
};

// Never throws for reasons that lie in the guest or the image: those are outcomes. An appliance
// that cannot be started throws guestfs::LaunchError, so that the caller can try another way.
Outcome patch_image(const std::string& path, const PatchRequest& request,
                    const PatchContext& context);

}  // namespace kvmnet

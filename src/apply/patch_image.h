// SPDX-License-Identifier: GPL-2.0-or-later
// The whole work on one image, in the order that makes it all or nothing.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "src/apply/job.h"
#include "src/apply/patch_guest.h"

namespace kvmnet {

// How to reach a guest's files.
enum class Backend {
  libguestfs,  // in an appliance
  direct,      // see DirectGuest
  automatic,   // direct; the appliance only for layouts of disks that direct does not know
};

// What is used where the user has named none: libguestfs, if kvmnet was built with it.
Backend default_backend();

struct PatchRequest {
  GuestRequest guest;
  bool only_look = false;             // say what the guest says of patches, see look_at_guest()
  std::optional<std::string> format;  // what the user says the images are
  std::string output;                 // patch: write a patched copy there; empty: in place
  mode_t umask = 077;                 // for that copy
  bool allow_backing_file = false;    // patch an image that others are based on
  std::vector<std::string> images;    // all of the run
  Backend backend = default_backend();
  bool sandboxed = true;  // direct: the QEMU that serves the image is confined
  bool verbose = false;   // libguestfs' debug messages on standard error
  bool trace = false;     // libguestfs' calls
};

// A Job.
Outcome patch_image(const std::string& path, const PatchRequest& request,
                    const JobContext& context);

}  // namespace kvmnet

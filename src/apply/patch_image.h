// SPDX-License-Identifier: GPL-2.0-or-later
// The whole work on one image, in the order that makes it all or nothing.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "guestfs/accelerator.h"
#include "src/apply/outcome.h"
#include "src/plan/settings.h"

namespace kvmnet {

enum class Mode {
  plan,  // says what would change; writes nothing but temporary files elsewhere
  patch,
};

struct PatchRequest {
  Mode mode = Mode::plan;
  Settings settings;
  std::optional<std::string> format;  // what the user says the images are
  std::string root = "single";        // see choose_root
  bool verbose = false;
  bool trace = false;
};

// The steps that take time or can hang, in their order. Up to and including `verify` nothing has
// touched the image.
enum class Phase { open, launch, inspect, probe, apply, verify, commit };
std::string_view to_string(Phase phase);

struct PatchContext {
  std::function<void(Phase)> begin;  // told when a phase begins
  guestfs::Accelerator accelerator = guestfs::Accelerator::kvm;
  std::string temporary_directory;  // private to this image
};

// Never throws for reasons that lie in the guest or the image: those are outcomes. An appliance
// that cannot be started throws guestfs::LaunchError, so that the caller can try another way.
Outcome patch_image(const std::string& path, const PatchRequest& request,
                    const PatchContext& context);

}  // namespace kvmnet

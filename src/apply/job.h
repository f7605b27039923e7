// SPDX-License-Identifier: GPL-2.0-or-later
// What a worker process does with one image, and what it is given for that.
#pragma once

#include <functional>
#include <string>

#include "guestfs/accelerator.h"
#include "src/apply/outcome.h"
#include "src/apply/phase.h"

namespace kvmnet {

struct JobContext {
  PhaseClock::Listener begin;
  // To be asked when Phase::commit has begun, before the first byte is written to the image. Throws
  // if it is not to be written.
  std::function<void()> before_writing;
  guestfs::Accelerator accelerator = guestfs::Accelerator::kvm;
  std::string temporary_directory;  // private to this image
};

// Never throws for reasons that lie in the guest or the image: those are outcomes. An appliance
// that cannot be started throws guestfs::LaunchError, so that the caller can try another way.
using Job = std::function<Outcome(const std::string& image, const JobContext&)>;

// Runs the work of a job, and makes outcomes of its exceptions.
Outcome run_job(const std::string& image, const std::function<void(Outcome&)>& work);

}  // namespace kvmnet

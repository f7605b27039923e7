// SPDX-License-Identifier: GPL-2.0-or-later
// `kvmnet recover`: brings an image whose patch was interrupted to one end or the other.
#pragma once

#include <string>

#include "src/apply/job.h"
#include "src/disk/recover.h"

namespace kvmnet {

// A Job; it needs no appliance.
Outcome recover_image(const std::string& path, disk::Interruption interruption,
                      const JobContext& context);

}  // namespace kvmnet

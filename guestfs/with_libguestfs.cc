// SPDX-License-Identifier: GPL-2.0-or-later
#include "guestfs/appliance.h"
#include "guestfs/image.h"
#include "guestfs/library.h"

namespace kvmnet::guestfs {

bool is_built_in() {
  return true;
}

std::string why_absent() {
  try {
    library();
    return {};
  } catch (const Error& e) {
    return e.what();
  }
}

std::unique_ptr<Appliance> launch(const std::vector<Drive>& drives, const LaunchOptions& options) {
  return std::make_unique<Image>(drives, options);
}

}  // namespace kvmnet::guestfs

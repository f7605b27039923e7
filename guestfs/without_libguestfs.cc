// SPDX-License-Identifier: GPL-2.0-or-later
// Takes the place of everything that knows libguestfs where kvmnet is built without.
#include "guestfs/appliance.h"

namespace kvmnet::guestfs {

bool is_built_in() {
  return false;
}

std::string why_absent() {
  return "this kvmnet was built without libguestfs (-DKVMNET_LIBGUESTFS=OFF)";
}

std::unique_ptr<Appliance> launch(const std::vector<Drive>& /*drives*/,
                                  const LaunchOptions& /*options*/) {
  throw Error(why_absent());
}

}  // namespace kvmnet::guestfs

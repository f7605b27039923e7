// SPDX-License-Identifier: GPL-2.0-or-later
// What libguestfs makes the appliance of, and runs it with.
#pragma once

#include <string>

namespace kvmnet::guestfs {

// What of it this host lacks, with Debian's packages, for a message about an appliance that did not
// start: libguestfs itself only says that supermin failed. Empty if all is there. `root`: where the
// host's file system is.
std::string missing_parts(const std::string& root = "/");

}  // namespace kvmnet::guestfs

// SPDX-License-Identifier: GPL-2.0-or-later
// Who else has a file open, for messages.
#pragma once

#include <string>

#include "src/support/fd.h"

namespace kvmnet::disk {

// " (qemu-system-x86, pid 42)" for another process; empty where there is none that we may look at.
std::string holder(const Fd& file);

}  // namespace kvmnet::disk

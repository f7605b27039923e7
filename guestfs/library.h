// SPDX-License-Identifier: GPL-2.0-or-later
// libguestfs, loaded by the first call of one of its functions.
#pragma once

namespace kvmnet::guestfs {

// Its handle. Throws Error, with the package, if it cannot be loaded.
void* library();

}  // namespace kvmnet::guestfs

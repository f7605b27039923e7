// SPDX-License-Identifier: GPL-2.0-or-later
// KVM or TCG: how QEMU is to run the appliance.
#pragma once

#include <string>

namespace kvmnet::guestfs {

enum class Accelerator {
  kvm,
  tcg,
  environment,  // the user's LIBGUESTFS_BACKEND_SETTINGS decide
};

// For people: "KVM", "TCG", or what the environment says.
std::string to_string(Accelerator accelerator);

// True if the user has set LIBGUESTFS_BACKEND_SETTINGS, which then wins over every choice of ours.
bool environment_decides();

// Empty if /dev/kvm can be opened for reading and writing, else why not. That it can does not mean
// that a virtual machine can start.
std::string why_no_kvm();

}  // namespace kvmnet::guestfs

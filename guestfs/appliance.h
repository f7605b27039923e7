// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's disk in an appliance of libguestfs, where there is one: kvmnet can be built without
// (KVMNET_LIBGUESTFS=OFF), and the library is loaded when it is needed, so it may be missing.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "guestfs/accelerator.h"
#include "guestfs/guest_files.h"

namespace kvmnet::guestfs {

struct Drive {
  std::string path;
  std::string format;  // always given to QEMU: probing a guest's disk is CVE-2010-3851
};

struct LaunchOptions {
  Accelerator accelerator = Accelerator::kvm;
  // Writes need not reach the host's disk: for drives that are thrown away.
  bool throw_away = false;
  bool trace = false;  // libguestfs' own trace and debug messages on stderr
  bool verbose = false;
  // For libguestfs' and QEMU's own files; becomes TMPDIR of the process. Empty: their default.
  std::string temporary_directory;
};

class Appliance : public GuestFiles {
 public:
  // Unmounts, stops the appliance and checks that both went well: only then have writes reached
  // the drives' files. The object is of no use afterwards. The destructor alone checks nothing.
  virtual void finish() = 0;

  // QEMU's, which has the drives open. Throws Error.
  virtual pid_t process() const = 0;
  // Where libguestfs has the appliance's own files.
  virtual std::string appliance_directory() const = 0;
};

// Whether kvmnet was built with libguestfs.
bool is_built_in();

// Why libguestfs cannot be had here, with the remedy; empty if it is there. An appliance may
// still fail to start.
std::string why_absent();

// Launches the appliance with the drives, writable. Throws LaunchError if it cannot start, Error if
// libguestfs is absent.
std::unique_ptr<Appliance> launch(const std::vector<Drive>& drives, const LaunchOptions& options);

}  // namespace kvmnet::guestfs

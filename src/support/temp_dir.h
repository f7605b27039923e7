// SPDX-License-Identifier: GPL-2.0-or-later
// A private directory for temporary files that goes with its scope.
#pragma once

#include <string>

#include "src/support/fd.h"

namespace kvmnet {

class TempDir {
 public:
  // kvmnet.tmp.XXXXXX below $TMPDIR, or /tmp; mode 0700. Throws Error.
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Fd lock_;  // for as long as we, or a fork of us, use it
};

// Removes those of this user that dead processes have left; their locks tell.
void remove_stale_temp_dirs();

}  // namespace kvmnet

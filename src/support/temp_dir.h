// SPDX-License-Identifier: GPL-2.0-or-later
// A private directory for temporary files that goes with its scope.
#pragma once

#include <string>

namespace kvmnet {

class TempDir {
 public:
  // Below $TMPDIR, or /tmp; mode 0700. Throws Error.
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// A file that is replaced as a whole: its successor is written beside it, brought to disk, and
// renamed over it.
#pragma once

#include <sys/stat.h>

#include <future>
#include <string>

#include "src/support/fd.h"

namespace kvmnet {

class Replacement {
 public:
  // Creates the successor, empty and private (0600), with the owner that `original` tells. It goes
  // again unless finish() succeeds, which gives it the original's mode.
  Replacement(std::string path, const struct stat& original);
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement();

  // Begins to write `draft` into the successor, and to disk, behind the caller's back. `draft`,
  // which must stay as it is, is mostly what the content will be: the disk is busy with it while
  // the caller still works on the rest.
  void begin(const Fd& draft);

  // Writes what `content` has differently from the draft, and puts the successor in the file's
  // place. Throws Error if that, or what was begun, fails.
  void finish(const Fd& content);

 private:
  std::string path_;
  std::string temporary_;
  mode_t mode_;
  Fd fd_;
  const Fd* draft_ = nullptr;
  std::future<void> begun_;  // the last one: it is waited for before anything else goes
};

}  // namespace kvmnet

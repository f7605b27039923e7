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
  // When the successor gets a name: `at_once` is for file systems that have no files without.
  enum class Naming { at_the_end, at_once };

  // Creates the successor, empty, private (0600), locked as lock_hive() does, and without a name
  // where the file system can do that, with the owner of `original`, which is open at `path`,
  // locked, and stays open. It goes again unless finish() succeeds, which gives it the original's
  // mode and extended attributes (access control lists, labels), as far as this user may.
  //
  // Its name is successor_path(). What a run that is killed leaves has that name, too, and is not
  // locked: remove_left_successor().
  Replacement(std::string path, const Fd& original, Naming naming = Naming::at_the_end);
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement();

  // Begins to write `draft` into the successor, and to disk, behind the caller's back. `draft` is
  // mostly what the content will be: the disk is busy with it while the caller still works on the
  // rest.
  void begin(const Fd& draft);

  // Makes the successor hold `content`, whatever of the draft it has, and brings it to disk. Throws
  // Error if that, or what was begun, fails.
  void complete(const Fd& content);
  // Then puts it in the file's place. Throws Error.
  void finish();

 private:
  std::string path_;
  const Fd& original_;
  std::string temporary_;  // empty: it has no name (any more)
  mode_t mode_ = 0600;
  Fd fd_;
  std::future<void> begun_;  // the last one: it is waited for before anything else goes
};

}  // namespace kvmnet

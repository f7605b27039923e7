// SPDX-License-Identifier: GPL-2.0-or-later
// Brings an image whose commit was interrupted (see commit.h) to one end or the other.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/disk/commit.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

enum class Interruption {
  keep,        // finish the commit
  discard,     // drop a commit of which nothing has been written; refused otherwise
  start_anew,  // the same, and finish it otherwise
};
enum class Recovery {
  nothing,    // there was no commit to finish; what a dead run has left otherwise was removed
  finished,   // the image has all changes
  discarded,  // the image is as it was
};
struct Recovered {
  Recovery recovery = Recovery::nothing;
  std::vector<std::string> warnings;
};

// Brings an image to one end or the other. `image`: the path that resolve_image() gives. Throws
// Refused if the image is in use, if somebody else has written to it meanwhile, and if what has
// been written is to be discarded; and Error.
Recovered recover(const std::string& image, Interruption interruption,
                  const BeforeWriting& before_writing);

// Whether a run has left something beside the image, or is at work on it: recover() tells.
bool has_leftovers(const std::string& image);

// Whether a run has died that was about to commit, and had not yet written to the image. Throws
// Refused if a run is at work on it, and Error.
bool has_only_prepared(const std::string& image);

// For those who only read. Refused: an image with an interrupted commit, or one that is being
// committed right now.
std::optional<Refusal> check_committed(const std::string& image);

}  // namespace kvmnet::disk

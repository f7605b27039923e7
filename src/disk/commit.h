// SPDX-License-Identifier: GPL-2.0-or-later
// Writes an overlay's changes into its image, so that under its name the image is as it was, or
// completely changed, or (after a crash, until recover()) absent.
//
// The order, each step on disk before the next: overlay; journal `ready`; image renamed to
// IMAGE.kvmnet-commit (from here on nobody can start the guest by its name); journal `writing`;
// changes written; journal `done`; image renamed back; overlay and journal removed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/disk/overlay.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

// Called when all is prepared, before the image is touched; may throw, and nothing has happened.
using BeforeWriting = std::function<void()>;

// Nothing else may have the overlay open, and `lock` is the image's, for writing. Throws Refused if
// somebody uses the image or has changed it, and Error for all else that goes wrong: the image is
// then as it was, unless the error says that it is half written and what to do. Refused, too, if
// there is no room for the changes. Returns warnings.
std::vector<std::string> commit(Overlay overlay, const ImageInfo& image, const ImageLock& lock,
                                const BeforeWriting& before_writing);

// The same for a file that nobody else knows: no other name, no journal.
std::vector<std::string> commit_to_private_file(const Overlay& overlay, const ImageInfo& file);

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

// For those who only read. Refused: an image with an interrupted commit, or one that is being
// committed right now.
std::optional<Refusal> check_committed(const std::string& image);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// The files that kvmnet keeps beside an image while it works on it. All are private (0600): they
// hold what the image holds, the guest's boot key for one.
#pragma once

#include <optional>
#include <string>

#include "src/support/fd.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

struct ImageInfo;

// `image`: the path that resolve_image() gives.
std::string overlay_path(const std::string& image);  // IMAGE.kvmnet-overlay
std::string journal_path(const std::string& image);  // IMAGE.kvmnet-journal
std::string commit_path(const std::string& image);   // IMAGE.kvmnet-commit: the image while it is
                                                     // written to
// Refused: a file that has such a name, as `*` finds it.
std::optional<Refusal> check_name(const std::string& path);

bool is_there(const std::string& path);

// The real path of an image that may be absent because its commit was interrupted: absolute,
// without symbolic links. Throws Error if its directory is not there, or for a loop of links.
std::string resolve_image(const std::string& path);

void remove_if_there(const std::string& path);  // throws Error

}  // namespace kvmnet::disk

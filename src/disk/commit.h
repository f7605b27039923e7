// SPDX-License-Identifier: GPL-2.0-or-later
// Writes an overlay's changes into its image, so that under its name the image is as it was, or
// completely changed, or (after a crash, until recover()) absent.
//
// The order, each step on disk before the next: overlay; journal `ready`; image renamed to
// IMAGE.kvmnet-commit (from here on nobody can start the guest by its name); journal `writing`;
// changes written; journal `done`; image renamed back; overlay and journal removed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/disk/changes.h"
#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/disk/overlay.h"
#include "src/disk/qemu_commit.h"

namespace kvmnet::disk {

// Called when all is prepared, before the image is touched; may throw, and nothing has happened.
using BeforeWriting = std::function<void()>;

// What commit() will run, for the image of that path. Does nothing yet.
std::unique_ptr<QemuCommit> prepare_commit(const std::string& image, Format format);

// `changes`: what compare() has found, or nothing: they are then found by servers of its own;
// `qemu`: from prepare_commit(), or null. No QEMU may have the overlay open, and `lock` is the
// image's, for writing. Throws Refused if somebody uses the image or has changed it, and Error for
// all else that goes wrong: the image is then as it was, unless the error says that it is half
// written and what to do. Refused, too, if there is no room for the changes. Returns warnings.
std::vector<std::string> commit(Overlay overlay, const ImageInfo& image, const ImageLock& lock,
                                const BeforeWriting& before_writing,
                                std::optional<std::vector<Change>> changes = std::nullopt,
                                std::unique_ptr<QemuCommit> qemu = nullptr);

// The same for a file that nobody else knows: no other name, no journal.
std::vector<std::string> commit_to_private_file(const Overlay& overlay, const ImageInfo& file);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// What QEMU does in a commit: it writes what an overlay holds into the image's file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/disk/image_info.h"
#include "src/disk/overlay.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {

// A value inside QEMU's options, where a comma ends one unless it is doubled.
std::string option_value(const std::string& text);

// For --image-opts: every driver and file by name. QEMU probes nothing, and the overlay's own word
// for its backing file, which is wrong once the image has been renamed, does not count.
std::string image_options(const std::string& path, Format format);
std::string overlay_options(const std::string& overlay, const std::string& image, Format format);

// Commits an overlay into a file.
class QemuCommit {
 public:
  // `path`: of the file when write() is called. Does nothing yet.
  QemuCommit(std::string overlay, std::string path, Format format);
  ~QemuCommit();
  QemuCommit(const QemuCommit&) = delete;
  QemuCommit& operator=(const QemuCommit&) = delete;

  // Starts the programs that write() needs, which wait for it. `path_now`: of the file;
  // `directory`: of ours alone. Throws Error.
  void start(const std::string& path_now, const std::string& directory);
  // Writes, and brings the file to disk; to be called once. Throws Error; the file may be half
  // written then, and the tables of a qcow2 file may be such that they cannot even be repaired:
  // QEMU goes on after a failed flush. Returns whether space of it was lost, see give_back_leaks().
  bool write();

 private:
  class Waiting;
  std::vector<std::string> commit_words() const;
  Finished commit();
  Finished check_afterwards();

  std::string overlay_;
  std::string path_;
  Format format_;
  std::unique_ptr<Waiting> commit_;
  std::unique_ptr<Waiting> check_;
};

// Gives back what QEMU has lost of a qcow2 file's space: also a commit that nothing disturbs can
// lose clusters (seen with qemu-img 7.2.22 while the disk is busy with other things). Returns
// warnings where space stays lost; throws Error where damage does. `image`: the file's name for
// them.
std::vector<std::string> give_back_leaks(const std::string& path, Format format,
                                         const std::string& image);

// What `qemu-img check` says of errors in a qcow2 file, where they are worse than wasted space or
// such that it cannot go on. Throws Error if it could not look.
std::optional<std::string> find_damage(const std::string& path);

}  // namespace kvmnet::disk

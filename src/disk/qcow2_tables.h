// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of a qcow2 file: what tells where in the file the disk's data lie, and which of its
// parts are in use (QEMU's docs/interop/qcow2.txt).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/disk/range.h"
#include "src/support/fd.h"

namespace kvmnet::disk {

// What can undo whatever QEMU does to the tables, or fails to do, when it writes to parts of the
// disk.
struct TableUndo {
  // What of the tables that are there QEMU may change: the header, the L1 table, the L2 tables of
  // these parts, the reference counts, the bitmaps. With their bytes put back the file is as it was
  // but for the data in these parts; what QEMU has allocated since is free again. Not among them:
  // what internal snapshots use, which QEMU does not write to.
  // In order, adjoining ones as one, all within the file.
  std::vector<Range> tables;
  // Places in them where zeros are to be put back instead: entries of compressed clusters within
  // these parts. QEMU frees such a cluster when it is overwritten and uses it again at once, so it
  // may hold anything by now, and QEMU would read it to keep what is not overwritten in one go. The
  // next write fills the whole cluster; what it had is lost space then.
  std::vector<Range> cleared;
  // SHA-256 of what QEMU does not change: where the rest of the disk and the snapshots lie.
  std::string rest;
};

// Throws Error if the file has tables that QEMU would not take; `written`: parts of the disk, each
// of whole clusters (the disk's last one ends with the disk) where clusters are compressed.
TableUndo undo_for(const Fd& fd, const std::string& path, const std::vector<Range>& written);

// The same SHA-256 of what the file is now.
std::string rest_of(const Fd& fd, const std::string& path, const std::vector<Range>& written);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of a qcow2 file: what tells where in the file the disk's data lie, and which of its
// parts are in use (QEMU's docs/interop/qcow2.txt).
#pragma once

#include <string>
#include <vector>

#include "src/disk/range.h"
#include "src/support/fd.h"

namespace kvmnet::disk {

// What QEMU may change of the tables that are there when it writes to parts of the disk: the
// header, the L1 table, the L2 tables of these parts, the reference counts, the bitmaps. With their
// bytes put back, whatever QEMU has done or failed to do, the file is as it was but for the data
// themselves; what it has allocated since is free again. Tables and data of internal snapshots are
// not among them: QEMU writes to no cluster that a snapshot uses, too. In order, adjoining parts as
// one, all within the file. Throws Error if the file has tables that QEMU would not take;
// `written`: parts of the disk.
std::vector<Range> tables_of(const Fd& fd, const std::string& path,
                             const std::vector<Range>& written);

}  // namespace kvmnet::disk

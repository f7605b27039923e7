// SPDX-License-Identifier: GPL-2.0-or-later
// The header of a qcow2 file as far as it decides which files QEMU would open, and where the file's
// tables are (QEMU's docs/interop/qcow2.txt). Whoever made the file wrote it: what it says is to be
// judged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/disk/range.h"
#include "src/support/fd.h"
#include "src/support/refusal.h"

namespace kvmnet::disk {

struct Qcow2Header {
  std::string backing;             // the backing file's name as written; empty: none
  std::string backing_format;      // empty: QEMU would guess it from the file's content
  std::uint64_t cluster_size = 0;  // bytes
  bool encrypted = false;
  bool external_data = false;
  bool has_autoclear = false;  // something that an unknowing writer must drop: persistent bitmaps
  bool is_dirty = false;       // reference counts are not up to date: it was not closed
  bool is_corrupt = false;     // QEMU has found its tables damaged, and writes to it no more
  bool extended_l2 = false;    // entries of L2 tables have 16 bytes, not 8
  // Where they lie in the file, as written; length 0: there is none.
  Range l1_table;
  Range refcount_table;
  Range snapshot_table;  // its length is not in the header: 0
  Range bitmap_directory;
  std::uint64_t snapshots = 0;  // internal ones
  std::uint64_t bitmaps = 0;
  std::uint64_t disk_size = 0;  // bytes
};

// `start`: how the file begins.
bool is_qcow2(std::string_view start);

// Reads at most the first 4096 bytes of the file, and 1023 where the name of the backing file is.
// Throws Error if it is damaged, of a version that QEMU does not have, or has more extensions than
// that; throws Refused for version 1 (the older format qcow).
Qcow2Header read_qcow2_header(const Fd& fd, const std::string& path);

// The name of the backing file alone, also of version 1, which has it in the same place. Empty:
// none, or there is no such header. Throws Error if the file cannot be read.
std::string read_backing_name(const Fd& fd, const std::string& path);

// Refused: a qcow2 file whose data lie in another file or are encrypted.
std::optional<Refusal> check_qcow2(const Qcow2Header& header, const std::string& path);

// A number as qcow2 has it, big-endian, of `size` bytes at `offset` of `bytes`, which has them.
std::uint64_t qcow2_number(std::string_view bytes, std::size_t offset, std::size_t size);

// Whether QEMU takes the name of a backing file for "PROTOCOL:..." and not for a path.
bool names_a_protocol(std::string_view name);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// What an overlay changes on its image's disk, and how far an interrupted commit has come with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "src/disk/image_info.h"
#include "src/disk/originals.h"
#include "src/disk/served_disk.h"
#include "src/support/error.h"

namespace kvmnet::disk {

// A part of the disk that the overlay holds. The image's content is compared sector by sector: a
// write that is cut short can end anywhere between two of them.
struct Change {
  // Of a sector's hash: tells a foreign write, not an attack, and keeps the journal small.
  static constexpr std::size_t hash_digits = 32;

  Range range;
  std::string after;                   // SHA-256 of the overlay's content, hexadecimal
  std::vector<std::uint32_t> sectors;  // of 512 bytes, counted from the range's start, that differ
  std::string before;                  // for each of them the start of its SHA-256 in the image
};

std::vector<Range> ranges_of(const std::vector<Change>& changes);

// Reads what the overlay holds and what the image has there.
std::vector<Change> compare(ServedDisk& overlay, ServedDisk& image);
// The same of an overlay that has been written to through this server alone, which has kept what
// was there before: all of it.
std::vector<Change> compare(ServedDisk& overlay, const Originals& originals);

class OverlayHasChanged : public Error {
 public:
  OverlayHasChanged() : Error("the overlay does not hold any more what was to be written") {}
};

// Where the image stands between before and after.
struct Progress {
  std::uint64_t before = 0;  // sectors that are to change and have not
  std::uint64_t after = 0;   // sectors that have
  // What is neither, so that somebody else has written it; empty: nothing.
  std::vector<Range> foreign;
};
// Throws OverlayHasChanged if the overlay does not hold exactly what the journal says. A
// half-written qcow2 image may hold anything where zeros are to be: QEMU frees such clusters and
// uses them again at once, before the image's tables say so on disk.
Progress look(const std::vector<Change>& changes, ServedDisk& overlay, ServedDisk& image,
              Format format);
// The overlay alone.
void check_overlay(const std::vector<Change>& changes, ServedDisk& overlay);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// What a run that dies while it commits leaves for `kvmnet recover`: how far it has come, which
// image it was, and how to tell what was written from what was not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/disk/block_reader.h"
#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {

// A part of the disk that the overlay holds. The image's content is compared sector by sector: a
// write that is cut short can end anywhere between two of them.
struct Change {
  Range range;
  std::string after;                   // SHA-256 of the overlay's content, hexadecimal
  std::vector<std::uint32_t> sectors;  // of 512 bytes, counted from the range's start, that differ
  std::string before;                  // for each of them the start of its SHA-256 in the image
};

// Reads what the overlay holds and what the image has there.
std::vector<Change> compare(BlockReader& overlay, BlockReader& image);

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
Progress look(const std::vector<Change>& changes, BlockReader& overlay, BlockReader& image,
              Format format);
// The overlay alone.
void check_overlay(const std::vector<Change>& changes, BlockReader& overlay);

class Journal {
 public:
  enum class State {
    ready,    // nothing has been written to the image
    writing,  // something may have been written to it; it has been renamed
    done,     // all has been written and is on disk
  };
  struct Content {
    Format format = Format::raw;
    Identity identity;           // before the first rename
    bool is_compressed = false;  // the image has clusters that are
    std::vector<Change> changes;
  };

  // Writes it, state `ready`, and brings it to disk. Throws Error; there is none then.
  static Journal create(const ImageInfo& image, Content content);
  // Nothing: there is none. A damaged one has no content: it was being written when its run died,
  // and nothing else had been done then. Throws Error if it cannot be opened for that use.
  static std::optional<Journal> open(const std::string& image_path, Use use);

  const std::optional<Content>& content() const { return content_; }
  State state() const { return state_; }
  void set_state(State state);  // and brings it to disk
  void remove();

 private:
  Journal(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  Fd fd_;
  State state_ = State::ready;
  std::optional<Content> content_;
};

}  // namespace kvmnet::disk

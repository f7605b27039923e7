// SPDX-License-Identifier: GPL-2.0-or-later
// What a run that dies while it commits leaves for `kvmnet recover`: how far it has come, which
// image it was, how to tell what was written from what was not, and the tables of a qcow2 image as
// they were.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/disk/changes.h"
#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/disk/sha256.h"
#include "src/support/fd.h"

namespace kvmnet::disk {

class Journal {
 public:
  enum class State {
    ready,      // nothing has been written to the image
    writing,    // something may have been written to it; it has been renamed
    restoring,  // and now its tables are being put back, to write once more
    done,       // all has been written and is on disk
  };
  struct Content {
    Format format = Format::raw;
    Identity identity;           // before the first rename
    bool is_compressed = false;  // the image has clusters that are
    std::vector<Change> changes;
    std::vector<Range> tables;  // parts of the image's file whose bytes the journal keeps
    std::string rest;           // of TableUndo; empty: not qcow2
  };

  // Writes it, state `ready`, with the bytes of the tables, but zeros at the places in them that
  // are `cleared`, and brings it to disk. Throws Error; there is none then.
  static Journal create(const ImageInfo& image, Content content, const std::vector<Range>& cleared);
  // Nothing: there is none. A damaged one has no content: it was being written when its run died,
  // and nothing else had been done then. Throws Error if it cannot be opened for that use.
  static std::optional<Journal> open(const std::string& image_path, Use use);

  const std::optional<Content>& content() const { return content_; }
  State state() const { return state_; }
  void set_state(State state);  // and brings it to disk
  // Writes the tables back into the image's file, as they were, drops what was appended to it
  // since, and brings it to disk. May be done any number of times.
  void put_back_tables(const std::string& path) const;
  void remove();

 private:
  Journal(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  void keep_tables(const std::string& image, const std::vector<Range>& cleared,
                   Sha256& digest) const;
  std::string path_;
  Fd fd_;
  State state_ = State::ready;
  std::optional<Content> content_;
  std::uint64_t tables_at_ = 0;  // in the journal
};

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// Small images of each kind, with an overlay to be committed into each.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace kvmnet::test {

struct ImageKind {
  const char* name = "";
  const char* format = "qcow2";
  const char* options = "";  // of qemu-img create; none: no options
  bool compressed = false;
  bool backing = false;
  bool snapshot = false;
  bool bitmap = false;
};

std::ostream& operator<<(std::ostream& out, const ImageKind& kind);  // its name

const std::vector<ImageKind>& image_kinds();

// QEMU drops a bitmap, or marks it as in use, when a process dies that is writing to the image; a
// backup is then a full one.
enum class BitmapState {
  none,       // or in use
  whole,      // it has seen all changes
  dishonest,  // it is not marked, and has not seen all changes: the next backup lacks them
};

// The files that a commit starts from, in a directory.
class SampleImage {
 public:
  // Makes them, once: they are the same every time.
  SampleImage(const ImageKind& kind, std::string directory);

  const ImageKind& kind() const { return kind_; }
  std::string recorded() const { return directory_ + "/recorded"; }
  const std::string& bytes() const { return bytes_; }    // the image file's
  const std::string& before() const { return before_; }  // the disk in it
  const std::string& after() const { return after_; }    // the disk, with the recorded changes
  // A fresh copy of the image, called `disk`, and of its backing file; all else goes.
  void copy_to(const std::string& directory) const;
  // Whether its backing file and its snapshot are there unchanged.
  bool has_kept_the_rest(const std::string& directory) const;
  BitmapState bitmap_in(const std::string& image) const;
  // What the disk in an image file holds.
  std::string content(const std::string& image) const;

 private:
  void make_image() const;
  void fill(const std::string& disk) const;
  void record_changes() const;
  std::string snapshot_in(const std::string& image) const;

  ImageKind kind_;
  std::string directory_;
  std::string bytes_;
  std::string before_;
  std::string after_;
  std::string snapshot_;  // the disk in it
};

std::string bytes_of(const std::string& path);

}  // namespace kvmnet::test

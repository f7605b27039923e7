// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/overlay.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

#include "src/disk/beside.h"
#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/secrets.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

Qcow2Header header_of(const ImageInfo& image) {
  return read_qcow2_header(open_file(image.path, O_RDONLY), image.path);
}

// Where a compressed cluster of the image is overwritten it must be as a whole: what QEMU would
// keep of it may be lost if the commit is killed (see TableUndo::cleared).
std::string cluster_size(const ImageInfo& image, ImageCheck& check) {
  constexpr std::uint64_t usual = 65536;
  if (image.format != Format::qcow2) return std::to_string(usual);
  const std::uint64_t own = header_of(image).cluster_size;
  return std::to_string(own > usual && check.finds_compressed() ? own : usual);
}

// In bytes, as QEMU counts: in sectors.
std::string disk_size(const ImageInfo& image) {
  constexpr std::uint64_t sector = 512;
  if (image.format == Format::qcow2) return std::to_string(header_of(image).disk_size);
  const auto size = static_cast<std::uint64_t>(image.identity.size);
  return std::to_string((size + sector - 1) / sector * sector);
}

// The file is inherited by nobody else.
Running start_making(const Fd& file, const std::string& cluster_size, const ImageInfo& image) {
  const InheritedFile inherited(file);
  return Running({"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-o",
                  "cluster_size=" + cluster_size, "-F", std::string(to_string(image.format)), "-b",
                  image.path, inherited.path(), disk_size(image)});
}

}  // namespace

// qemu-img would make the file readable for everyone, and truncates one that is there. It gets the
// file by its descriptor: in a directory of others the name may lead elsewhere by then. The image
// itself is not opened (-u).
Overlay::Overlay(std::string path, const ImageInfo& image, const OverlayMaking& making)
    : path_(std::move(path)), check_(std::make_unique<ImageCheck>(image)) {
  if (!making.check_later) check_->begin();
  file_ = create_private_file(path_);
  const Identity made = identity_of(proc_path(file_));
  device_ = made.device;
  inode_ = made.inode;
  try {
    Running create = start_making(file_, cluster_size(image, *check_), image);
    if (making.meanwhile) making.meanwhile(path_);
    if (!making.check_later) check_->finish();
    create.wait_checked();
  } catch (...) {
    ::unlink(path_.c_str());
    throw;
  }
}

void Overlay::sync() const {
  sync_file(file_, path_);
}

bool Overlay::is(const struct stat& file) const {
  return file.st_dev == device_ && file.st_ino == inode_;
}

Overlay Overlay::beside(const ImageInfo& image, const OverlayMaking& making) {
  return {overlay_path(image.path), image, making};
}

Overlay Overlay::in(const std::string& directory, const ImageInfo& image,
                    const OverlayMaking& making) {
  return {directory + "/overlay.qcow2", image, making};
}

Overlay::Overlay(Overlay&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      check_(std::move(other.check_)),
      file_(std::move(other.file_)),
      device_(other.device_),
      inode_(other.inode_),
      kept_(other.kept_) {}

Overlay::~Overlay() {
  if (!path_.empty() && !kept_) ::unlink(path_.c_str());
}

}  // namespace kvmnet::disk

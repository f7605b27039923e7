// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/overlay.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/disk/beside.h"
#include "src/disk/confinement.h"
#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/secrets.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

Qcow2Header header_of(const ImageInfo& image) {
  return read_qcow2_header(open_file(image.path, O_RDONLY), image.path);
}

// qemu-img check does not speak of the mark, and qemu-img commit does not heed it.
void refuse_marked_image(const ImageInfo& image) {
  if (!header_of(image).is_corrupt) return;
  throw Refused{{Reason::damaged_image,
                 image.path + ": QEMU has marked the image as corrupt when it found its tables "
                              "damaged, and writes to it no more"}};
}

// QEMU reads clusters behind the end of a truncated qcow2 as zeros, without a word, and writing to
// an image with wrong reference counts overwrites data. The check runs while the overlay is made:
// each takes as long as the other.
class ImageCheck {
 public:
  explicit ImageCheck(const ImageInfo& image) : path_(image.path) {
    if (image.format != Format::qcow2) return;
    refuse_marked_image(image);
    const std::vector<std::string> command = {"qemu-img", "check", "--output=json",
                                              "-f",       "qcow2", path_};
    running_.emplace(command, confine_to_image(path_, image.format, ""));
  }

  // Whether clusters are compressed. Waits for the end of the check; throws Refused if the image is
  // damaged.
  bool finds_compressed() {
    if (running_) {
      const Finished check = running_->wait();
      running_.reset();
      compressed_ = finds_compressed(check);
    }
    return compressed_;
  }

 private:
  bool finds_compressed(const Finished& check) const {
    constexpr int corruptions = 2;
    constexpr int leaked_clusters = 3;  // wasted space, no harm
    const std::string words = check.output.substr(0, 400);
    if (check.status == corruptions)
      throw Refused{{Reason::damaged_image,
                     fmt::format("{}: the image is damaged, or was not closed; qemu-img check "
                                 "says: {}",
                                 path_, words)}};
    if (check.status != 0 && check.status != leaked_clusters)
      throw Error(fmt::format("{}: qemu-img cannot check the image: {}", path_, words));
    // The report ends with "}" unless messages about leaks have left no room for it.
    return check.output.find("\"compressed-clusters\"") != std::string::npos ||
           !check.output.ends_with('}');
  }

  std::string path_;
  std::optional<Running> running_;
  bool compressed_ = false;
};

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
Overlay::Overlay(std::string path, const ImageInfo& image, const Meanwhile& meanwhile)
    : path_(std::move(path)) {
  ImageCheck check(image);
  file_ = create_private_file(path_);
  const Identity made = identity_of(proc_path(file_));
  device_ = made.device;
  inode_ = made.inode;
  try {
    Running create = start_making(file_, cluster_size(image, check), image);
    if (meanwhile) meanwhile(path_);
    image_is_compressed_ = check.finds_compressed();
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

Overlay Overlay::beside(const ImageInfo& image, const Meanwhile& meanwhile) {
  return {overlay_path(image.path), image, meanwhile};
}

Overlay Overlay::in(const std::string& directory, const ImageInfo& image,
                    const Meanwhile& meanwhile) {
  return {directory + "/overlay.qcow2", image, meanwhile};
}

Overlay::Overlay(Overlay&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      file_(std::move(other.file_)),
      device_(other.device_),
      inode_(other.inode_),
      kept_(other.kept_),
      image_is_compressed_(other.image_is_compressed_) {}

Overlay::~Overlay() {
  if (!path_.empty() && !kept_) ::unlink(path_.c_str());
}

}  // namespace kvmnet::disk

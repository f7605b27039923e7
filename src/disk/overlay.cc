// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/overlay.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

std::string path_beside(const ImageInfo& image) {
  return image.path + ".kvmnet-overlay";
}

// A value inside --image-opts, where a comma ends an option unless it is doubled.
std::string option_value(const std::string& text) {
  std::string out;
  for (const char c : text) out.append(c == ',' ? 2 : 1, c);
  return out;
}

// qemu-img would make the file readable for everyone, and truncates one that is there without
// changing its mode.
void create_private_file(const std::string& path, const ImageInfo& image) {
  const Fd fd = open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (::fchmod(fd.get(), 0600) != 0) throw system_error(path, errno);
  if (::geteuid() == 0 && ::fchown(fd.get(), image.owner, image.group) != 0)
    throw system_error(path, errno);
}

// QEMU reads clusters behind the end of a truncated qcow2 as zeros, without a word, and writing to
// an image with wrong reference counts overwrites data.
void check_image(const ImageInfo& image) {
  if (image.format != Format::qcow2) return;
  constexpr int leaked_clusters = 3;  // wasted space, no harm
  const Finished check = run({"qemu-img", "check", "-q", "-f", "qcow2", image.path});
  if (check.status != 0 && check.status != leaked_clusters)
    throw Error(fmt::format("{}: the image is damaged; qemu-img check says: {}", image.path,
                            check.output.substr(0, 400)));
}

}  // namespace

Overlay::Overlay(std::string path, const ImageInfo& image) : path_(std::move(path)), image_(image) {
  create_private_file(path_, image);
  try {
    check_image(image);
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F",
                 std::string(to_string(image.format)), "-b", image.path, path_});
  } catch (...) {
    ::unlink(path_.c_str());
    throw;
  }
}

Overlay Overlay::beside(const ImageInfo& image) {
  remove_leftover_overlay(image);
  return {path_beside(image), image};
}

Overlay Overlay::in(const std::string& directory, const ImageInfo& image) {
  return {directory + "/overlay.qcow2", image};
}

Overlay::Overlay(Overlay&& other) noexcept
    : path_(std::exchange(other.path_, {})), image_(std::move(other.image_)) {}

Overlay::~Overlay() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

void Overlay::commit() {
  sync_file(open_file(path_, O_RDONLY), path_);
  if (identity_of(image_.path) != image_.identity)
    throw Error(image_.path +
                ": was changed by somebody else meanwhile; nothing was written to it");
  const std::string uncommitted = uncommitted_path(image_);
  if (::rename(path_.c_str(), uncommitted.c_str()) != 0) throw system_error(path_, errno);
  path_.clear();  // from here on it is kept, unless all goes well
  try {
    sync_directory_of(uncommitted);
    // Both files by explicit options: nothing is probed.
    run_checked({"qemu-img", "commit", "-q", "-d", "--image-opts",
                 fmt::format("driver=qcow2,file.driver=file,file.filename={},backing.driver={},"
                             "backing.file.driver=file,backing.file.filename={}",
                             option_value(uncommitted), to_string(image_.format),
                             option_value(image_.path))});
    sync_file(open_file(image_.path, O_RDONLY), image_.path);
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}; the image may be half written: do not start the guest; {}",
                            image_.path, e.what(), remedy(Reason::commit_interrupted)));
  }
  if (::unlink(uncommitted.c_str()) != 0) throw system_error(uncommitted, errno);
}

std::string uncommitted_path(const ImageInfo& image) {
  return image.path + ".kvmnet-uncommitted";
}

std::optional<Refusal> check_committed(const ImageInfo& image) {
  const std::string path = uncommitted_path(image);
  if (::access(path.c_str(), F_OK) != 0) return std::nullopt;
  return Refusal{
      Reason::commit_interrupted,
      fmt::format("{}: may be half written: writing the changes into it was interrupted; "
                  "they are all in {}",
                  image.path, path)};
}

void remove_leftover_overlay(const ImageInfo& image) {
  const std::string path = path_beside(image);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw system_error(path, errno);
}

}  // namespace kvmnet::disk

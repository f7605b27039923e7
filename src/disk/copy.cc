// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "src/disk/beside.h"
#include "src/disk/host_space.h"
#include "src/disk/qcow2_header.h"
#include "src/disk/recover.h"
#include "src/support/error.h"
#include "src/support/secrets.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;

// Beside the output, so that it can be renamed.
std::string temporary_path(const std::string& output) {
  return output + ".kvmnet-output";
}

mode_t final_mode(const ImageInfo& image, mode_t umask) {
  return image.is_block_device ? 0600 : image.mode & 0666 & ~umask;
}

// The image's header may name its backing file from where the image is.
void keep_backing_file(const ImageInfo& image, const std::string& path, const std::string& copy) {
  if (image.format != Format::qcow2) return;
  const fs::path directory = fs::path(image.path).parent_path();
  if (fs::path(path).parent_path() == directory) return;
  const Qcow2Header header = read_qcow2_header(open_file(image.path, O_RDONLY), image.path);
  if (header.backing.empty()) return;
  run_checked({"qemu-img", "rebase", "-u", "-f", "qcow2", "-F", header.backing_format, "-b",
               (directory / header.backing).string(), copy});
}

// cp has failed: because of the disk, where it has no room for the rest of the copy.
void refuse_full_disk(const Fd& source, const Fd& copy, const std::string& output) {
  struct stat whole {};
  struct stat done {};
  if (::fstat(source.get(), &whole) != 0 || ::fstat(copy.get(), &done) != 0) return;
  constexpr std::uint64_t block = 512;
  const blkcnt_t rest = std::max<blkcnt_t>(whole.st_blocks - done.st_blocks, 0);
  const std::string directory = fs::path(output).parent_path().string();
  if (auto refusal =
          check_space(directory, static_cast<std::uint64_t>(rest) * block, "the rest of the copy"))
    throw Refused{*refusal};
}

}  // namespace

std::variant<Copy, Refusal> Copy::make(const ImageInfo& image, const std::string& output,
                                       mode_t umask) {
  if (is_there(output))
    throw UsageError(output + ": exists already, and is not overwritten; give another name");
  const std::string target = resolve_image(output);
  // Of an image of this name: with a second one there would be no way back to it.
  if (has_leftovers(target))
    return Refusal{Reason::commit_interrupted,
                   target + ": an image of this name was being written to when a run ended"};
  if (auto refusal = remove_leftover_copy(target)) return *refusal;
  Copy copy(image, target, umask);
  if (auto refusal = copy.claim()) return *refusal;
  copy.fill(image);
  // Judged anew: what QEMU will open is the copy.
  auto info = identify(copy.path_, std::string(to_string(image.format)));
  if (auto* refusal = std::get_if<Refusal>(&info)) return std::move(*refusal);
  copy.info_ = std::get<ImageInfo>(std::move(info));
  return copy;
}

Copy::Copy(const ImageInfo& image, std::string output, mode_t umask)
    : output_(std::move(output)),
      path_(temporary_path(output_)),
      mode_(final_mode(image, umask)),
      file_(create_private_file(path_)) {}

Copy::~Copy() {
  if (is_ours()) ::unlink(path_.c_str());
}

// Between its creation and its lock another kvmnet may have taken it for a leftover.
std::optional<Refusal> Copy::claim() {
  auto lock = ImageLock::take(path_, Use::write);
  if (auto* refusal = std::get_if<Refusal>(&lock)) return std::move(*refusal);
  lock_.emplace(std::get<ImageLock>(std::move(lock)));
  if (!is_ours()) return Refusal{Reason::image_in_use, path_ + ": is being made by another kvmnet"};
  return std::nullopt;
}

void Copy::fill(const ImageInfo& image) {
  // By its descriptor: the name may lead elsewhere by now.
  const Fd source = open_file(image.path, O_RDONLY);
  const auto check_source = [&] {
    if (identity_of(proc_path(source)) != image.identity)
      throw Error(image.path + ": was changed by somebody else while it was copied");
  };
  check_source();
  const InheritedFile from(source);
  const InheritedFile to(file_);
  const Finished copied =
      run({"cp", "--reflink=auto", "--sparse=always", "--", from.path(), to.path()});
  if (copied.status != 0) {
    refuse_full_disk(source, file_, output_);
    throw Error(fmt::format("copying {} to {} failed: {}", image.path, path_, copied.output));
  }
  check_source();
  keep_backing_file(image, path_, to.path());
}

bool Copy::is_ours() const {
  struct stat made {};
  struct stat named {};
  return ::fstat(file_.get(), &made) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
         made.st_dev == named.st_dev && made.st_ino == named.st_ino;
}

void Copy::keep() {
  if (!is_ours()) throw Error(path_ + ": was replaced by somebody else");
  if (::fchmod(file_.get(), mode_) != 0) throw system_error(path_, errno);
  sync_file(file_, path_);
  rename_to_free_name(path_, output_);
  sync_directory_of(output_);
}

std::optional<Refusal> remove_leftover_copy(const std::string& output) {
  const std::string path = temporary_path(resolve_image(output));
  if (!is_there(path)) return std::nullopt;
  if (!fs::is_regular_file(fs::symlink_status(path)))
    throw Error(path + ": is in the way, and is not what kvmnet leaves; remove it");
  const auto lock = ImageLock::take(path, Use::write);
  if (const auto* refusal = std::get_if<Refusal>(&lock)) return *refusal;
  if (!std::get<ImageLock>(lock).is_of(path)) return std::nullopt;
  remove_if_there(overlay_path(path));
  remove_if_there(path);
  return std::nullopt;
}

}  // namespace kvmnet::disk

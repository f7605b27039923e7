// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/image_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "src/disk/holder.h"
#include "src/support/error.h"

namespace kvmnet::disk {
namespace {

// Far above QEMU's lock bytes and any image; locks may lie behind the end of a file.
constexpr off_t our_byte = 0x6B766D6E6574;  // "kvmnet"

// QEMU's file driver locks byte 100 + n for a permission that it uses and 200 + n for one that it
// does not share (block/file-posix.c); permission 1 is writing, 3 resizing, 0 consistent reading.
constexpr std::array<off_t, 2> written_by_qemu = {101, 103};
constexpr std::array<off_t, 4> kept_from_writing = {101, 103, 201, 203};

struct flock one_byte(short type, off_t byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

bool is_locked(const Fd& fd, off_t byte) {
  struct flock lock = one_byte(F_WRLCK, byte);
  if (::fcntl(fd.get(), F_OFD_GETLK, &lock) != 0) throw system_error("asking for locks", errno);
  return lock.l_type != F_UNLCK;
}

}  // namespace

std::variant<ImageLock, Refusal> ImageLock::take(const std::string& path, Use use) {
  const bool writing = use == Use::write;
  // A link or a device that somebody has put there is not even opened.
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) throw system_error(path, errno);
  if (S_ISLNK(st.st_mode) || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
    return Refusal{Reason::not_a_regular_file, path + ": is not a regular file"};
  Fd fd = open_file(path, (writing ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOFOLLOW);
  struct flock lock = one_byte(writing ? F_WRLCK : F_RDLCK, our_byte);
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno != EAGAIN && errno != EACCES) throw system_error("locking " + path, errno);
    return Refusal{Reason::image_in_use,
                   fmt::format("{}: is being worked on by another kvmnet{}", path, holder(fd))};
  }
  ImageLock taken(std::move(fd), path, use);
  if (auto refusal = taken.check_unused()) return *refusal;
  return taken;
}

bool ImageLock::is_of(const std::string& path) const {
  struct stat locked {};
  struct stat named {};
  return ::fstat(fd_.get(), &locked) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

std::optional<Refusal> ImageLock::check_unused() const {
  const std::span<const off_t> bytes = use_ == Use::write
                                           ? std::span<const off_t>(kept_from_writing)
                                           : std::span<const off_t>(written_by_qemu);
  for (const off_t byte : bytes)
    if (is_locked(fd_, byte))
      return Refusal{Reason::image_in_use,
                     fmt::format("{}: is in use by another process{}", path_, holder(fd_))};
  return std::nullopt;
}

}  // namespace kvmnet::disk

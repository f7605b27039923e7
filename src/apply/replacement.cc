// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/replacement.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>

#include "hive/file.h"
#include "src/apply/hive_lock.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

constexpr std::size_t page_size = 4096;

// Makes a file hold `content`; pages that it has already are not written again.
void write_differences(const Fd& fd, std::span<const std::byte> content) {
  const hive::MappedFile file(fd.get());
  const std::span<const std::byte> before = file.bytes();
  if (content.size() > before.size()) hive::resize_file(fd.get(), content.size());
  for (std::size_t begin = 0; begin < content.size(); begin += page_size) {
    const std::size_t size = std::min(page_size, content.size() - begin);
    const bool is_same = begin + size <= before.size() &&
                         std::memcmp(before.data() + begin, content.data() + begin, size) == 0;
    if (!is_same) hive::write_file(fd.get(), begin, content.subspan(begin, size));
  }
  if (content.size() < before.size()) hive::resize_file(fd.get(), content.size());
}

// What else belongs to a file: access control lists, labels. Some are not ours to give. A list that
// the new file has from its directory goes where the old one had none: it would let others read it.
void copy_attributes(const Fd& from, const Fd& to) {
  constexpr const char* access_list = "system.posix_acl_access";
  if (::fgetxattr(from.get(), access_list, nullptr, 0) < 0 && errno == ENODATA &&
      ::fgetxattr(to.get(), access_list, nullptr, 0) >= 0 &&
      ::fremovexattr(to.get(), access_list) != 0)
    throw system_error("removing an inherited access control list", errno);
  std::string names(XATTR_LIST_MAX, '\0');
  const ssize_t length = ::flistxattr(from.get(), names.data(), names.size());
  names.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  std::string value(XATTR_SIZE_MAX, '\0');
  for (std::size_t at = 0; at < names.size(); at = names.find('\0', at) + 1) {
    const char* name = names.data() + at;
    const ssize_t size = ::fgetxattr(from.get(), name, value.data(), value.size());
    if (size >= 0) ::fsetxattr(to.get(), name, value.data(), static_cast<std::size_t>(size), 0);
  }
}

// Without a name nothing of it is left if we are killed.
Fd create_without_name(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  return Fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

void give_name(const Fd& fd, const std::string& name) {
  const std::string file = proc_path(fd);
  if (::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
    throw system_error("creating " + name, errno);
}

}  // namespace

Replacement::Replacement(std::string path, const Fd& original, Naming naming)
    : path_(std::move(path)), original_(original) {
  struct stat st {};
  if (::fstat(original.get(), &st) != 0) throw system_error(path_, errno);
  mode_ = st.st_mode & 07777;
  if (naming == Naming::at_the_end) fd_ = create_without_name(path_);
  if (!fd_.is_open()) {
    fd_ = create_private_file(successor_path(path_));
    temporary_ = successor_path(path_);
  }
  lock_hive(fd_, path_, disk::Use::write);
  // The directory may have given it another group than ours.
  struct stat made {};
  const bool other_owner =
      ::fstat(fd_.get(), &made) != 0 || st.st_uid != made.st_uid || st.st_gid != made.st_gid;
  if (other_owner && ::fchown(fd_.get(), st.st_uid, st.st_gid) != 0) {
    const int error = errno;
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    throw system_error("giving the new file the owner of " + path_, error);
  }
}

Replacement::~Replacement() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void Replacement::begin(const Fd& draft) {
  begun_ = std::async(std::launch::async, [this, &draft] {
    copy_whole(draft, fd_);
    sync_file(fd_, path_);
  });
}

void Replacement::complete(const Fd& content) {
  if (begun_.valid()) begun_.get();
  write_differences(fd_, hive::MappedFile(content.get()).bytes());
  // Not before: what a run that is killed leaves is nobody else's to read.
  copy_attributes(original_, fd_);
  if (::fchmod(fd_.get(), mode_) != 0)
    throw system_error("giving the new file the mode of " + path_, errno);
  sync_file(fd_, path_);
}

void Replacement::finish() {
  if (temporary_.empty()) {
    give_name(fd_, successor_path(path_));
    temporary_ = successor_path(path_);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw system_error(path_, errno);
  temporary_.clear();
  sync_directory_of(path_);
}

}  // namespace kvmnet

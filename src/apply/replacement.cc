// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/replacement.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "hive/file.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

constexpr std::size_t page_size = 4096;

// Makes of a file that holds `before` one that holds `after`.
void write_differences(const Fd& fd, std::span<const std::byte> before,
                       std::span<const std::byte> after) {
  if (after.size() != before.size()) hive::resize_file(fd.get(), after.size());
  for (std::size_t begin = 0; begin < after.size(); begin += page_size) {
    const std::size_t size = std::min(page_size, after.size() - begin);
    const bool is_same = begin + size <= before.size() &&
                         std::memcmp(before.data() + begin, after.data() + begin, size) == 0;
    if (!is_same) hive::write_file(fd.get(), begin, after.subspan(begin, size));
  }
}

}  // namespace

Replacement::Replacement(std::string path, const struct stat& original)
    : path_(std::move(path)),
      temporary_(path_ + ".kvmnet-XXXXXX"),
      mode_(original.st_mode & 07777) {
  fd_ = Fd(::mkostemp(temporary_.data(), O_CLOEXEC));  // mode 0600
  if (!fd_.is_open()) throw system_error("creating a file beside " + path_, errno);
  const bool other_owner = original.st_uid != ::geteuid() || original.st_gid != ::getegid();
  if (other_owner && ::fchown(fd_.get(), original.st_uid, original.st_gid) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    throw system_error("giving the new file the owner of " + path_, error);
  }
}

Replacement::~Replacement() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void Replacement::begin(const Fd& draft) {
  draft_ = &draft;
  begun_ = std::async(std::launch::async, [this, &draft] {
    copy_whole(draft, fd_);
    sync_file(fd_, temporary_);
  });
}

void Replacement::finish(const Fd& content) {
  begun_.get();
  const hive::MappedFile before(draft_->get());
  const hive::MappedFile after(content.get());
  write_differences(fd_, before.bytes(), after.bytes());
  // Not before: what a run that is killed leaves is nobody else's to read.
  if (::fchmod(fd_.get(), mode_) != 0)
    throw system_error("giving the new file the mode of " + path_, errno);
  sync_file(fd_, temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw system_error(path_, errno);
  temporary_.clear();
  sync_directory_of(path_);
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "src/disk/beside.h"
#include "src/disk/holder.h"
#include "src/support/error.h"
#include "src/support/refusal.h"

namespace kvmnet {

disk::Use use_for(Mode mode) {
  return mode == Mode::patch ? disk::Use::write : disk::Use::read;
}

// Not the lock of images: that needs a descriptor for writing, and who may put a new file in a
// hive's place need not be able to write to the old one.
void lock_hive(const Fd& file, const std::string& path, disk::Use use) {
  const int kind = use == disk::Use::write ? LOCK_EX : LOCK_SH;
  if (::flock(file.get(), kind | LOCK_NB) == 0) return;
  if (errno != EWOULDBLOCK) throw system_error("locking " + path, errno);
  throw Refused{
      {Reason::image_in_use, path + ": is being worked on by another kvmnet" + disk::holder(file)}};
}

std::string successor_path(const std::string& hive) {
  return hive + ".kvmnet-new";
}

std::string unfinished_path(const std::string& hive) {
  return hive + ".kvmnet-unfinished";
}

void remove_left_successor(const std::string& hive) {
  const std::string path = successor_path(hive);
  if (!disk::is_there(path)) return;
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) throw system_error(path, errno);
  if (!S_ISREG(st.st_mode)) throw Error(path + ": is in the way of what kvmnet writes");
  const Fd left = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  lock_hive(left, path, disk::Use::write);
  disk::remove_if_there(path);
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/temp_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "src/support/error.h"

namespace kvmnet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "kvmnet.tmp.";

fs::path base_directory() {
  std::error_code error;
  const fs::path base = fs::temp_directory_path(error);
  return error ? fs::path("/tmp") : base;
}

// Not open: somebody else has it, or it is gone.
Fd lock_directory(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat locked {};
  struct stat named {};
  const bool ours = fd.is_open() && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 &&
                    ::fstat(fd.get(), &locked) == 0 && ::lstat(path.c_str(), &named) == 0 &&
                    locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
  return ours ? std::move(fd) : Fd();
}

bool may_be_stale(const fs::path& path) {
  struct stat st {};
  return path.filename().string().starts_with(prefix) && ::lstat(path.c_str(), &st) == 0 &&
         S_ISDIR(st.st_mode) && st.st_uid == ::geteuid();
}

}  // namespace

TempDir::TempDir() {
  const std::string pattern = base_directory() / (std::string(prefix) + "XXXXXX");
  // Between its creation and its lock a directory looks like a stale one.
  while (!lock_.is_open()) {
    path_ = pattern;
    if (::mkdtemp(path_.data()) == nullptr) throw system_error("creating " + pattern, errno);
    lock_ = lock_directory(path_);
  }
  path_ = real_path(path_);  // what is in it can be named through no link then
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void remove_stale_temp_dirs() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(base_directory(), ignored)) {
    if (!may_be_stale(entry.path())) continue;
    if (const Fd lock = lock_directory(entry.path()); lock.is_open())
      fs::remove_all(entry.path(), ignored);
  }
}

}  // namespace kvmnet

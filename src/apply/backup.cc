// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "src/apply/guest_logs.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/memory_view.h"

namespace kvmnet {
namespace {

using guestfs::GuestFiles;

// Of a backup that is being written: whoever finds it knows that it may lack something.
constexpr const char* unfinished = ".kvmnet-unfinished";

// The first of `first`, `first`.1, `first`.2 ...
std::string numbered(const std::string& first, int n) {
  return n == 0 ? first : fmt::format("{}.{}", first, n);
}

// The first of these names that is free. mkdir alone decides: what is there may be anything, and
// another kvmnet may be looking for a name at the same time.
std::string make_directory(const std::string& directory, const std::string& first) {
  std::string path = first;
  for (int n = 1; ::mkdir(path.c_str(), 0700) != 0; ++n) {
    if (errno == ENOENT || errno == ENOTDIR)
      throw Error(fmt::format("{}: {}; a backup needs this directory: create it first", directory,
                              std::generic_category().message(errno)));
    if (errno != EEXIST) throw system_error("creating " + path, errno);
    path = numbered(first, n);
  }
  return path;
}

// 0, or an errno. A file system that cannot be told to replace nothing still replaces no directory
// that holds something.
int rename_to_free_directory(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

// To the first of these names that is free, which is the result.
std::string rename_directory(const std::string& from, const std::string& first) {
  for (int n = 0;; ++n) {
    const std::string to = numbered(first, n);
    const int error = rename_to_free_directory(from, to);
    if (error == 0) return to;
    if (error != EEXIST && error != ENOTEMPTY && error != ENOTDIR)
      throw system_error(fmt::format("renaming {} to {}", from, to), error);
  }
}

void save_file(const std::string& path, std::span<const std::byte> content) {
  const Fd fd = create_private_file(path);
  write_whole(fd, content);
  sync_file(fd, path);
}

// By way of memory: of a file that it cannot write libguestfs does not say why.
void save_log(GuestFiles& guest, const std::string& log, const std::string& path) {
  const Fd copy = make_memory_file("log");
  guest.download(log, copy.get());
  save_file(path, MemoryView(copy).bytes());
}

void save_logs(GuestFiles& guest, const std::string& system_path, const std::string& path) {
  for (const GuestLog& log : find_logs(guest, system_path))
    save_log(guest, log.path, fmt::format("{}/SYSTEM{}", path, log.ending));
}

}  // namespace

Backup::Backup(const std::string& directory, const std::string& name)
    : name_((std::filesystem::path(directory) / name).string()),
      path_(make_directory(directory, name_ + unfinished)) {}

Backup::~Backup() {
  std::error_code ignored;
  if (!kept_) std::filesystem::remove_all(path_, ignored);
}

void Backup::save(GuestFiles& guest, const std::string& system_path,
                  std::span<const std::byte> hive) {
  try {
    if (::chmod(path_.c_str(), 0700) != 0) throw system_error(path_, errno);  // whatever the umask
    const std::string file = path_ + "/SYSTEM";
    save_file(file, hive);
    save_logs(guest, system_path, path_);
    sync_directory_of(file);
    path_ = rename_directory(path_, name_);
    sync_directory_of(path_);
  } catch (const std::exception& e) {
    throw Error(fmt::format("the backup in {} failed: {}", path_, e.what()));
  }
}

const std::string& Backup::keep() {
  kept_ = true;
  return path_;
}

}  // namespace kvmnet

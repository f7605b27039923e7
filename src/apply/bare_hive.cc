// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/bare_hive.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "hive/edit.h"
#include "hive/key_path.h"
#include "hive/log_file.h"
#include "src/apply/hive_lock.h"
#include "src/disk/beside.h"
#include "src/support/error.h"
#include "src/support/refusal.h"

namespace kvmnet {
namespace {

bool is_unchanged(const std::string& path, const struct stat& before) {
  struct stat now {};
  return ::stat(path.c_str(), &now) == 0 && now.st_dev == before.st_dev &&
         now.st_ino == before.st_ino && now.st_size == before.st_size &&
         now.st_mtim.tv_sec == before.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == before.st_mtim.tv_nsec;
}

// The logs that lie beside the hive, whatever their letter case, in the order of log_endings. A
// link may lead to another guest's log: it is none unless the user names it.
std::vector<std::string> logs_beside(const std::string& path) {
  const std::filesystem::path hive = path;
  std::vector<std::string> logs;
  for (const std::string_view ending : hive::log_endings)
    for (const auto& entry : std::filesystem::directory_iterator(hive.parent_path()))
      if (hive::same_name(entry.path().filename().string(),
                          hive.filename().string() + std::string(ending)) &&
          std::filesystem::is_regular_file(entry.symlink_status()))
        logs.push_back(entry.path().string());
  return logs;
}

// One that is there already says the same. It reaches the disk with the hive's new name at the
// latest, which is in the same directory.
void note_unfinished(const std::string& hive) {
  const std::string path = unfinished_path(hive);
  if (!disk::is_there(path)) create_private_file(path);
}

}  // namespace

BareHive::OpenFile BareHive::open(const std::string& path) {
  OpenFile file = {real_path(path), {}, {}};
  file.fd = open_file(file.path, O_RDONLY | O_NONBLOCK);
  if (::fstat(file.fd.get(), &file.st) != 0) throw system_error(path, errno);
  if (!S_ISREG(file.st.st_mode)) throw Error(path + ": not a regular file");
  if (static_cast<std::uint64_t>(file.st.st_size) > hive::largest_hive)
    throw Error(path + ": larger than 256 MiB, more than kvmnet takes into memory");
  return file;
}

// The successor of a hive is locked before it has its name, so that there is no moment between two
// locks; but what we have opened may be the old file by the time that it is locked.
BareHive::OpenFile BareHive::open_locked(const std::string& path, disk::Use use) {
  OpenFile file = open(path);
  lock_hive(file.fd, path, use);
  if (!is_unchanged(file.path, file.st))
    throw Refused{{Reason::image_in_use, path + ": is being changed by somebody else"}};
  if (use == disk::Use::write) remove_left_successor(file.path);
  return file;
}

Fd BareHive::copy_of(const OpenFile& file) {
  Fd copy = make_memory_file("hive");
  copy_whole(file.fd, copy);
  return copy;
}

BareHive::BareHive(const std::string& path, const std::vector<std::string>& given, disk::Use use)
    : file_(open_locked(path, use)), hive_(copy_of(file_)) {
  for (const std::string& log : given) add_log(log);
  given_ = logs_.size();
  const std::vector<std::string> beside = logs_beside(file_.path);
  for (const std::string& log : beside) add_log(log);
  in_use_ = given_ != 0 ? given_ : hive::count_in_use(beside);
}

// The same file may be named twice.
void BareHive::add_log(const std::string& path) {
  OpenFile log = open(path);
  if (log.is(file_)) throw Error(path + ": is the hive itself, not a log of it");
  for (const OpenFile& other : logs_)
    if (log.is(other)) return;
  log_copies_.push_back(copy_of(log));
  logs_.push_back(std::move(log));
}

std::vector<const BareHive::OpenFile*> BareHive::files() const {
  std::vector<const OpenFile*> all = {&file_};
  for (const OpenFile& log : logs_) all.push_back(&log);
  return all;
}

std::string BareHive::why_not_replaceable() const {
  for (const OpenFile* file : files())
    if (file->st.st_nlink > 1)
      return file->path +
             ": has more than one hard link, and its other names are to stay as they are";
  return {};
}

void BareHive::begin_replacing() {
  if (const std::string why = why_not_replaceable(); !why.empty()) throw Error(why);
  replacement_.emplace(file_.path, file_.fd);
  replacement_->begin(hive_);
}

void BareHive::replace(const Fd& hive, const std::vector<hive::LogKind>& kinds) {
  const std::vector<const OpenFile*> own = own_logs(kinds);
  const std::vector<Fd> writable = open_to_write(own);  // before the hive is replaced
  replacement_->complete(hive);
  for (const OpenFile* file : files())  // at the last moment
    if (!is_unchanged(file->path, file->st))
      throw Error(file->path + ": was changed by somebody else meanwhile");
  if (!own.empty()) note_unfinished(file_.path);
  replacement_->finish();
  neutralise(own, writable);
}

void BareHive::finish_interrupted(const HiveFacts& found) {
  if (!disk::is_there(unfinished_path(file_.path))) return;
  // A dirty hive needs its logs: Windows has had it since, or it was not replaced.
  const bool was_clean = found.replayed == 0 && !found.logs_given_up;
  std::vector<const OpenFile*> own;
  if (was_clean) own = own_logs(check_hive(in_memory(), DirtyHive::replay).logs);
  neutralise(own, open_to_write(own));
}

// The file that was looked at, and no other.
Fd BareHive::open_to_write(const OpenFile& file) {
  Fd fd = open_file(file.path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0 || st.st_dev != file.st.st_dev || st.st_ino != file.st.st_ino)
    throw Error(file.path + ": was exchanged by somebody else meanwhile");
  return fd;
}

std::vector<Fd> BareHive::open_to_write(const std::vector<const OpenFile*>& files) {
  std::vector<Fd> writable;
  for (const OpenFile* file : files) writable.push_back(open_to_write(*file));
  return writable;
}

// What is no log of this hive is not written to, whatever it is called.
std::vector<const BareHive::OpenFile*> BareHive::own_logs(
    const std::vector<hive::LogKind>& kinds) const {
  std::vector<const OpenFile*> own;
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    if (kinds[i] == hive::LogKind::own) own.push_back(&logs_[i]);
    if (i < given_ && (kinds[i] == hive::LogKind::foreign || kinds[i] == hive::LogKind::not_a_log))
      throw Error(logs_[i].path + ": is not a log of this hive");
  }
  return own;
}

void BareHive::neutralise(const std::vector<const OpenFile*>& logs,
                          const std::vector<Fd>& writable) const {
  for (std::size_t i = 0; i < logs.size(); ++i) neutralise(*logs[i], writable[i]);
  disk::remove_if_there(unfinished_path(file_.path));
}

void BareHive::neutralise(const OpenFile& log, const Fd& fd) const {
  try {
    write_whole(fd,
                std::string(static_cast<std::size_t>(std::min<off_t>(512, log.st.st_size)), '\0'));
    sync_file(fd, log.path);
  } catch (const std::exception& e) {
    throw Error(
        fmt::format("{}: has been written, but a log of it could not be made invalid: {}; "
                    "make it empty yourself: {}",
                    file_.path, e.what(), log.path));
  }
}

}  // namespace kvmnet

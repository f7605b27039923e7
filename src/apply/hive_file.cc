// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "hive/key_path.h"
#include "hive/log_file.h"
#include "src/apply/hive_client.h"
#include "src/apply/job.h"
#include "src/apply/replacement.h"
#include "src/plan/plan.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet {
namespace {

constexpr off_t largest_hive = 256 << 20;

bool is_unchanged(const std::string& path, const struct stat& before) {
  struct stat now {};
  return ::stat(path.c_str(), &now) == 0 && now.st_dev == before.st_dev &&
         now.st_ino == before.st_ino && now.st_size == before.st_size &&
         now.st_mtim.tv_sec == before.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == before.st_mtim.tv_nsec;
}

struct OpenFile {
  std::string path;  // the file itself, without symbolic links
  Fd fd;
  struct stat st {};

  bool is(const OpenFile& other) const {
    return st.st_dev == other.st.st_dev && st.st_ino == other.st.st_ino;
  }
};

OpenFile open_hive_file(const std::string& path) {
  OpenFile file = {real_path(path), {}, {}};
  file.fd = open_file(file.path, O_RDONLY | O_NONBLOCK);
  if (::fstat(file.fd.get(), &file.st) != 0) throw system_error(path, errno);
  if (!S_ISREG(file.st.st_mode)) throw Error(path + ": not a regular file");
  if (file.st.st_size > largest_hive)
    throw Error(path + ": larger than 256 MiB, more than kvmnet takes into memory");
  return file;
}

Fd copy_of(const OpenFile& file) {
  Fd copy = make_memory_file("hive");
  copy_whole(file.fd, copy);
  return copy;
}

// The logs that lie beside the hive, whatever their letter case, in the order of log_endings.
std::vector<std::string> logs_beside(const std::string& path) {
  const std::filesystem::path hive = path;
  std::vector<std::string> logs;
  for (const std::string_view ending : hive::log_endings)
    for (const auto& entry : std::filesystem::directory_iterator(hive.parent_path()))
      if (hive::same_name(entry.path().filename().string(),
                          hive.filename().string() + std::string(ending)) &&
          entry.is_regular_file())
        logs.push_back(entry.path().string());
  return logs;
}

// A hive file and its logs, and what becomes of them.
class HiveFile {
 public:
  HiveFile(const std::string& path, const std::vector<std::string>& given)
      : file_(open_hive_file(path)), hive_(copy_of(file_)) {
    for (const std::string& log : given) add_log(log);
    given_ = logs_.size();
    const std::vector<std::string> beside = logs_beside(file_.path);
    for (const std::string& log : beside) add_log(log);
    in_use_ = given_ != 0 ? given_ : hive::count_in_use(beside);
  }

  HiveFiles in_memory() const { return {hive_, log_copies_, in_use_}; }

  // Why replace() would refuse; empty: it would not.
  std::string why_not_replaceable() const {
    for (const OpenFile* file : files())
      if (file->st.st_nlink > 1)
        return file->path +
               ": has more than one hard link, and its other names are to stay as they are";
    return {};
  }

  // Begins to write the file that is to take the hive's place; what it will hold is mostly what the
  // hive in memory holds now.
  void begin_replacing() {
    if (const std::string why = why_not_replaceable(); !why.empty()) throw Error(why);
    replacement_.emplace(file_.path, file_.fd);
    replacement_->begin(hive_);
  }

  // Puts what has become of the hive, which is clean, in its place. The logs only then: a dirty
  // hive needs them.
  void replace(const Fd& hive, const std::vector<hive::LogKind>& kinds) {
    const std::vector<const OpenFile*> own = own_logs(kinds);
    std::vector<Fd> writable;  // before the hive is replaced
    for (const OpenFile* log : own)
      writable.push_back(open_file(log->path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK));
    replacement_->complete(hive);
    for (const OpenFile* file : files())  // at the last moment
      if (!is_unchanged(file->path, file->st))
        throw Error(file->path + ": was changed by somebody else meanwhile");
    replacement_->finish();
    for (std::size_t i = 0; i < own.size(); ++i) neutralise(*own[i], writable[i]);
  }
  void replace(const std::vector<hive::LogKind>& kinds) { replace(hive_, kinds); }

 private:
  // The same file may be named twice.
  void add_log(const std::string& path) {
    OpenFile log = open_hive_file(path);
    if (log.is(file_)) throw Error(path + ": is the hive itself, not a log of it");
    for (const OpenFile& other : logs_)
      if (log.is(other)) return;
    log_copies_.push_back(copy_of(log));
    logs_.push_back(std::move(log));
  }

  std::vector<const OpenFile*> files() const {
    std::vector<const OpenFile*> all = {&file_};
    for (const OpenFile& log : logs_) all.push_back(&log);
    return all;
  }

  // What is no log of this hive is not written to, whatever it is called.
  std::vector<const OpenFile*> own_logs(const std::vector<hive::LogKind>& kinds) const {
    std::vector<const OpenFile*> own;
    for (std::size_t i = 0; i < logs_.size(); ++i) {
      if (kinds[i] == hive::LogKind::own) own.push_back(&logs_[i]);
      if (i < given_ &&
          (kinds[i] == hive::LogKind::foreign || kinds[i] == hive::LogKind::not_a_log))
        throw Error(logs_[i].path + ": is not a log of this hive");
    }
    return own;
  }

  void neutralise(const OpenFile& log, const Fd& fd) const {
    try {
      write_whole(
          fd, std::string(static_cast<std::size_t>(std::min<off_t>(512, log.st.st_size)), '\0'));
      sync_file(fd, log.path);
    } catch (const std::exception& e) {
      throw Error(
          fmt::format("{}: has been written, but a log of it could not be made invalid: {}; "
                      "make it empty yourself: {}",
                      file_.path, e.what(), log.path));
    }
  }

  OpenFile file_;
  Fd hive_;
  std::vector<OpenFile> logs_;
  std::vector<Fd> log_copies_;
  std::size_t given_ = 0;   // so many of the logs, from the first on, were named by the user
  std::size_t in_use_ = 0;  // so many are to be replayed
  std::optional<Replacement> replacement_;
};

Facts probe(const HiveFile& file, const HiveFileRequest& request) {
  Facts facts = probe_system_hive(file.in_memory(), request.dirty_hive);
  facts.version = request.version;
  return facts;
}

void patch(const std::string& path, const HiveFileRequest& request, Outcome& outcome) {
  HiveFile file(path, request.logs);
  outcome.facts = probe(file, request);
  Plan plan = value_or_refuse(make_plan(*outcome.facts, request.settings, Scope::bare_hive));
  outcome.edits = std::move(plan.edits);
  outcome.warnings = std::move(plan.warnings);
  outcome.status = outcome.edits.empty() ? Status::unchanged : Status::pending;
  if (outcome.edits.empty()) return;
  if (request.mode == Mode::patch) file.begin_replacing();
  EditedHive edited = edit_hive(file.in_memory(), outcome.edits);
  edited.facts.version = request.version;
  const auto left = make_plan(edited.facts, request.settings, Scope::bare_hive);
  if (!std::holds_alternative<Plan>(left) || !std::get<Plan>(left).edits.empty())
    throw Error("verification failed: the edited hive does not have every value as set");
  if (request.mode == Mode::plan) {
    if (const std::string why = file.why_not_replaceable(); !why.empty())
      outcome.warnings.push_back("patch will fail: " + why);
    return;
  }
  file.replace(edited.file, edited.logs);
  outcome.status = Status::patched;
}

void replay(const std::string& path, const HiveFileRequest& request, Outcome& outcome) {
  HiveFile file(path, request.logs);
  const HiveCheck check = check_hive(file.in_memory(), request.dirty_hive);
  const HiveFacts& facts = check.condition;
  const std::string name = std::filesystem::path(path).filename().string();
  if (auto refusal = check_condition(facts, name)) throw Refused{*refusal};
  outcome.status = Status::unchanged;
  if (facts.replayed == 0 && !facts.logs_given_up) return;
  if (!check.structure.sound())
    throw Refused{{Reason::damaged_hive,
                   fmt::format("the {} hive is damaged with its logs applied; 'kvmnet hive check' "
                               "tells more",
                               name)}};
  if (facts.logs_given_up)
    outcome.warnings.emplace_back("there is no log that applies: what is only in logs is lost");
  else
    outcome.warnings.push_back(fmt::format(
        "{} applied from its transaction logs",
        facts.replayed == 1 ? "one entry was" : fmt::format("{} entries were", facts.replayed)));
  file.begin_replacing();
  file.replace(check.logs);
  outcome.status = Status::replayed;
}

}  // namespace

Outcome patch_hive_file(const std::string& path, const HiveFileRequest& request) {
  return run_job(path, [&](Outcome& outcome) { patch(path, request, outcome); });
}

Outcome replay_hive_file(const std::string& path, const HiveFileRequest& request) {
  return run_job(path, [&](Outcome& outcome) { replay(path, request, outcome); });
}

HiveCheck check_hive_file(const std::string& path, const std::vector<std::string>& logs) {
  return check_hive(HiveFile(path, logs).in_memory(), DirtyHive::replay);
}

}  // namespace kvmnet

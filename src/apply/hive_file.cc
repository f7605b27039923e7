// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "hive/error.h"
#include "src/apply/apply.h"
#include "src/apply/probe.h"
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

// A file beside `path` that takes its place, or goes.
class Replacement {
 public:
  Replacement(std::string path, const struct stat& original)
      : path_(std::move(path)), temporary_(path_ + ".kvmnet-XXXXXX") {
    fd_ = Fd(::mkostemp(temporary_.data(), O_CLOEXEC));  // mode 0600
    if (!fd_.is_open()) throw system_error("creating a file beside " + path_, errno);
    // The owner first: chown clears set-id bits, and the mode must not be wider for a stranger.
    const bool other_owner = original.st_uid != ::geteuid() || original.st_gid != ::getegid();
    if ((other_owner && ::fchown(fd_.get(), original.st_uid, original.st_gid) != 0) ||
        ::fchmod(fd_.get(), original.st_mode & 07777) != 0) {
      const int error = errno;
      ::unlink(temporary_.c_str());
      throw system_error("giving the new file the owner and mode of " + path_, error);
    }
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;
  ~Replacement() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  void replace_with(std::span<const std::byte> content) {
    write_whole(fd_, content);
    sync_file(fd_, temporary_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw system_error(path_, errno);
    temporary_.clear();
    sync_directory_of(path_);
  }

 private:
  std::string path_;
  std::string temporary_;
  Fd fd_;
};

Facts probe(const Fd& hive, const WindowsVersion& version) {
  Facts facts = probe_system_hive(hive);
  facts.version = version;
  return facts;
}

void work(const std::string& path, const HiveFileRequest& request, Outcome& outcome) {
  const std::string real = real_path(path);
  const Fd file = open_file(real, O_RDONLY | O_NONBLOCK);
  struct stat st {};
  if (::fstat(file.get(), &st) != 0) throw system_error(path, errno);
  if (!S_ISREG(st.st_mode)) throw Error("not a regular file");
  if (st.st_nlink > 1) throw Error("has more than one hard link; a new file would break them");
  if (st.st_size > largest_hive) throw Error("larger than any SYSTEM hive");
  const Fd copy = make_memory_file("SYSTEM");
  write_whole(copy, read_whole(file));

  outcome.facts = probe(copy, request.version);
  auto planned = make_plan(*outcome.facts, request.settings, Scope::bare_hive);
  if (auto* refusal = std::get_if<Refusal>(&planned)) {
    outcome.status = Status::refused;
    outcome.refusal = std::move(*refusal);
    return;
  }
  auto& plan = std::get<Plan>(planned);
  outcome.edits = std::move(plan.edits);
  outcome.warnings = std::move(plan.warnings);
  outcome.status = outcome.edits.empty() ? Status::unchanged : Status::pending;
  if (outcome.edits.empty()) return;
  edit_hive(copy, outcome.edits);
  const auto left = make_plan(probe(copy, request.version), request.settings, Scope::bare_hive);
  if (!std::holds_alternative<Plan>(left) || !std::get<Plan>(left).edits.empty())
    throw Error("verification failed: the edited hive does not have every value as set");
  if (request.mode == Mode::plan) return;
  Replacement replacement(real, st);
  if (!is_unchanged(real, st)) throw Error("was changed by somebody else meanwhile");
  replacement.replace_with(read_whole(copy));
  outcome.status = Status::patched;
}

}  // namespace

Outcome patch_hive_file(const std::string& path, const HiveFileRequest& request) {
  Outcome outcome;
  outcome.image = path;
  try {
    work(path, request, outcome);
  } catch (const hive::Unsupported& e) {
    outcome.status = Status::refused;
    outcome.refusal = Refusal{Reason::hive_not_editable, e.what()};
  } catch (const std::exception& e) {
    outcome.status = Status::failed;
    outcome.error = e.what();
  }
  return outcome;
}

}  // namespace kvmnet

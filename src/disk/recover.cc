// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/recover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "src/disk/beside.h"
#include "src/disk/changes.h"
#include "src/disk/commit_steps.h"
#include "src/disk/confinement.h"
#include "src/disk/journal.h"
#include "src/disk/qcow2_header.h"
#include "src/disk/qcow2_tables.h"
#include "src/disk/qemu_commit.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {
namespace {

using State = Journal::State;

// What recover() finds, under the lock.
class Recoverer {
 public:
  Recoverer(std::string image, const ImageLock& lock, const BeforeWriting& before_writing)
      : image_(std::move(image)), lock_(lock), before_writing_(before_writing) {}

  Recovered run(Interruption interruption) {
    check_owners();
    auto journal = Journal::open(image_, Use::write);
    remove_second_name();
    const bool hidden = is_there(commit_path(image_));
    if (hidden && is_there(image_))
      conflict(fmt::format("{} is there, and so is {}, whose commit was interrupted", image_,
                           commit_path(image_)));
    if (!journal || !journal->content()) {
      if (hidden) conflict(commit_path(image_) + " is there without a journal that can be read");
      remove_if_there(overlay_path(image_));
      if (journal) journal->remove();
      return {};
    }
    content_ = *journal->content();
    const State state = journal->state();
    Commit commit(image_, std::move(*journal), lock_, before_writing_);
    if (state == State::done) {
      if (!hidden) return {Recovery::nothing, commit.finish()};
      check_written_whole(commit_path(image_));
      before_writing_();
      return {Recovery::finished, commit.finish()};
    }
    if (interruption == Interruption::discard ||
        (interruption == Interruption::start_anew && state == State::ready))
      return discard(commit, state, hidden);
    return finish(commit, state, hidden);
  }

 private:
  [[noreturn]] void conflict(const std::string& what) const {
    throw Refused{{Reason::commit_conflict, fmt::format("{}: {}", image_, what)}};
  }

  // What a rename that was interrupted can leave, see rename_to_free_name(). Nothing is written
  // before the first of them has ended, and everything before the second begins.
  void remove_second_name() const {
    struct stat first {};
    struct stat second {};
    const bool both = ::lstat(image_.c_str(), &first) == 0 &&
                      ::lstat(commit_path(image_).c_str(), &second) == 0 &&
                      first.st_dev == second.st_dev && first.st_ino == second.st_ino;
    // No link of somebody else's may pass for the name that stays.
    if (both && S_ISREG(first.st_mode) && first.st_nlink > 1) remove_if_there(commit_path(image_));
  }

  // Its inode tells which file it is, but not of one that was moved to where there is more space,
  // with the files beside it, nor on a file system that numbers its files anew at each mount. There
  // what it holds must tell: check_content().
  bool has_moved(const std::string& path) const {
    return identity_of(path).inode != content_.identity.inode;
  }

  void check_size(const std::string& path) const {
    const off_t size = identity_of(path).size;
    const off_t least = content_.identity.size;
    if (size < least || (content_.format == Format::raw && size != least))
      conflict(path + " is not the file whose commit was interrupted: it has another size");
  }

  void check_written_whole(const std::string& path) const {
    judge(path);
    if (!has_moved(path)) return;
    check_overlay();
    if (check_content(path, State::done).before > 0)
      conflict(path + " is not the file whose commit was interrupted: it has not all of its patch");
  }

  // Anybody who may write to the directory can put such files there, and root would follow them.
  void check_owners() const {
    struct stat image {};
    const std::string place = is_there(commit_path(image_)) ? commit_path(image_) : image_;
    if (::lstat(place.c_str(), &image) != 0) throw system_error(place, errno);
    if (!S_ISREG(image.st_mode)) conflict(place + " is not a regular file");
    for (const std::string& path : {journal_path(image_), overlay_path(image_)}) {
      struct stat st {};
      if (::lstat(path.c_str(), &st) != 0) continue;
      const bool trusted =
          st.st_uid == ::geteuid() || (::geteuid() == 0 && st.st_uid == image.st_uid);
      if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || !trusted)
        conflict(path + " is not a file that kvmnet has made for this user");
    }
  }

  Recovered discard(Commit& commit, State state, bool hidden) const {
    // A backup was restored in the place of the half-written image.
    const bool replaced = !hidden && has_moved(image_);
    if (state != State::ready && !replaced)
      throw Refused{{Reason::commit_half_done,
                     image_ + ": may be half written, so that its patch cannot be discarded"}};
    if (state != State::ready) check_restored();
    commit.roll_back();
    return {Recovery::discarded, {}};
  }

  // Its files may also have been moved to another file system, and the image have been given its
  // name back there: then it is half written all the same, and needs what would be dropped.
  void check_restored() const {
    judge(image_);
    check_overlay();
    bool half_written = content_.format == Format::qcow2 && find_damage(image_).has_value();
    if (!half_written) {
      const Fd ruleset = confine_to_image(image_, content_.format, overlay_path(image_));
      ServedDisk after(overlay_options(overlay_path(image_), image_, content_.format), ruleset);
      ServedDisk before(image_options(image_, content_.format), ruleset);
      const Range last = content_.changes.empty() ? Range{} : content_.changes.back().range;
      const bool fits = last.start + last.length <= before.size();
      if (!fits) return;  // a file of another kind
      try {
        half_written = look(content_.changes, after, before, content_.format).after > 0;
      } catch (const OverlayHasChanged& e) {
        conflict(e.what());
      }
    }
    if (half_written)
      throw Refused{
          {Reason::commit_half_done,
           fmt::format("{}: is another file than the one whose commit was interrupted, but "
                       "has a part of its patch; if it is a backup that was patched, "
                       "remove {} and {}",
                       image_, journal_path(image_), overlay_path(image_))}};
  }

  Recovered finish(Commit& commit, State state, bool hidden) const {
    const std::string path = hidden ? commit_path(image_) : image_;
    check_untouched(path, state, hidden);
    // While tables are being put back its header may be torn; QEMU takes it for a mere file then.
    if (state != State::restoring) judge(path);
    if (state != State::ready) forget_cached(path);
    check_overlay();
    check_content(path, state);
    if (state == State::ready && !hidden) return {Recovery::finished, commit.run()};
    before_writing_();
    if (!hidden) commit.hide_untouched();
    if (state != State::ready) put_back_tables(commit);
    return {Recovery::finished, commit.write()};
  }

  // A half-written image is touched by its commit alone, as long as nobody finds it by its name.
  void check_untouched(const std::string& path, State state, bool hidden) const {
    if (state != State::ready && hidden) return;
    Identity now = identity_of(path);
    if (hidden) now.inode = content_.identity.inode;  // check_content() looks at that
    if (is_unchanged(now, content_.identity)) return;
    if (!hidden && has_moved(path))
      conflict(fmt::format(
          "another file is in the place of the one whose commit was interrupted; if it was "
          "restored from a backup, drop the patch with --discard; if it is half written, was moved "
          "here, and nobody has used it since, rename it to {} and recover it then",
          commit_path(image_)));
    if (state == State::ready)
      conflict("was changed by somebody else since its patch was interrupted");
    conflict(
        fmt::format("may be half written, and was given its name back by hand; if nobody has used "
                    "it since, rename it to {} and recover it then",
                    commit_path(image_)));
  }

  // Before QEMU opens it: it lay beside us meanwhile.
  void judge(const std::string& path) const {
    value_or_refuse(identify(path, std::string(to_string(content_.format))));
  }

  void put_back_tables(Commit& commit) const {
    const std::string path = commit_path(image_);
    commit.put_back_tables();
    judge(path);
    if (content_.format != Format::qcow2) return;
    if (const auto damage = find_damage(path))
      throw Error(fmt::format(
          "{}: its tables were put back as they had been, and are damaged all the same; restore it "
          "from a backup; qemu-img check says: {}",
          image_, *damage));
  }

  // After an error of the disk the kernel may show as written what never got there: the commit that
  // it interrupted may have been a moment ago.
  void forget_cached(const std::string& path) const {
    for (const std::string& name : {path, overlay_path(image_)}) {
      if (!is_there(name)) continue;
      const Fd fd = open_file(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      sync_file(fd, name);
      if (const int error = ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED); error != 0)
        throw system_error(name, error);
    }
  }

  // It lay beside the image meanwhile; QEMU must not be led to other files by it.
  void check_overlay() const {
    const std::string overlay = overlay_path(image_);
    if (!is_there(overlay)) conflict(overlay + ", which has the changes, is missing");
    const Fd fd = open_file(overlay, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      if (!check_qcow2(read_qcow2_header(fd, overlay), overlay)) return;
    } catch (const Refused&) {
    }
    conflict(overlay + " is not the overlay that kvmnet has made");
  }

  // With the image below it as a mere file: its tables may be such that QEMU cannot read them.
  void check_overlay_alone(const std::string& path) const {
    try {
      ServedDisk after(overlay_options(overlay_path(image_), path, Format::raw),
                       confine_to_image(path, Format::raw, overlay_path(image_)));
      disk::check_overlay(content_.changes, after);
    } catch (const OverlayHasChanged& e) {
      conflict(e.what());
    }
  }

  // We write to no image that was not closed, and leave none so (see QemuCommit).
  void check_closed(const std::string& path) const {
    if (content_.format == Format::qcow2 &&
        read_qcow2_header(open_file(path, O_RDONLY), path).is_dirty)
      conflict("somebody else has opened it for writing since its patch was interrupted");
  }

  // Tables that an error of the disk has spoiled while QEMU wrote them, or that are being put back,
  // say nothing of what the image holds; nor can a guest have used it.
  bool has_lost_its_tables(const std::string& path, State state) const {
    if (state == State::restoring) return true;
    return state == State::writing && content_.format == Format::qcow2 && find_damage(path);
  }

  Progress check_content(const std::string& path, State state) const {
    if (state != State::restoring) check_closed(path);
    const bool moved = has_moved(path);
    if (moved) check_size(path);
    const bool has_tables = !has_lost_its_tables(path, state);
    // What a half-written image has in the place of compressed clusters cannot even be read.
    const bool tells = has_tables && !(content_.is_compressed && state == State::writing);
    if (moved && !tells)
      conflict(
          fmt::format("{} is not the file whose commit was interrupted, or was moved; and what it "
                      "holds cannot tell which",
                      path));
    try {
      if (has_tables) check_rest(path);
      if (!tells) {
        check_overlay_alone(path);
        return {};
      }
      const Fd ruleset = confine_to_image(path, content_.format, overlay_path(image_));
      ServedDisk after(overlay_options(overlay_path(image_), path, content_.format), ruleset);
      ServedDisk before(image_options(path, content_.format), ruleset);
      Progress progress = look(content_.changes, after, before, content_.format);
      check_progress(progress);
      return progress;
    } catch (const OverlayHasChanged& e) {
      conflict(e.what());
    }
  }

  // Putting the tables back would lose what somebody else has added elsewhere on the disk.
  void check_rest(const std::string& path) const {
    if (content_.format == Format::qcow2 && rest_of(open_file(path, O_RDONLY | O_NOFOLLOW), path,
                                                    ranges_of(content_.changes)) != content_.rest)
      conflict(
          "somebody else has written to it, or has changed its snapshots, since its patch was "
          "interrupted");
  }

  void check_progress(const Progress& progress) const {
    if (progress.foreign.empty()) return;
    const Range& first = progress.foreign.front();
    conflict(fmt::format(
        "somebody else has written to it since its patch was interrupted: {} bytes at {} of the "
        "disk are neither what they were nor what they were to become{} ({} sectors are as "
        "before, {} as after)",
        first.length, first.start,
        progress.foreign.size() > 1
            ? fmt::format(", and in {} places more", progress.foreign.size() - 1)
            : "",
        progress.before, progress.after));
  }

  std::string image_;
  const ImageLock& lock_;
  const BeforeWriting& before_writing_;
  Journal::Content content_;
};

// The file itself: under its name, or where its commit has put it.
std::string place_of(const std::string& image) {
  return is_there(commit_path(image)) ? commit_path(image) : image;
}

// A lock on the image wherever it is. It may be renamed while we look.
ImageLock lock_in_place(const std::string& image, Use use) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    const std::string path = place_of(image);
    if (!is_there(path)) continue;
    auto lock = ImageLock::take(path, use);
    if (const auto* refusal = std::get_if<Refusal>(&lock);
        refusal != nullptr && refusal->reason == Reason::not_a_regular_file && path != image)
      throw Refused{{Reason::commit_conflict, refusal->message}};
    // A live run holds the lock for as long as the image has its other name.
    if (std::holds_alternative<Refusal>(lock) || std::get<ImageLock>(lock).is_of(place_of(image)))
      return value_or_refuse(std::move(lock));
  }
  throw system_error(image, ENOENT);
}

}  // namespace

Recovered recover(const std::string& image, Interruption interruption,
                  const BeforeWriting& before_writing) {
  const ImageLock lock = lock_in_place(image, Use::write);
  return Recoverer(image, lock, before_writing).run(interruption);
}

bool has_leftovers(const std::string& image) {
  return is_there(commit_path(image)) || is_there(journal_path(image)) ||
         is_there(overlay_path(image));
}

bool has_only_prepared(const std::string& image) {
  if (!is_there(journal_path(image))) return false;
  const ImageLock lock = lock_in_place(image, Use::read);
  const auto journal = Journal::open(image, Use::read);
  return journal && journal->content() && journal->state() == State::ready;
}

std::optional<Refusal> check_committed(const std::string& image) {
  if (!has_leftovers(image)) return std::nullopt;
  try {
    const ImageLock lock = lock_in_place(image, Use::read);
    const bool hidden = is_there(commit_path(image));
    const auto journal = Journal::open(image, Use::read);
    const bool interrupted = journal && journal->content() && journal->state() != State::done;
    if (!hidden && !interrupted) return std::nullopt;  // nothing that matters to a reader
    const bool untouched = interrupted && journal->state() == State::ready;
    return Refusal{Reason::commit_interrupted,
                   fmt::format("{}: its patch was interrupted {} it was written{}", image,
                               untouched ? "before" : "while",
                               hidden ? "; it is now called " + commit_path(image) : "")};
  } catch (const Refused& e) {
    return e.refusal;
  }
}

}  // namespace kvmnet::disk

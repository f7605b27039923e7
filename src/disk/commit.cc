// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/commit.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <utility>

#include "src/disk/beside.h"
#include "src/disk/host_space.h"
#include "src/disk/journal.h"
#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

using State = Journal::State;

// A value inside --image-opts, where a comma ends an option unless it is doubled.
std::string option_value(const std::string& text) {
  std::string out;
  for (const char c : text) out.append(c == ',' ? 2 : 1, c);
  return out;
}

// Every driver and file by name: QEMU probes nothing, and the overlay's own word for its backing
// file, which is wrong once the image has been renamed, does not count.
std::string image_options(const std::string& path, Format format) {
  return fmt::format("driver={},file.driver=file,file.filename={}", to_string(format),
                     option_value(path));
}

std::string overlay_options(const std::string& overlay, const std::string& image, Format format) {
  return fmt::format(
      "driver=qcow2,file.driver=file,file.filename={},backing.driver={},"
      "backing.file.driver=file,backing.file.filename={}",
      option_value(overlay), to_string(format), option_value(image));
}

// As far as a rename leaves it: that changes the time of the last change of state. Neither is the
// device compared: a file system may have another number after a reboot.
bool is_unchanged(const Identity& now, const Identity& before) {
  return now.inode == before.inode && now.size == before.size &&
         now.modified_ns == before.modified_ns;
}

// Of `qemu-img check`.
constexpr int sound = 0;
constexpr int corruptions = 2;
constexpr int leaked_clusters = 3;

Finished check(const std::string& path, const std::vector<std::string>& options = {}) {
  std::vector<std::string> command = {"qemu-img", "check", "-q", "-f", "qcow2"};
  command.insert(command.end(), options.begin(), options.end());
  command.push_back(path);
  return ::kvmnet::run(command);
}

void repair(const std::string& path, const char* what) {
  const Finished repaired = check(path, {"-r", what});
  if (repaired.status != sound)
    throw Error(fmt::format("{}: qemu-img check could not repair it: {}", path,
                            repaired.output.substr(0, 400)));
}

// With both, QEMU 7.2's repair writes the header before it has read the snapshots, and so loses
// them (seen with qemu-img 7.2.22; reading, as commit does, is not affected).
bool loses_snapshots_by_repair(const std::string& path) {
  const Qcow2Header header = read_qcow2_header(open_file(path, O_RDONLY), path);
  return header.has_snapshots && header.has_autoclear;
}

// Of an image in which `qemu-img check` has found leaks. Returns a warning where they stay.
std::vector<std::string> give_back_leaks(const std::string& path, const std::string& image) {
  if (loses_snapshots_by_repair(path))
    return {image +
            ": space that writing to the image has lost is not given back, because 'qemu-img check "
            "-r' would drop the internal snapshots of an image with bitmaps"};
  repair(path, "leaks");
  return {};
}

// qemu-img ends with status 0 when it could not write its tables as it closes the image; then only
// its words tell ("Failed to flush the refcount block cache"; seen with 7.2.22).
void check_words(const std::string& output) {
  constexpr std::string_view speaker = "qemu-img: ";
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(speaker) && !line.substr(speaker.size()).starts_with("warning: "))
      throw Error(line);
}

// Also a commit that nothing disturbs can lose clusters: qemu-img 7.2.22 does while the disk is
// busy with other things. Returns warnings. `image`: its name for them.
std::vector<std::string> write_into(const std::string& overlay, const std::string& path,
                                    Format format, const std::string& image) {
  check_words(run_checked(
      {"qemu-img", "commit", "-q", "-d", "--image-opts", overlay_options(overlay, path, format)}));
  std::vector<std::string> warnings;
  if (format == Format::qcow2) {
    const Finished found = check(path);
    if (found.status == leaked_clusters)
      warnings = give_back_leaks(path, image);
    else if (found.status != sound)
      throw Error("qemu-img check finds errors after it: " + found.output.substr(0, 400));
  }
  sync_file(open_file(path, O_RDONLY), path);
  return warnings;
}

Refusal changed_meanwhile(const std::string& image) {
  return {Reason::image_in_use,
          image + ": was changed by somebody else meanwhile; nothing was written to it"};
}

// One commit, from the journal on: the files are named by the image's path.
class Commit {
 public:
  Commit(std::string image, Journal journal, const ImageLock& lock,
         const BeforeWriting& before_writing)
      : image_(std::move(image)),
        journal_(std::move(journal)),
        lock_(lock),
        before_writing_(before_writing) {}

  // From `ready`, the image under its own name: away with it, write, and back. Returns warnings.
  std::vector<std::string> run() {
    try {
      before_writing_();
      hide();
      check_untouched();
    } catch (...) {
      roll_back();
      throw;
    }
    return write();
  }

  // Also from `ready` and `writing`, with the image under its other name.
  std::vector<std::string> write() {
    const std::string path = commit_path(image_);
    const bool untouched = journal_.state() == State::ready;
    std::vector<std::string> warnings;
    try {
      journal_.set_state(State::writing);
      warnings = write_into(overlay_path(image_), path, content().format, image_);
      journal_.set_state(State::done);
    } catch (const std::exception& e) {
      // The times tell what this run has written, not what one before a power cut has.
      if (!untouched || !is_unchanged(identity_of(path), content().identity))
        throw Error(fmt::format(
            "{}: {}; the image may be half written and is now called {}, so that nobody starts "
            "the guest; make sure that there is space, then {}",
            image_, e.what(), path, remedy(Reason::commit_interrupted)));
      roll_back();
      throw Error(fmt::format("{}: {}; nothing was written to the image", image_, e.what()));
    }
    finish();
    return warnings;
  }

  // From `done`.
  void finish() {
    try {
      show();
      drop();
    } catch (const std::exception& e) {
      throw Error(fmt::format("{}: the changes are all written, but {}; {}", image_, e.what(),
                              remedy(Reason::commit_interrupted)));
    }
  }

  // When nothing has been written. The guest may be started as soon as the image has its name back:
  // from then on nothing may finish this commit without a look at the image.
  void roll_back() {
    try {
      if (journal_.state() == State::writing) journal_.set_state(State::ready);
      show();
      drop();
    } catch (const std::exception& e) {
      throw Error(fmt::format(
          "{}: nothing was written to the image, but {}; 'kvmnet recover --discard' tidies up",
          image_, e.what()));
    }
  }

  // The image's other name, so that nobody can start the guest.
  void hide() {
    rename_to_free_name(image_, commit_path(image_));
    sync_directory_of(image_);
  }

 private:
  const Journal::Content& content() const { return *journal_.content(); }

  void check_untouched() const {
    if (!is_unchanged(identity_of(commit_path(image_)), content().identity))
      throw Refused{changed_meanwhile(image_)};
    if (auto refusal = lock_.check_unused()) throw Refused{*refusal};
  }

  void show() {
    if (!is_there(commit_path(image_))) return;
    rename_to_free_name(commit_path(image_), image_);
    sync_directory_of(image_);
  }

  // Never a journal without its overlay.
  void drop() {
    journal_.remove();
    sync_directory_of(image_);
    remove_if_there(overlay_path(image_));
  }

  std::string image_;
  Journal journal_;
  const ImageLock& lock_;
  const BeforeWriting& before_writing_;
};

void check_room(const ImageInfo& image, const std::string& overlay) {
  constexpr std::uint64_t metadata = 4 << 20;  // journal, and tables of the image that grow
  struct stat st {};
  if (::stat(overlay.c_str(), &st) != 0) throw system_error(overlay, errno);
  const std::uint64_t needed = static_cast<std::uint64_t>(st.st_blocks) * 512 + metadata;
  const std::string directory = std::filesystem::path(image.path).parent_path().string();
  if (auto refusal = check_space(directory, needed, "the changes")) throw Refused{*refusal};
}

Journal write_journal(const Overlay& overlay, const ImageInfo& image) {
  BlockReader after(overlay_options(overlay.path(), image.path, image.format));
  BlockReader before(image_options(image.path, image.format));
  return Journal::create(
      image, {image.format, image.identity, overlay.image_is_compressed(), compare(after, before)});
}

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
      if (hidden) check_same_file(commit_path(image_));
      commit.finish();
      return {hidden ? Recovery::finished : Recovery::nothing, {}};
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
    if (is_there(image_) && is_there(commit_path(image_)) &&
        identity_of(image_).inode == identity_of(commit_path(image_)).inode)
      remove_if_there(commit_path(image_));
  }

  void check_same_file(const std::string& path) const {
    if (identity_of(path).inode != content_.identity.inode)
      conflict(fmt::format("{} is not the file whose commit was interrupted", path));
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
    const bool replaced = !hidden && identity_of(image_).inode != content_.identity.inode;
    if (state == State::writing && !replaced)
      throw Refused{{Reason::commit_half_done,
                     image_ + ": may be half written, so that its patch cannot be discarded"}};
    if (hidden) check_same_file(commit_path(image_));
    commit.roll_back();
    return {Recovery::discarded, {}};
  }

  Recovered finish(Commit& commit, State state, bool hidden) const {
    const std::string path = hidden ? commit_path(image_) : image_;
    check_same_file(path);
    if (!is_unchanged(identity_of(path), content_.identity)) {
      if (state == State::ready)
        conflict("was changed by somebody else since its patch was interrupted");
      if (!hidden)
        conflict(fmt::format(
            "may be half written, and was given its name back by hand; if nobody has used it "
            "since, rename it to {} and recover it then",
            commit_path(image_)));
    }
    const ImageInfo info = value_or_refuse(identify(path, std::string(to_string(content_.format))));
    if (state == State::writing) forget_cached(path);
    check_overlay();
    check_content(path, state);
    if (state == State::ready && !hidden) {
      return {Recovery::finished, commit.run()};
    }
    before_writing_();
    if (!hidden) commit.hide();
    std::vector<std::string> warnings;
    if (state == State::writing) warnings = repair_interrupted(info);
    if (const auto more = commit.write(); warnings.empty()) warnings = more;
    return {Recovery::finished, warnings};
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
    if (check_qcow2(read_qcow2_header(fd, overlay), overlay))
      conflict(overlay + " is not the overlay that kvmnet has made");
  }

  void check_overlay_alone(const std::string& path) const {
    try {
      BlockReader after(overlay_options(overlay_path(image_), path, content_.format));
      disk::check_overlay(content_.changes, after);
    } catch (const OverlayHasChanged& e) {
      conflict(e.what());
    }
  }

  void check_content(const std::string& path, State state) const {
    // What a half-written image has in the place of compressed clusters cannot even be read.
    if (content_.is_compressed && state == State::writing) return check_overlay_alone(path);
    Progress progress;
    try {
      BlockReader after(overlay_options(overlay_path(image_), path, content_.format));
      BlockReader before(image_options(path, content_.format));
      progress = look(content_.changes, after, before, content_.format);
    } catch (const OverlayHasChanged& e) {
      conflict(e.what());
    } catch (const Error&) {
      // An error of the disk while tables were written leaves an image that cannot be read before
      // it is repaired; nobody else can have used it either.
      if (state != State::writing || content_.format != Format::qcow2 ||
          check(path).status != corruptions)
        throw;
      return check_overlay_alone(path);
    }
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

  // A killed commit leaves clusters that nothing refers to; one whose disk has failed may leave
  // some that are not counted, and would be overwritten by what comes next.
  std::vector<std::string> repair_interrupted(const ImageInfo& info) const {
    if (info.format != Format::qcow2) return {};
    const std::string path = commit_path(image_);
    const int found = check(path).status;
    if (found == sound) return {};
    if (found == leaked_clusters) return give_back_leaks(path, image_);
    if (loses_snapshots_by_repair(path))
      throw Error(image_ +
                  ": its tables are damaged, and 'qemu-img check -r' would drop its internal "
                  "snapshots, because it has bitmaps, too; restore it from a backup");
    repair(path, "all");
    return {};
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
    // A live run holds the lock for as long as the image has its other name.
    if (std::holds_alternative<Refusal>(lock) || std::get<ImageLock>(lock).is_of(place_of(image)))
      return value_or_refuse(std::move(lock));
  }
  throw system_error(image, ENOENT);
}

}  // namespace

std::vector<std::string> commit(Overlay overlay, const ImageInfo& image, const ImageLock& lock,
                                const BeforeWriting& before_writing) {
  sync_file(open_file(overlay.path(), O_RDONLY), overlay.path());
  check_room(image, overlay.path());
  if (identity_of(image.path) != image.identity) throw Refused{changed_meanwhile(image.path)};
  Journal journal = write_journal(overlay, image);
  overlay.keep();  // from here on the journal decides what becomes of it
  return Commit(image.path, std::move(journal), lock, before_writing).run();
}

std::vector<std::string> commit_to_private_file(const Overlay& overlay, const ImageInfo& file) {
  sync_file(open_file(overlay.path(), O_RDONLY), overlay.path());
  return write_into(overlay.path(), file.path, file.format, file.path);
}

Recovered recover(const std::string& image, Interruption interruption,
                  const BeforeWriting& before_writing) {
  const ImageLock lock = lock_in_place(image, Use::write);
  return Recoverer(image, lock, before_writing).run(interruption);
}

bool has_leftovers(const std::string& image) {
  return is_there(commit_path(image)) || is_there(journal_path(image)) ||
         is_there(overlay_path(image));
}

std::optional<Refusal> check_committed(const std::string& image) {
  if (!has_leftovers(image)) return std::nullopt;
  try {
    const ImageLock lock = lock_in_place(image, Use::read);
    const bool hidden = is_there(commit_path(image));
    const auto journal = Journal::open(image, Use::read);
    const bool interrupted = journal && journal->content() && journal->state() != State::done;
    if (!hidden && !interrupted) return std::nullopt;  // nothing that matters to a reader
    return Refusal{Reason::commit_interrupted,
                   fmt::format("{}: its patch was interrupted while it was written{}", image,
                               hidden ? "; it is now called " + commit_path(image) : "")};
  } catch (const Refused& e) {
    return e.refusal;
  }
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/qemu_commit.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <sstream>
#include <string_view>
#include <utility>

#include "src/disk/confinement.h"
#include "src/disk/gate.h"
#include "src/disk/image_check.h"
#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

// Of `qemu-img check`.
constexpr int sound = 0;
constexpr int not_checked = 1;
constexpr int corruptions = 2;
constexpr int leaked_clusters = 3;

std::vector<std::string> qemu_img(const std::vector<std::string>& first,
                                  const std::vector<std::string>& then) {
  std::vector<std::string> command = {"qemu-img"};
  command.insert(command.end(), first.begin(), first.end());
  command.insert(command.end(), then.begin(), then.end());
  return command;
}

std::vector<std::string> check_words(const std::string& path,
                                     const std::vector<std::string>& options) {
  std::vector<std::string> words = {"check", "-q", "-f", "qcow2"};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(path);
  return words;
}

Finished check(const std::string& path, const std::vector<std::string>& options = {}) {
  return ::kvmnet::run(qemu_img({}, check_words(path, options)),
                       confine_to_image(path, Format::qcow2, ""));
}

// With both, QEMU 7.2's repair writes the header before it has read the snapshots, and so loses
// them (seen with qemu-img 7.2.22; reading, as commit does, is not affected).
bool loses_snapshots_by_repair(const std::string& path) {
  const Qcow2Header header = read_qcow2_header(open_file(path, O_RDONLY), path);
  return header.snapshots != 0 && header.has_autoclear;
}

// The most telling of its words.
std::string words_of(const Finished& check) {
  return first_words(check.output);
}

// What it has found, if that is damage. Throws if it could not check.
std::optional<std::string> damage_of(const Finished& found, const std::string& path) {
  if (found.status == sound || found.status == leaked_clusters) return std::nullopt;
  const bool opened = found.output.find("Could not open") == std::string::npos;
  if (found.status == corruptions || (found.status == not_checked && opened))
    return words_of(found);
  throw Error(fmt::format("{}: qemu-img could not check it: {}", path, words_of(found)));
}

// qemu-img ends with status 0 when it could not write its tables as it closes the image; then only
// its words tell ("Failed to flush the refcount block cache"; seen with 7.2.22).
void refuse_words(const std::string& output) {
  constexpr std::string_view speaker = "qemu-img: ";
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(speaker) && !line.substr(speaker.size()).starts_with("warning: "))
      throw Error(line);
}

}  // namespace

std::string option_value(const std::string& text) {
  std::string out;
  for (const char c : text) out.append(c == ',' ? 2 : 1, c);
  return out;
}

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

// A qemu-img that has been started.
class QemuCommit::Waiting {
 public:
  // `image`: the file that it works on, as it is called now.
  Waiting(const std::string& directory, const std::vector<std::string>& words,
          const std::string& image, Format format, const std::string& overlay)
      : gate_(directory, words.front()),
        running_(qemu_img(gate_.words(), words),
                 confine_to_image(image, format, overlay, {gate_.rule()})) {}

  // Nothing: it had ended before it was to begin, as when this host runs out of memory.
  std::optional<Finished> finish() {
    if (!gate_.open(running_)) return std::nullopt;
    return running_.wait();
  }

 private:
  Gate gate_;
  Running running_;
};

QemuCommit::QemuCommit(std::string overlay, std::string path, Format format)
    : overlay_(std::move(overlay)), path_(std::move(path)), format_(format) {}

QemuCommit::~QemuCommit() = default;

std::vector<std::string> QemuCommit::commit_words() const {
  std::string options = overlay_options(overlay_, path_, format_);
  // Reference counts that are brought to disk late would let QEMU, after a flush that failed, take
  // its tables' own clusters for free, and leave an image that cannot be told from one that
  // somebody else has opened.
  if (format_ == Format::qcow2) options += ",backing.lazy-refcounts=off";
  return {"commit", "-q", "-d", "--image-opts", options};
}

void QemuCommit::start(const std::string& path_now, const std::string& directory) {
  commit_ = std::make_unique<Waiting>(directory, commit_words(), path_now, format_, overlay_);
  if (format_ == Format::qcow2)
    check_ = std::make_unique<Waiting>(directory, check_words(path_, {}), path_now, format_, "");
}

Finished QemuCommit::commit() {
  if (commit_)
    if (auto finished = commit_->finish()) return std::move(*finished);
  return ::kvmnet::run(qemu_img({}, commit_words()), confine_to_image(path_, format_, overlay_));
}

Finished QemuCommit::check_afterwards() {
  if (check_)
    if (auto finished = check_->finish()) return std::move(*finished);
  return check(path_);
}

bool QemuCommit::write() {
  const Finished written = commit();
  if (written.status != 0)
    throw Error(
        fmt::format("qemu-img commit failed with status {}: {}", written.status, written.output));
  refuse_words(written.output);
  bool leaks = false;
  if (format_ == Format::qcow2) {
    const Finished found = check_afterwards();
    if (const auto damage = damage_of(found, path_))
      throw Error("qemu-img check finds errors after it: " + *damage);
    leaks = found.status != sound;
  }
  sync_file(open_file(path_, O_RDONLY), path_);
  return leaks;
}

std::vector<std::string> give_back_leaks(const std::string& path, Format format,
                                         const std::string& image) {
  if (format != Format::qcow2) return {};
  Finished last = check(path);
  if (last.status == sound) return {};
  if (loses_snapshots_by_repair(path))
    return {image +
            ": space that writing to the image has lost is not given back, because 'qemu-img check "
            "-r' would drop the internal snapshots of an image with bitmaps"};
  // Errors are what such a repair leaves that was interrupted itself: flags that say less than the
  // reference counts.
  const std::string what = last.status == leaked_clusters ? "leaks" : "all";
  constexpr int attempts = 2;
  for (int attempt = 0; attempt < attempts && last.status != sound; ++attempt) {
    last = check(path, {"-r", what});
    // It says so, too, where it could not write its tables (fdatasync: EIO; seen with 7.2.22).
    if (last.status == sound) last = check(path);
    if (last.status == corruptions)
      throw Error("qemu-img check cannot repair what it finds: " + words_of(last));
  }
  if (last.status == sound) return {};
  return {
      fmt::format("{}: space that writing to the image has lost is not given back; qemu-img "
                  "check says: {}",
                  image, words_of(last))};
}

std::optional<std::string> find_damage(const std::string& path) {
  return damage_of(check(path), path);
}

}  // namespace kvmnet::disk

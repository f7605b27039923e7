// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/qemu_commit.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <sstream>
#include <string_view>

#include "src/disk/confinement.h"
#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"

namespace kvmnet::disk {
namespace {

// A value inside --image-opts, where a comma ends an option unless it is doubled.
std::string option_value(const std::string& text) {
  std::string out;
  for (const char c : text) out.append(c == ',' ? 2 : 1, c);
  return out;
}

// Of `qemu-img check`.
constexpr int sound = 0;
constexpr int not_checked = 1;
constexpr int corruptions = 2;
constexpr int leaked_clusters = 3;

Finished check(const std::string& path, const std::vector<std::string>& options = {}) {
  std::vector<std::string> command = {"qemu-img", "check", "-q", "-f", "qcow2"};
  command.insert(command.end(), options.begin(), options.end());
  command.push_back(path);
  return ::kvmnet::run(command, confine_to_image(path, Format::qcow2, ""));
}

// With both, QEMU 7.2's repair writes the header before it has read the snapshots, and so loses
// them (seen with qemu-img 7.2.22; reading, as commit does, is not affected).
bool loses_snapshots_by_repair(const std::string& path) {
  const Qcow2Header header = read_qcow2_header(open_file(path, O_RDONLY), path);
  return header.snapshots != 0 && header.has_autoclear;
}

// The most telling of its words.
std::string words_of(const Finished& check) {
  constexpr std::size_t longest = 400;
  const std::size_t error = check.output.find("ERROR");
  return check.output.substr(error == std::string::npos ? 0 : error, longest);
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
void check_words(const std::string& output) {
  constexpr std::string_view speaker = "qemu-img: ";
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(speaker) && !line.substr(speaker.size()).starts_with("warning: "))
      throw Error(line);
}

}  // namespace

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

bool write_into(const std::string& overlay, const std::string& path, Format format) {
  std::string options = overlay_options(overlay, path, format);
  // Reference counts that are brought to disk late would let QEMU, after a flush that failed, take
  // its tables' own clusters for free, and leave an image that cannot be told from one that
  // somebody else has opened.
  if (format == Format::qcow2) options += ",backing.lazy-refcounts=off";
  check_words(run_checked({"qemu-img", "commit", "-q", "-d", "--image-opts", options},
                          confine_to_image(path, format, overlay)));
  bool leaks = false;
  if (format == Format::qcow2) {
    const Finished found = check(path);
    if (const auto damage = damage_of(found, path))
      throw Error("qemu-img check finds errors after it: " + *damage);
    leaks = found.status != sound;
  }
  sync_file(open_file(path, O_RDONLY), path);
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

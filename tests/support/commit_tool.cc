// SPDX-License-Identifier: GPL-2.0-or-later
// commit-tool: what patch does to an image, with an overlay that was recorded before in the place
// of the appliance's work.
//   commit-tool IMAGE RECORDED               commits the bytes of an overlay over IMAGE
//   commit-tool --recover IMAGE [--discard]  prints what it was: nothing, finished, discarded
// Exit status 0; 1: failed; 3: refused. Says why on standard error.
#include <fcntl.h>

#include <array>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

#include "src/disk/beside.h"
#include "src/disk/commit.h"
#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/disk/overlay.h"
#include "src/disk/qcow2_header.h"
#include "src/disk/recover.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {
namespace {

// As a user would say it, who made the image.
std::string format_of(const std::string& path) {
  std::array<char, 4> start{};
  read_at(open_file(path, O_RDONLY), 0, std::as_writable_bytes(std::span(start)));
  return is_qcow2({start.data(), start.size()}) ? "qcow2" : "raw";
}

void replace_content(const std::string& path, const std::string& by) {
  write_whole(open_file(path, O_WRONLY | O_TRUNC), read_whole(open_file(by, O_RDONLY)));
}

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << '\n';
}

void commit_recorded(const std::string& path, const std::string& recorded) {
  const ImageInfo image = value_or_refuse(identify(path, format_of(path)));
  const ImageLock lock = value_or_refuse(ImageLock::take(image.path, Use::write));
  Overlay overlay = Overlay::beside(image);
  replace_content(overlay.path(), recorded);
  warn(commit(std::move(overlay), image, lock, [] {}));
}

std::string_view word(Recovery recovery) {
  switch (recovery) {
    case Recovery::nothing:
      return "nothing";
    case Recovery::finished:
      return "finished";
    case Recovery::discarded:
      return "discarded";
  }
  return {};
}

void recover_image(const std::string& path, bool discard) {
  const Recovered recovered =
      recover(resolve_image(path), discard ? Interruption::discard : Interruption::keep, [] {});
  warn(recovered.warnings);
  std::cout << word(recovered.recovery) << '\n';
}

void run(std::span<char*> words) {
  const bool recovering = words.size() > 2 && std::string_view(words[1]) == "--recover";
  const bool discard = words.size() > 3 && std::string_view(words[3]) == "--discard";
  if (recovering)
    recover_image(words[2], discard);
  else if (words.size() == 3)
    commit_recorded(words[1], words[2]);
  else
    throw Error("usage: commit-tool IMAGE RECORDED | --recover IMAGE [--discard]");
}

}  // namespace
}  // namespace kvmnet::disk

int main(int argc, char** argv) {
  constexpr int failed = 1;
  constexpr int refused = 3;
  try {
    kvmnet::disk::run({argv, static_cast<std::size_t>(argc)});
  } catch (const kvmnet::Refused& e) {
    std::cerr << e.refusal.message << '\n';
    return refused;
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return failed;
  }
  return 0;
}

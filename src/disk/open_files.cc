// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/open_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

std::vector<FileId> readable(const ImageInfo& image) {
  std::vector<FileId> files = {{image.identity.device, image.identity.inode}};
  for (const std::string& backing : image.backing_files) {
    struct stat st {};
    const Fd fd = open_through_no_link(backing);
    if (fd.is_open() && ::fstat(fd.get(), &st) == 0) files.push_back({st.st_dev, st.st_ino});
  }
  return files;
}

// What fdinfo says of how it was opened, in octal.
int flags_of(const fs::path& information) {
  std::ifstream file(information);
  for (std::string word; file >> word;) {
    int flags = 0;
    if (word == "flags:" && file >> std::oct >> flags) return flags;
  }
  throw Error(information.string() + ": does not say how a file was opened");
}

}  // namespace

void check_open_files(pid_t process, const Overlay& overlay, const ImageInfo& image,
                      const std::vector<std::string>& own) {
  const std::vector<FileId> allowed = readable(image);
  const fs::path directory = fmt::format("/proc/{}", process);
  bool has_overlay = false;
  for (const auto& entry : fs::directory_iterator(directory / "fd")) {
    struct stat st {};
    if (::stat(entry.path().c_str(), &st) != 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
      continue;
    const std::string name = fs::read_symlink(entry.path()).string();
    if (overlay.is(st)) {
      has_overlay = true;
      continue;
    }
    const bool is_own = name.starts_with("/memfd:") ||
                        std::any_of(own.begin(), own.end(), [&name](const std::string& ours) {
                          return name.starts_with(ours + "/");
                        });
    const int flags = flags_of(directory / "fdinfo" / entry.path().filename());
    const bool is_readable =
        (flags & O_ACCMODE) == O_RDONLY &&
        std::find(allowed.begin(), allowed.end(), FileId{st.st_dev, st.st_ino}) != allowed.end();
    if (!is_own && !is_readable)
      throw Refused{{Reason::image_in_use,
                     fmt::format("{}: somebody else has led QEMU to {}", image.path, name)}};
  }
  if (!has_overlay)
    throw Refused{
        {Reason::image_in_use, fmt::format("{}: was replaced by somebody else", overlay.path())}};
}

}  // namespace kvmnet::disk

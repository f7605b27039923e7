// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/confinement.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "src/support/error.h"

namespace kvmnet::disk {
namespace {

using landlock::Access;

// A sticky directory lets others make files, but not take the place of ours.
bool others_may_write(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) throw system_error(path, errno);
  const bool sticky = S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX) != 0;
  const bool is_of_others = st.st_uid != 0 && st.st_uid != ::geteuid();
  return is_of_others || (!sticky && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0);
}

bool others_may_write_on_the_way_to(const std::string& file) {
  std::filesystem::path path = file;
  while (!others_may_write(path.string())) {
    if (!path.has_relative_path()) return false;
    path = path.parent_path();
  }
  return true;
}

// None where the header is torn, or leads to what it must not: QEMU then finds out the same.
std::vector<std::string> backing_files_of(const std::string& image, Format format) {
  try {
    auto found = identify(image, std::string(to_string(format)));
    if (auto* info = std::get_if<ImageInfo>(&found)) return std::move(info->backing_files);
  } catch (const Refused&) {
  } catch (const Error&) {
  }
  return {};
}

}  // namespace

// Without /dev/null QEMU gives up locking, with no more than a warning.
Fd confine_to(std::span<const landlock::Rule> files) {
  if (const std::string why = landlock::why_unavailable(); !why.empty())
    throw Error(why + ", and no image is opened for this without; --no-sandbox does");
  std::vector<landlock::Rule> rules = {{"/dev/null", Access::read_write},
                                       {"/etc/ld.so.cache", Access::read, true}};
  for (const char* directory : {"/usr", "/lib", "/lib64", "/bin"})
    rules.push_back({directory, Access::execute, true});
  rules.insert(rules.end(), files.begin(), files.end());
  return landlock::make_ruleset(rules);
}

landlock::Rule users_file(const std::string& path, Access access) {
  return {path, access, false, false};
}

bool others_may_exchange(const std::string& image, Format format) {
  if (others_may_write_on_the_way_to(image)) return true;
  const auto backing = backing_files_of(image, format);
  return std::any_of(backing.begin(), backing.end(), others_may_write_on_the_way_to);
}

Fd confine_to_image(const std::string& image, Format format, const std::string& overlay,
                    const std::vector<landlock::Rule>& more) {
  if (!landlock::why_unavailable().empty() || !others_may_exchange(image, format)) return {};
  std::vector<landlock::Rule> files = more;
  files.push_back(users_file(image, Access::read_write));
  if (!overlay.empty()) files.push_back(users_file(overlay, Access::read_write));
  for (const std::string& backing : backing_files_of(image, format))
    files.push_back(users_file(backing, Access::read));
  return confine_to(files);
}

}  // namespace kvmnet::disk

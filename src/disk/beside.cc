// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/beside.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "src/disk/image_info.h"
#include "src/support/error.h"

namespace kvmnet::disk {

namespace fs = std::filesystem;

std::string overlay_path(const std::string& image) {
  return image + ".kvmnet-overlay";
}

std::string journal_path(const std::string& image) {
  return image + ".kvmnet-journal";
}

std::string commit_path(const std::string& image) {
  return image + ".kvmnet-commit";
}

std::optional<Refusal> check_name(const std::string& path) {
  for (const std::string_view ending :
       {".kvmnet-overlay", ".kvmnet-journal", ".kvmnet-commit", ".kvmnet-output"})
    if (path.ends_with(ending))
      return Refusal{Reason::commit_interrupted,
                     fmt::format("{}: belongs to kvmnet's work on {}", path,
                                 path.substr(0, path.size() - ending.size()))};
  return std::nullopt;
}

bool is_there(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0) return true;
  // No file can have a name that is too long for one.
  if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG) throw system_error(path, errno);
  return false;
}

std::string resolve_image(const std::string& path) {
  constexpr int most_links = 40;  // as Linux itself
  fs::path at = path;
  std::error_code error;
  for (int links = 0; fs::is_symlink(fs::symlink_status(at, error)); ++links) {
    if (links == most_links) throw system_error(path, ELOOP);
    const fs::path target = fs::read_symlink(at, error);
    if (error) throw system_error(path, error.value());
    at = at.parent_path() / target;
  }
  const fs::path directory = at.has_parent_path() ? at.parent_path() : fs::path(".");
  const fs::path real = fs::canonical(directory, error);
  if (error) throw system_error(path, error.value());
  return (real / at.filename()).string();
}

void remove_if_there(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw system_error(path, errno);
}

}  // namespace kvmnet::disk

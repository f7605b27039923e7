// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/holder.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace kvmnet::disk {
namespace {

bool has_open(const std::filesystem::path& process, const struct stat& file) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(process / "fd", error)) {
    struct stat st {};
    if (::stat(entry.path().c_str(), &st) == 0 && st.st_dev == file.st_dev &&
        st.st_ino == file.st_ino)
      return true;
  }
  return false;
}

}  // namespace

std::string holder(const Fd& file) {
  struct stat st {};
  if (::fstat(file.get(), &st) != 0) return {};
  const auto self = std::filesystem::read_symlink("/proc/self").string();
  std::error_code error;
  for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
    const std::string pid = process.path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos || pid == self) continue;
    if (!has_open(process.path(), st)) continue;
    std::string name;
    std::getline(std::ifstream(process.path() / "comm"), name);
    return fmt::format(" ({}, pid {})", name, pid);
  }
  return {};
}

}  // namespace kvmnet::disk

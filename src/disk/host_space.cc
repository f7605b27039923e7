// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/host_space.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <cerrno>

#include "src/support/error.h"

namespace kvmnet::disk {

std::uint64_t free_space(const std::string& path) {
  struct statvfs fs {};
  if (::statvfs(path.c_str(), &fs) != 0) throw system_error(path, errno);
  return std::uint64_t{fs.f_bavail} * fs.f_frsize;
}

std::optional<Refusal> check_space(const std::string& directory, std::uint64_t needed,
                                   std::string_view what_for) {
  const std::uint64_t free = free_space(directory);
  if (free >= needed) return std::nullopt;
  constexpr std::uint64_t mib = 1 << 20;
  // Rounded apart, so that the two never read alike.
  return Refusal{Reason::no_host_space,
                 fmt::format("{}: {} MiB free, {} MiB needed for {}", directory, free / mib,
                             needed / mib + (needed % mib != 0 ? 1 : 0), what_for)};
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/owner.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "src/support/error.h"

namespace kvmnet::disk {
namespace {

// The first is the primary group. A user without a name has none but the one that stands for
// nobody.
std::vector<gid_t> groups_of(uid_t user) {
  constexpr gid_t nobody = 65534;
  const passwd* entry = ::getpwuid(user);
  if (entry == nullptr) return {nobody};
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  while (::getgrouplist(entry->pw_name, entry->pw_gid, groups.data(), &count) < 0)
    groups.resize(static_cast<std::size_t>(count));
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

constexpr int yes = 0;
constexpr int no = 1;
constexpr int unknown = 2;

int ask_as(uid_t user, const std::vector<gid_t>& groups, const std::string& path) {
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setgid(groups.front()) != 0 ||
      ::setuid(user) != 0)
    return unknown;
  if (::access(path.c_str(), R_OK) == 0) return yes;
  return errno == EACCES ? no : unknown;
}

}  // namespace

// In a process of its own, which can become that user for good.
bool can_read(uid_t user, const std::string& path) {
  const std::vector<gid_t> groups = groups_of(user);
  const pid_t child = ::fork();
  if (child < 0) throw system_error("asking who may read " + path, errno);
  if (child == 0) ::_exit(ask_as(user, groups, path));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw system_error("asking who may read " + path, errno);
  if (!WIFEXITED(status) || WEXITSTATUS(status) == unknown)
    throw Error(path + ": cannot find out whether the image's owner may read it");
  return WEXITSTATUS(status) == yes;
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "src/support/error.h"

namespace kvmnet::landlock {
namespace {

// struct landlock_ruleset_attr as of Linux 6.12; the headers may be older. A kernel that knows less
// takes it as long as what it does not know is 0.
struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scopes = 0;
};

Fd create(const Ruleset& ruleset) {
  return Fd(static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &ruleset, sizeof ruleset, std::uint32_t{0})));
}

// All rights of one kind that the running kernel can take away: it refuses a bit that it does not
// know, and its bits have no gaps.
std::uint64_t all_rights(std::uint64_t Ruleset::*kind) {
  std::uint64_t rights = 0;
  for (std::uint64_t bit = 1; bit != 0; bit <<= 1) {
    Ruleset ruleset;
    ruleset.*kind = rights | bit;
    if (!create(ruleset).is_open()) {
      if (errno == EINVAL || errno == E2BIG) break;
      throw system_error("asking for Landlock's rights", errno);
    }
    rights |= bit;
  }
  return rights;
}

constexpr std::uint64_t truncate = 1ULL << 14;  // LANDLOCK_ACCESS_FS_TRUNCATE, Linux 6.2

std::uint64_t rights_of(Access access, bool is_directory) {
  std::uint64_t rights = LANDLOCK_ACCESS_FS_READ_FILE;
  if (access == Access::read_write) rights |= LANDLOCK_ACCESS_FS_WRITE_FILE | truncate;
  if (access == Access::execute) rights |= LANDLOCK_ACCESS_FS_EXECUTE;
  return is_directory ? rights | LANDLOCK_ACCESS_FS_READ_DIR : rights;
}

void add(const Fd& ruleset, const Rule& rule, std::uint64_t known) {
  const Fd there = rule.through_links ? Fd(::open(rule.path.c_str(), O_PATH | O_CLOEXEC))
                                      : open_through_no_link(rule.path);
  if (!there.is_open()) {
    if (rule.may_be_absent && errno == ENOENT) return;
    throw system_error(rule.path, errno);
  }
  struct stat st {};
  if (::fstat(there.get(), &st) != 0) throw system_error(rule.path, errno);
  landlock_path_beneath_attr allowed{};
  allowed.allowed_access = rights_of(rule.access, S_ISDIR(st.st_mode)) & known;
  allowed.parent_fd = there.get();
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &allowed,
                std::uint32_t{0}) != 0)
    throw system_error("allowing " + rule.path, errno);
}

}  // namespace

std::string why_unavailable() {
  if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1)
    return {};
  return fmt::format(
      "this kernel has no Landlock ({}; Linux has it from 5.13 on, where the boot parameter lsm "
      "names it)",
      system_error("asked for it", errno).what());
}

Fd make_ruleset(std::span<const Rule> rules) {
  const Ruleset everything = {all_rights(&Ruleset::files), all_rights(&Ruleset::network),
                              all_rights(&Ruleset::scopes)};
  Fd ruleset = create(everything);
  if (!ruleset.is_open()) throw system_error("making a Landlock ruleset", errno);
  for (const Rule& rule : rules) add(ruleset, rule, everything.files);
  return ruleset;
}

bool enter(int ruleset) {
  return ::syscall(SYS_landlock_restrict_self, ruleset, std::uint32_t{0}) == 0;
}

}  // namespace kvmnet::landlock

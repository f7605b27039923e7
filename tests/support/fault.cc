// SPDX-License-Identifier: GPL-2.0-or-later
// A library for LD_PRELOAD: counts the calls that change files of one directory, over all processes
// and threads of a run, and lets a fault befall the N-th of them (fault.h).
//
//   kill       this process dies instead of making the call
//   kill-all   so does the whole run
//   kill-torn  as kill-all, with the first part of the bytes written; other calls are left alone
//   EIO        the call fails
//   ENOSPC     it fails, and so do all later ones that need space; other calls are left alone
//
// strace can inject faults, too, but counts for each thread, and the writes of qemu-img are spread
// over several: no `when=N` hits every one of them.
#include "tests/support/fault.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

using kvmnet::test::FaultRecord;

// The function that ours stands in front of.
template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

using Open = int (*)(const char*, int, ...);

struct Fault {
  unsigned long at;  // counted from 1
  std::string kind;
};

struct Plan {
  std::string directory;
  FaultRecord* record = nullptr;  // none: we have no part in this run
  std::vector<Fault> faults;
};

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value != nullptr ? value : "";
}

FaultRecord* map_record(const std::string& path) {
  const int fd = next<Open>("open")(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* memory = ::mmap(nullptr, sizeof(FaultRecord), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<FaultRecord*>(memory);
}

std::vector<Fault> parse(const std::string& list) {
  std::vector<Fault> faults;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string item = list.substr(at, end - at);
    faults.push_back({std::stoul(item), item.substr(item.find(':') + 1)});
    at = end + 1;
  }
  return faults;
}

const Plan& plan() {
  static const Plan made = {variable(kvmnet::test::fault_directory),
                            map_record(variable(kvmnet::test::fault_record)),
                            parse(variable(kvmnet::test::fault_list))};
  return made;
}

// Empty unless it is the directory or a file in it.
std::string_view name_of(std::string_view path) {
  const std::string& directory = plan().directory;
  if (plan().record == nullptr || !path.starts_with(directory)) return {};
  path.remove_prefix(directory.size());
  if (path.empty()) return ".";
  return path.front() == '/' ? path.substr(1) : std::string_view();
}

enum class Needs { nothing, space };

struct Call {
  const char* name;
  std::string path;
  Needs needs = Needs::nothing;
  off_t offset = 0;  // of a write
  std::size_t length = 0;
};

std::string path_of(int fd) {
  std::array<char, PATH_MAX> target{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t n = ::readlink(link.c_str(), target.data(), target.size());
  return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : "";
}

// The run is a session, and its leader the tool; the programs that the tool has started die with it
// (subprocess.h). We go last: nobody else writes meanwhile, since the tool waits for us.
[[noreturn]] void die(bool all) {
  if (all) ::kill(::getsid(0), SIGKILL);
  ::kill(::getpid(), SIGKILL);
  while (true) ::pause();
}

// What is to become of a call.
enum class Verdict { go_on, fail, tear };

Verdict fail_with(int error) {
  errno = error;
  return Verdict::fail;
}

Verdict suffer(const std::string& kind, const Call& call) {
  FaultRecord& record = *plan().record;
  const bool writes = call.length > 0;
  if ((kind == "ENOSPC" && call.needs != Needs::space) || (kind == "kill-torn" && !writes))
    return Verdict::go_on;
  ++record.struck;
  if (kind == "kill-torn") return Verdict::tear;
  if (kind == "kill" || kind == "kill-all") die(kind == "kill-all");
  if (kind == "ENOSPC") record.disk_full = true;
  return fail_with(kind == "ENOSPC" ? ENOSPC : EIO);
}

Verdict judge(const Call& call) {
  const std::string_view name = name_of(call.path);
  if (name.empty()) return Verdict::go_on;
  FaultRecord& record = *plan().record;
  const std::uint32_t number = ++record.calls;
  if (number <= FaultRecord::most_calls) {
    FaultRecord::Words& words = record.what[number - 1];
    ::snprintf(words.data(), words.size(), "%s %.*s %ld +%zu", call.name,
               static_cast<int>(name.size()), name.data(), static_cast<long>(call.offset),
               call.length);
  }
  for (const Fault& fault : plan().faults)
    if (fault.at == number) return suffer(fault.kind, call);
  if (record.disk_full && call.needs == Needs::space) return fail_with(ENOSPC);
  return Verdict::go_on;
}

// A call without bytes: 0, or -1 and errno.
int allow(const char* name, std::string path, Needs needs = Needs::nothing) {
  return judge({name, std::move(path), needs}) == Verdict::fail ? -1 : 0;
}

// How much of a write reaches the disk when it is torn: disks write sectors whole or not at all.
std::size_t first_part(off_t offset, std::size_t length) {
  constexpr off_t sector = 512;
  const off_t end = (offset + static_cast<off_t>(length / 2)) / sector * sector;
  return end > offset ? static_cast<std::size_t>(end - offset) : 0;
}

// `write` gets the number of bytes that it is to write.
template <typename Write>
ssize_t write_or_fail(const char* name, int fd, off_t offset, std::size_t length, Write write) {
  switch (judge({name, path_of(fd), Needs::space, offset, length})) {
    case Verdict::fail:
      return -1;
    case Verdict::tear:
      if (const std::size_t part = first_part(offset, length); part > 0) write(part);
      die(true);
    case Verdict::go_on:
      break;
  }
  return write(length);
}

std::size_t length_of(const iovec* vector, int count) {
  std::size_t length = 0;
  for (int i = 0; i < count; ++i) length += vector[i].iov_len;
  return length;
}

using PwriteV = ssize_t (*)(int, const iovec*, int, off_t);

ssize_t pwritev_part(PwriteV real, int fd, const iovec* vector, int count, off_t offset,
                     std::size_t length) {
  std::vector<iovec> part(vector, vector + count);
  for (iovec& piece : part) {
    piece.iov_len = std::min(piece.iov_len, length);
    length -= piece.iov_len;
  }
  return real(fd, part.data(), count, offset);
}

ssize_t pwritev_or_fail(const char* name, int fd, const iovec* vector, int count, off_t offset) {
  const auto real = next<PwriteV>(name);
  return write_or_fail(name, fd, offset, length_of(vector, count), [&](std::size_t length) {
    return pwritev_part(real, fd, vector, count, offset, length);
  });
}

ssize_t pwrite_or_fail(const char* name, int fd, const void* bytes, std::size_t size,
                       off_t offset) {
  const auto real = next<ssize_t (*)(int, const void*, std::size_t, off_t)>(name);
  return write_or_fail(name, fd, offset, size,
                       [&](std::size_t length) { return real(fd, bytes, length, offset); });
}

// A kill does not lose what the kernel has, so that nobody need wait for a disk. That what is to be
// synced is synced, and when, is what order.sh tests.
int sync_or_fail(const char* name, int fd) {
  std::string path = path_of(fd);
  if (name_of(path).empty()) return next<int (*)(int)>(name)(fd);
  return allow(name, std::move(path));
}

int truncate_or_fail(const char* name, int fd, off_t size) {
  if (allow(name, path_of(fd), Needs::space) != 0) return -1;
  return next<int (*)(int, off_t)>(name)(fd, size);
}

int allocate_or_fail(const char* name, int fd, int mode, off_t offset, off_t length) {
  if (allow(name, path_of(fd), Needs::space) != 0) return -1;
  return next<int (*)(int, int, off_t, off_t)>(name)(fd, mode, offset, length);
}

bool may_create(const char* name, const char* path, int flags) {
  if ((flags & (O_CREAT | O_TRUNC)) == 0) return true;
  return allow(name, path, Needs::space) == 0;
}

// Of a function with an optional last argument.
mode_t mode_from(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

int open_or_fail(const char* name, const char* path, int flags, mode_t mode) {
  if (!may_create(name, path, flags)) return -1;
  return next<Open>(name)(path, flags, mode);
}

int openat_or_fail(const char* name, int at, const char* path, int flags, mode_t mode) {
  if (!may_create(name, path, flags)) return -1;
  return next<int (*)(int, const char*, int, ...)>(name)(at, path, flags, mode);
}

}  // namespace

// NOLINTBEGIN: these are the C library's functions, with its names and arguments.
extern "C" {

ssize_t write(int fd, const void* bytes, std::size_t size) {
  static const auto real = next<ssize_t (*)(int, const void*, std::size_t)>("write");
  const off_t offset = ::lseek(fd, 0, SEEK_CUR);
  return write_or_fail("write", fd, offset, size,
                       [&](std::size_t length) { return real(fd, bytes, length); });
}
ssize_t pwrite(int fd, const void* bytes, std::size_t size, off_t offset) {
  return pwrite_or_fail("pwrite", fd, bytes, size, offset);
}
ssize_t pwrite64(int fd, const void* bytes, std::size_t size, off64_t offset) {
  return pwrite_or_fail("pwrite64", fd, bytes, size, offset);
}
ssize_t pwritev(int fd, const iovec* vector, int count, off_t offset) {
  return pwritev_or_fail("pwritev", fd, vector, count, offset);
}
ssize_t pwritev64(int fd, const iovec* vector, int count, off64_t offset) {
  return pwritev_or_fail("pwritev64", fd, vector, count, offset);
}

int fsync(int fd) {
  return sync_or_fail("fsync", fd);
}
int fdatasync(int fd) {
  return sync_or_fail("fdatasync", fd);
}

int ftruncate(int fd, off_t size) noexcept {
  return truncate_or_fail("ftruncate", fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
  return truncate_or_fail("ftruncate64", fd, size);
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
  return allocate_or_fail("fallocate", fd, mode, offset, length);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
  return allocate_or_fail("fallocate64", fd, mode, offset, length);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_from(flags, arguments);
  va_end(arguments);
  return open_or_fail("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_from(flags, arguments);
  va_end(arguments);
  return open_or_fail("open64", path, flags, mode);
}
int openat(int at, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_from(flags, arguments);
  va_end(arguments);
  return openat_or_fail("openat", at, path, flags, mode);
}
int openat64(int at, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_from(flags, arguments);
  va_end(arguments);
  return openat_or_fail("openat64", at, path, flags, mode);
}

int rename(const char* from, const char* to) noexcept {
  if (allow("rename", from) != 0) return -1;
  return next<decltype(&::rename)>("rename")(from, to);
}
int renameat(int from_at, const char* from, int to_at, const char* to) noexcept {
  if (allow("renameat", from) != 0) return -1;
  return next<decltype(&::renameat)>("renameat")(from_at, from, to_at, to);
}
int renameat2(int from_at, const char* from, int to_at, const char* to, unsigned flags) noexcept {
  if (allow("renameat2", from) != 0) return -1;
  return next<decltype(&::renameat2)>("renameat2")(from_at, from, to_at, to, flags);
}
int link(const char* from, const char* to) noexcept {
  if (allow("link", to) != 0) return -1;
  return next<decltype(&::link)>("link")(from, to);
}
int unlink(const char* path) noexcept {
  if (allow("unlink", path) != 0) return -1;
  return next<decltype(&::unlink)>("unlink")(path);
}
int unlinkat(int at, const char* path, int flags) noexcept {
  if (allow("unlinkat", path) != 0) return -1;
  return next<decltype(&::unlinkat)>("unlinkat")(at, path, flags);
}

int fchmod(int fd, mode_t mode) noexcept {
  if (allow("fchmod", path_of(fd)) != 0) return -1;
  return next<decltype(&::fchmod)>("fchmod")(fd, mode);
}
int fchown(int fd, uid_t owner, gid_t group) noexcept {
  if (allow("fchown", path_of(fd)) != 0) return -1;
  return next<decltype(&::fchown)>("fchown")(fd, owner, group);
}

}  // extern "C"
// NOLINTEND

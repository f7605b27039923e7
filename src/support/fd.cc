// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/fd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "src/support/error.h"

namespace kvmnet {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int Fd::release() {
  return std::exchange(fd_, -1);
}

void Fd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Fd open_file(const std::string& path, int flags, mode_t mode) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd.is_open()) throw system_error(path, errno);
  return fd;
}

Fd open_through_no_link(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return Fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
}

Fd create_private_file(const std::string& path) {
  Fd fd = open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (::fchmod(fd.get(), 0600) != 0) throw system_error(path, errno);
  return fd;
}

namespace {

// Where the file system has no renaming that replaces nothing. 0, or an errno.
int link_and_unlink(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return ::unlink(from.c_str()) == 0 ? 0 : errno;
  if (errno != EPERM && errno != EOPNOTSUPP) return errno;
  struct stat st {};
  if (::lstat(to.c_str(), &st) == 0) return EEXIST;
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

void rename_to_free_name(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return;
  int error = errno;
  if (error == EINVAL || error == ENOSYS) error = link_and_unlink(from, to);
  if (error == EEXIST) throw Error(to + ": is there already, and was not overwritten");
  if (error != 0) throw system_error(fmt::format("renaming {} to {}", from, to), error);
}

std::string real_path(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  if (error) throw system_error(path, error.value());
  return real.string();
}

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("making a pipe", errno);
  return {Fd(ends[0]), Fd(ends[1])};
}

Fd make_memory_file(const char* name) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_open()) throw system_error("creating a file in memory", errno);
  return fd;
}

std::string proc_path(const Fd& fd) {
  return fmt::format("/proc/self/fd/{}", fd.get());
}

std::string path_for_others(const Fd& fd) {
  return fmt::format("/proc/{}/fd/{}", ::getpid(), fd.get());
}

std::vector<std::byte> read_whole(const Fd& fd) {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) throw system_error("reading a file", errno);
  std::vector<std::byte> bytes(static_cast<std::size_t>(st.st_size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pread(fd.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error("reading a file", errno);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

std::string read_text(const Fd& fd, std::size_t most) {
  std::string text(most, '\0');
  std::size_t done = 0;
  while (done < most) {
    const ssize_t n = ::read(fd.get(), text.data() + done, most - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error("reading a file", errno);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  text.resize(done);
  return text;
}

void write_whole(const Fd& fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error("writing a file", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void write_whole(const Fd& fd, std::string_view text) {
  write_whole(fd, std::as_bytes(std::span(text)));
}

void copy_whole(const Fd& from, const Fd& to) {
  struct stat st {};
  if (::fstat(from.get(), &st) != 0) throw system_error("reading a file", errno);
  off_t done = 0;
  while (done < st.st_size) {
    const ssize_t n =
        ::sendfile(to.get(), from.get(), &done, static_cast<std::size_t>(st.st_size - done));
    if (n < 0 && errno == EINTR) continue;
    // Not every file system can be copied from in this way.
    if (n < 0 && done == 0 && (errno == EINVAL || errno == ENOSYS))
      return write_whole(to, read_whole(from));
    if (n < 0) throw system_error("copying a file", errno);
    if (n == 0) throw Error("copying a file: it has become shorter meanwhile");
  }
}

bool read_exactly(const Fd& fd, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t n = ::read(fd.get(), into.data(), into.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error("reading a stream", errno);
    if (n == 0) return false;
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

void read_at(const Fd& fd, std::uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t n = ::pread(fd.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw system_error("reading a file", n < 0 ? errno : EIO);
    into = into.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void write_at(const Fd& fd, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error("writing a file", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void sync_file(const Fd& fd, const std::string& path) {
  if (::fsync(fd.get()) != 0) throw system_error("writing " + path + " to disk", errno);
}

void sync_directory_of(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  sync_file(open_file(directory, O_RDONLY | O_DIRECTORY), directory);
}

}  // namespace kvmnet

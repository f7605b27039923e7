// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/file.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

[[noreturn]] void fail(const char* what) {
  if (errno == ENOMEM) throw std::bad_alloc();
  throw Error(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

}  // namespace

MappedFile::MappedFile(int fd) {
  const std::uint64_t size = file_size(fd);
  if (size == 0) return;
  const void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) fail("reading the hive");
  bytes_ = {static_cast<const std::byte*>(memory), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::uint64_t file_size(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) fail("reading the hive");
  return static_cast<std::uint64_t>(st.st_size);
}

void resize_file(int fd, std::uint64_t size) {
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) fail("writing the hive");
}

Bytes read_file(int fd, std::uint64_t offset, std::size_t size) {
  const std::uint64_t end = file_size(fd);
  Bytes bytes(offset >= end ? 0 : std::min<std::uint64_t>(size, end - offset));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("reading the hive");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

void write_file(int fd, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("writing the hive");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

Source source_of(int fd) {
  return {[fd](std::uint64_t offset, std::size_t size) { return read_file(fd, offset, size); },
          file_size(fd)};
}

}  // namespace kvmnet::hive

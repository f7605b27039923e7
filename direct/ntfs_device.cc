// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/ntfs_device.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>  // the headers of libntfs-3g need it
#include <exception>

extern "C" {
#include <ntfs-3g/device.h>
}
#undef min
#undef max

#include "direct/error.h"

namespace kvmnet::direct {
namespace {

// libntfs-3g is C: no exception may pass through it.

const BlockDevice& block_of(ntfs_device* device) {
  return *static_cast<const BlockDevice*>(device->d_private);
}

int fail(int error) {
  errno = error;
  return -1;
}

int open(ntfs_device* device, int flags) {
  if ((flags & O_ACCMODE) == O_RDONLY)
    NDevSetReadOnly(device);
  else if (!block_of(device).write_at)
    return fail(EROFS);
  NDevSetOpen(device);
  return 0;
}

int close(ntfs_device* device) {
  device->d_state &= ~(1UL << ND_Open);  // the library's macro is no clean C++
  return 0;
}

// How much of `count` bytes at `offset` there is.
std::size_t within(ntfs_device* device, s64 count, s64 offset) {
  const std::uint64_t size = block_of(device).size;
  const auto start = static_cast<std::uint64_t>(offset);
  if (start >= size) return 0;
  return std::min(static_cast<std::uint64_t>(count), size - start);
}

s64 pread(ntfs_device* device, void* into, s64 count, s64 offset) {
  if (count < 0 || offset < 0) return fail(EINVAL);
  const std::size_t size = within(device, count, offset);
  try {
    if (size > 0)
      block_of(device).read_at(static_cast<std::uint64_t>(offset),
                               {static_cast<std::byte*>(into), size});
    return static_cast<s64>(size);
  } catch (const std::exception&) {
    return fail(EIO);
  }
}

s64 pwrite(ntfs_device* device, const void* bytes, s64 count, s64 offset) {
  if (count < 0 || offset < 0) return fail(EINVAL);
  if (NDevReadOnly(device)) return fail(EROFS);
  const std::size_t size = within(device, count, offset);
  if (size == 0 && count > 0) return fail(ENOSPC);
  try {
    if (size > 0)
      block_of(device).write_at(static_cast<std::uint64_t>(offset),
                                {static_cast<const std::byte*>(bytes), size});
    return static_cast<s64>(size);
  } catch (const std::exception&) {
    return fail(EIO);
  }
}

// Only asked whether there is such an offset: all else goes by pread and pwrite.
s64 seek(ntfs_device* device, s64 offset, int whence) {
  const auto size = static_cast<s64>(block_of(device).size);
  if (whence == SEEK_END && offset <= 0 && -offset <= size) return size + offset;
  if (whence != SEEK_SET || offset < 0 || offset > size) return fail(EINVAL);
  return offset;
}

s64 read(ntfs_device* /*device*/, void* /*into*/, s64 /*count*/) {
  return fail(ENOTSUP);
}

s64 write(ntfs_device* /*device*/, const void* /*bytes*/, s64 /*count*/) {
  return fail(ENOTSUP);
}

// Bringing it to the disk is up to those who serve it.
int sync(ntfs_device* /*device*/) {
  return 0;
}

int stat(ntfs_device* /*device*/, struct stat* /*into*/) {
  return fail(ENOTSUP);
}

int ioctl(ntfs_device* /*device*/, unsigned long /*request*/, void* /*argument*/) {
  return fail(ENOTSUP);
}

ntfs_device_operations operations = {open,  close,  seek, read, write,
                                     pread, pwrite, sync, stat, ioctl};

}  // namespace

ntfs_device* make_ntfs_device(const BlockDevice& block) {
  // libntfs-3g never writes to what it calls private.
  ntfs_device* device =
      ntfs_device_alloc("the volume", 0, &operations, const_cast<BlockDevice*>(&block));
  if (device == nullptr) throw Error("opening a volume: out of memory");
  return device;
}

}  // namespace kvmnet::direct

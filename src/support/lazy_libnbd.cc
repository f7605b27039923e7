// SPDX-License-Identifier: GPL-2.0-or-later
// Each function of libnbd that src/disk calls, handed on to the library, which is loaded by the
// first call: as guestfs/lazy_libguestfs.cc, for the same reason. libnbd brings TLS, XML and all of
// Unicode.
#include <dlfcn.h>
#include <libnbd.h>

#include "src/support/error.h"

namespace {

void* library() {
  static void* const loaded = ::dlopen("libnbd.so.0", RTLD_LAZY | RTLD_LOCAL);
  if (loaded == nullptr)
    throw kvmnet::Error(
        fmt::format("libnbd cannot be loaded; it is in Debian's package libnbd0: {}", ::dlerror()));
  return loaded;
}

template <typename Function>
Function* in_library(const char* name) {
  void* const found = ::dlsym(library(), name);
  if (found == nullptr) throw kvmnet::Error(fmt::format("libnbd is too old: it has no {}", name));
  return reinterpret_cast<Function*>(found);
}

}  // namespace

int nbd_add_meta_context(nbd_handle* h, const char* name) {
  return in_library<decltype(nbd_add_meta_context)>(__func__)(h, name);
}

int nbd_aio_is_ready(nbd_handle* h) {
  return in_library<decltype(nbd_aio_is_ready)>(__func__)(h);
}

int nbd_aio_command_completed(nbd_handle* h, std::uint64_t cookie) {
  return in_library<decltype(nbd_aio_command_completed)>(__func__)(h, cookie);
}

std::int64_t nbd_aio_pread(nbd_handle* h, void* buf, std::size_t count, std::uint64_t offset,
                           nbd_completion_callback completion_callback, std::uint32_t flags) {
  return in_library<decltype(nbd_aio_pread)>(__func__)(h, buf, count, offset, completion_callback,
                                                       flags);
}

int nbd_block_status(nbd_handle* h, std::uint64_t count, std::uint64_t offset,
                     nbd_extent_callback extent_callback, std::uint32_t flags) {
  return in_library<decltype(nbd_block_status)>(__func__)(h, count, offset, extent_callback, flags);
}

void nbd_close(nbd_handle* h) {
  in_library<decltype(nbd_close)>(__func__)(h);
}

int nbd_connect_socket(nbd_handle* h, int sock) {
  return in_library<decltype(nbd_connect_socket)>(__func__)(h, sock);
}

nbd_handle* nbd_create() {
  return in_library<decltype(nbd_create)>(__func__)();
}

int nbd_flush(nbd_handle* h, std::uint32_t flags) {
  return in_library<decltype(nbd_flush)>(__func__)(h, flags);
}

const char* nbd_get_error() {
  return in_library<decltype(nbd_get_error)>(__func__)();
}

std::int64_t nbd_get_size(nbd_handle* h) {
  return in_library<decltype(nbd_get_size)>(__func__)(h);
}

int nbd_poll(nbd_handle* h, int timeout) {
  return in_library<decltype(nbd_poll)>(__func__)(h, timeout);
}

int nbd_pread(nbd_handle* h, void* buf, std::size_t count, std::uint64_t offset,
              std::uint32_t flags) {
  return in_library<decltype(nbd_pread)>(__func__)(h, buf, count, offset, flags);
}

int nbd_pwrite(nbd_handle* h, const void* buf, std::size_t count, std::uint64_t offset,
               std::uint32_t flags) {
  return in_library<decltype(nbd_pwrite)>(__func__)(h, buf, count, offset, flags);
}

int nbd_set_pread_initialize(nbd_handle* h, bool request) {
  return in_library<decltype(nbd_set_pread_initialize)>(__func__)(h, request);
}

int nbd_shutdown(nbd_handle* h, std::uint32_t flags) {
  return in_library<decltype(nbd_shutdown)>(__func__)(h, flags);
}

// SPDX-License-Identifier: GPL-2.0-or-later
// Each function of libguestfs that image.cc calls, handed on to the library, which is loaded by the
// first call. Linked in the usual way it would bring some fifty libraries into every start of
// kvmnet: the processes behind the wall, too, of which there are several for each guest, and those
// need none of them.
#include <dlfcn.h>
#include <fmt/format.h>
#include <guestfs.h>

#include <cstdarg>

#include "guestfs/guest_files.h"
#include "guestfs/library.h"

namespace {

using kvmnet::guestfs::Error;

void* load() {
  void* const loaded = ::dlopen("libguestfs.so.0", RTLD_LAZY | RTLD_LOCAL);
  if (loaded == nullptr)
    throw Error(fmt::format(
        "libguestfs cannot be loaded; it is in Debian's package libguestfs0: {}", ::dlerror()));
  return loaded;
}

template <typename Function>
Function* in_library(const char* name) {
  void* const found = ::dlsym(kvmnet::guestfs::library(), name);
  if (found == nullptr) throw Error(fmt::format("libguestfs is too old: it has no {}", name));
  return reinterpret_cast<Function*>(found);
}

}  // namespace

void* kvmnet::guestfs::library() {
  static void* const loaded = load();
  return loaded;
}

int guestfs_add_drive_opts(guestfs_h* g, const char* filename, ...) {
  va_list options;
  va_start(options, filename);
  const int result = in_library<decltype(guestfs_add_drive_opts_va)>("guestfs_add_drive_opts_va")(
      g, filename, options);
  va_end(options);
  return result;
}

char* guestfs_case_sensitive_path(guestfs_h* g, const char* path) {
  return in_library<decltype(guestfs_case_sensitive_path)>(__func__)(g, path);
}

void guestfs_close(guestfs_h* g) {
  in_library<decltype(guestfs_close)>(__func__)(g);
}

int guestfs_config(guestfs_h* g, const char* hvparam, const char* hvvalue) {
  return in_library<decltype(guestfs_config)>(__func__)(g, hvparam, hvvalue);
}

guestfs_h* guestfs_create() {
  return in_library<decltype(guestfs_create)>(__func__)();
}

int guestfs_cryptsetup_open(guestfs_h* g, const char* device, const char* key, const char* mapname,
                            ...) {
  va_list options;
  va_start(options, mapname);
  const int result = in_library<decltype(guestfs_cryptsetup_open_va)>("guestfs_cryptsetup_open_va")(
      g, device, key, mapname, options);
  va_end(options);
  return result;
}

char* guestfs_debug(guestfs_h* g, const char* subcmd, char* const* extraargs) {
  return in_library<decltype(guestfs_debug)>(__func__)(g, subcmd, extraargs);
}

int guestfs_download(guestfs_h* g, const char* remotefilename, const char* filename) {
  return in_library<decltype(guestfs_download)>(__func__)(g, remotefilename, filename);
}

int guestfs_drop_caches(guestfs_h* g, int whattodrop) {
  return in_library<decltype(guestfs_drop_caches)>(__func__)(g, whattodrop);
}

int guestfs_exists(guestfs_h* g, const char* path) {
  return in_library<decltype(guestfs_exists)>(__func__)(g, path);
}

std::int64_t guestfs_filesize(guestfs_h* g, const char* file) {
  return in_library<decltype(guestfs_filesize)>(__func__)(g, file);
}

void guestfs_free_dirent_list(guestfs_dirent_list* list) {
  in_library<decltype(guestfs_free_dirent_list)>(__func__)(list);
}

void guestfs_free_statvfs(struct guestfs_statvfs* found) {
  in_library<decltype(guestfs_free_statvfs)>(__func__)(found);
}

char* guestfs_get_cachedir(guestfs_h* g) {
  return in_library<decltype(guestfs_get_cachedir)>(__func__)(g);
}

int guestfs_get_pid(guestfs_h* g) {
  return in_library<decltype(guestfs_get_pid)>(__func__)(g);
}

int guestfs_last_errno(guestfs_h* g) {
  return in_library<decltype(guestfs_last_errno)>(__func__)(g);
}

const char* guestfs_last_error(guestfs_h* g) {
  return in_library<decltype(guestfs_last_error)>(__func__)(g);
}

int guestfs_launch(guestfs_h* g) {
  return in_library<decltype(guestfs_launch)>(__func__)(g);
}

char** guestfs_list_partitions(guestfs_h* g) {
  return in_library<decltype(guestfs_list_partitions)>(__func__)(g);
}

int guestfs_mkdir_mode(guestfs_h* g, const char* path, int mode) {
  return in_library<decltype(guestfs_mkdir_mode)>(__func__)(g, path, mode);
}

int guestfs_mount_options(guestfs_h* g, const char* options, const char* mountable,
                          const char* mountpoint) {
  return in_library<decltype(guestfs_mount_options)>(__func__)(g, options, mountable, mountpoint);
}

int guestfs_ntfs_3g_probe(guestfs_h* g, int rw, const char* device) {
  return in_library<decltype(guestfs_ntfs_3g_probe)>(__func__)(g, rw, device);
}

char* guestfs_pread(guestfs_h* g, const char* path, int count, std::int64_t offset,
                    std::size_t* size_r) {
  return in_library<decltype(guestfs_pread)>(__func__)(g, path, count, offset, size_r);
}

char* guestfs_pread_device(guestfs_h* g, const char* device, int count, std::int64_t offset,
                           std::size_t* size_r) {
  return in_library<decltype(guestfs_pread_device)>(__func__)(g, device, count, offset, size_r);
}

int guestfs_pwrite(guestfs_h* g, const char* path, const char* content, std::size_t content_size,
                   std::int64_t offset) {
  return in_library<decltype(guestfs_pwrite)>(__func__)(g, path, content, content_size, offset);
}

guestfs_dirent_list* guestfs_readdir(guestfs_h* g, const char* dir) {
  return in_library<decltype(guestfs_readdir)>(__func__)(g, dir);
}

int guestfs_rm(guestfs_h* g, const char* path) {
  return in_library<decltype(guestfs_rm)>(__func__)(g, path);
}

int guestfs_rmdir(guestfs_h* g, const char* path) {
  return in_library<decltype(guestfs_rmdir)>(__func__)(g, path);
}

int guestfs_set_backend(guestfs_h* g, const char* backend) {
  return in_library<decltype(guestfs_set_backend)>(__func__)(g, backend);
}

int guestfs_set_backend_setting(guestfs_h* g, const char* name, const char* val) {
  return in_library<decltype(guestfs_set_backend_setting)>(__func__)(g, name, val);
}

void guestfs_set_error_handler(guestfs_h* g, guestfs_error_handler_cb cb, void* opaque) {
  in_library<decltype(guestfs_set_error_handler)>(__func__)(g, cb, opaque);
}

int guestfs_set_event_callback(guestfs_h* g, guestfs_event_callback cb, std::uint64_t event_bitmask,
                               int flags, void* opaque) {
  return in_library<decltype(guestfs_set_event_callback)>(__func__)(g, cb, event_bitmask, flags,
                                                                    opaque);
}

int guestfs_set_pgroup(guestfs_h* g, int pgroup) {
  return in_library<decltype(guestfs_set_pgroup)>(__func__)(g, pgroup);
}

int guestfs_set_cachedir(guestfs_h* g, const char* cachedir) {
  return in_library<decltype(guestfs_set_cachedir)>(__func__)(g, cachedir);
}

int guestfs_set_tmpdir(guestfs_h* g, const char* tmpdir) {
  return in_library<decltype(guestfs_set_tmpdir)>(__func__)(g, tmpdir);
}

int guestfs_set_trace(guestfs_h* g, int trace) {
  return in_library<decltype(guestfs_set_trace)>(__func__)(g, trace);
}

int guestfs_set_verbose(guestfs_h* g, int verbose) {
  return in_library<decltype(guestfs_set_verbose)>(__func__)(g, verbose);
}

int guestfs_shutdown(guestfs_h* g) {
  return in_library<decltype(guestfs_shutdown)>(__func__)(g);
}

struct guestfs_statvfs* guestfs_statvfs(guestfs_h* g, const char* path) {
  return in_library<struct guestfs_statvfs*(guestfs_h*, const char*)>(__func__)(g, path);
}

int guestfs_umount_all(guestfs_h* g) {
  return in_library<decltype(guestfs_umount_all)>(__func__)(g);
}

char* guestfs_vfs_uuid(guestfs_h* g, const char* mountable) {
  return in_library<decltype(guestfs_vfs_uuid)>(__func__)(g, mountable);
}

int guestfs_write(guestfs_h* g, const char* path, const char* content, std::size_t content_size) {
  return in_library<decltype(guestfs_write)>(__func__)(g, path, content, content_size);
}

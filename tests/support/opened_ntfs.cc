// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/support/opened_ntfs.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

extern "C" {
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/logging.h>
#include <ntfs-3g/ntfstime.h>
#include <ntfs-3g/reparse.h>
#include <ntfs-3g/security.h>
#include <ntfs-3g/unistr.h>
#include <ntfs-3g/volume.h>
}
#undef min
#undef max

#include "src/support/error.h"

namespace kvmnet::test {
namespace {

void check(bool good, std::string_view what) {
  if (!good) throw system_error(what, errno);
}

void expect_closed(int result) {
  if (result == 0) return;
  std::perror("closing an NTFS volume or a file there");
  std::abort();
}

// Text as NTFS has it.
struct Units {
  explicit Units(const std::string& text) : length(ntfs_mbstoucs(text.c_str(), &units)) {
    check(length >= 0, text);
  }
  Units(const Units&) = delete;
  Units& operator=(const Units&) = delete;
  ~Units() { std::free(units); }
  u8 short_length() const { return static_cast<u8>(length); }
  ntfschar* units = nullptr;
  int length;
};

std::string last_of(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

void add_attributes(const OpenedNtfs::Inode& inode, unsigned attributes) {
  inode->flags = static_cast<FILE_ATTR_FLAGS>(static_cast<unsigned>(inode->flags) | attributes);
}

class Data {
 public:
  Data(const OpenedNtfs::Inode& inode, std::string path)
      : attribute_(ntfs_attr_open(inode.get(), AT_DATA, AT_UNNAMED, 0)), path_(std::move(path)) {
    check(attribute_ != nullptr, path_);
  }
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
  ~Data() { ntfs_attr_close(attribute_); }

  // How much there was room for.
  std::size_t append(std::string_view bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const s64 n = ntfs_attr_pwrite(attribute_, attribute_->data_size,
                                     static_cast<s64>(bytes.size() - done), bytes.data() + done);
      if (n <= 0 && errno == ENOSPC) break;
      check(n > 0, path_);
      done += static_cast<std::size_t>(n);
    }
    return done;
  }

  // Of a compressed file the end is written now.
  void finish() { check(ntfs_attr_pclose(attribute_) == 0, path_); }

 private:
  ntfs_attr* attribute_;
  std::string path_;
};

void write(const OpenedNtfs::Inode& inode, std::string_view content, const std::string& path) {
  Data data(inode, path);
  if (data.append(content) < content.size()) throw system_error(path, ENOSPC);
  data.finish();
}

}  // namespace

void OpenedNtfs::Close::operator()(_ntfs_volume* volume) const {
  expect_closed(ntfs_umount(volume, FALSE));
}

void OpenedNtfs::Close::operator()(_ntfs_inode* inode) const {
  expect_closed(ntfs_inode_close(inode));
}

OpenedNtfs::OpenedNtfs(const std::string& file) {
  ntfs_log_set_handler(ntfs_log_handler_null);
  volume_.reset(ntfs_mount(file.c_str(), NTFS_MNT_NONE));
  check(volume_ != nullptr, file);
}

OpenedNtfs::Inode OpenedNtfs::open(const std::string& path) const {
  Inode inode(ntfs_pathname_to_inode(get(), nullptr, path.c_str()));
  check(inode != nullptr, path);
  return inode;
}

OpenedNtfs::Inode OpenedNtfs::open_parent(const std::string& path) const {
  return open(path.substr(0, path.rfind('/') + 1));
}

OpenedNtfs::Inode OpenedNtfs::create(const std::string& path, unsigned kind,
                                     unsigned attributes) const {
  const Inode directory = open_parent(path);
  const Units name(last_of(path));
  Inode inode(ntfs_create(directory.get(), 0, name.units, name.short_length(), kind));
  check(inode != nullptr, path);
  add_attributes(inode, attributes);
  return inode;
}

void OpenedNtfs::make_directory(const std::string& path) const {
  create(path, S_IFDIR);
}

void OpenedNtfs::make_file(const std::string& path, std::string_view content) const {
  write(create(path, S_IFREG), content, path);
}

void OpenedNtfs::make_compressed(const std::string& path, std::string_view content) const {
  write(create(path, S_IFREG, FILE_ATTR_COMPRESSED), content, path);
}

void OpenedNtfs::make_hard_link(const std::string& path, const std::string& target) const {
  const Inode inode = open(target);
  const Inode directory = open_parent(path);
  const Units name(last_of(path));
  check(ntfs_link(inode.get(), directory.get(), name.units, name.short_length()) == 0, path);
}

void OpenedNtfs::make_symbolic_link(const std::string& path, const std::string& target) const {
  const Inode directory = open_parent(path);
  const Units name(last_of(path));
  const Units to(target);
  const Inode inode(ntfs_create_symlink(directory.get(), 0, name.units, name.short_length(),
                                        to.units, to.length));
  check(inode != nullptr, path);
}

void OpenedNtfs::fill_up(const std::string& path) const {
  const std::string zeros(4096, '\0');
  const Inode inode = create(path, S_IFREG);
  Data data(inode, path);
  while (data.append(zeros) == zeros.size()) continue;
}

void OpenedNtfs::set_modified(const std::string& path, timespec time) const {
  const Inode inode = open(path);
  inode->last_data_change_time = timespec2ntfs(time);
  add_attributes(inode, FILE_ATTR_ARCHIVE);
  NInoFileNameSetDirty(inode.get());
  NInoSetDirty(inode.get());
}

void OpenedNtfs::set_descriptor(const std::string& path, std::string_view descriptor) const {
  const Inode inode = open(path);
  PERMISSIONS_CACHE* no_cache = nullptr;
  SECURITY_CONTEXT context{};
  context.vol = get();
  context.pseccache = &no_cache;
  check(ntfs_set_ntfs_acl(&context, inode.get(), descriptor.data(), descriptor.size(), 0) == 0,
        path);
}

void OpenedNtfs::set_reparse_data(const std::string& path, std::string_view data) const {
  const Inode inode = open(path);
  check(ntfs_set_ntfs_reparse_data(inode.get(), data.data(), data.size(), 0) == 0, path);
}

void OpenedNtfs::set_label(const std::string& label) const {
  const Units text(label);
  check(ntfs_volume_rename(get(), text.units, text.length) == 0, label);
}

}  // namespace kvmnet::test

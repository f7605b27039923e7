// SPDX-License-Identifier: GPL-2.0-or-later
// The NTFS volume in a file, opened with libntfs-3g to put there what tests need. It is made as
// ntfs-3g makes it where the volume is mounted without options: names of the POSIX namespace, links
// as Interix had them, access for everyone.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

struct _ntfs_inode;
struct _ntfs_volume;

namespace kvmnet::test {

// Paths are absolute, with forward slashes, in the volume's letter case. Everything throws Error;
// only where closing fails the program ends.
class OpenedNtfs {
 public:
  explicit OpenedNtfs(const std::string& file);

  void make_directory(const std::string& path) const;
  void make_file(const std::string& path, std::string_view content) const;
  void make_compressed(const std::string& path, std::string_view content) const;
  void make_hard_link(const std::string& path, const std::string& target) const;
  void make_symbolic_link(const std::string& path, const std::string& target) const;
  // A file of zeros that takes all the room that is left.
  void fill_up(const std::string& path) const;

  void set_modified(const std::string& path, timespec time) const;
  void set_descriptor(const std::string& path, std::string_view descriptor) const;
  void set_reparse_data(const std::string& path, std::string_view data) const;
  void set_label(const std::string& label) const;

  // For what else libntfs-3g can do. It does not see that an inode is open twice.
  struct Close {
    void operator()(_ntfs_volume* volume) const;
    void operator()(_ntfs_inode* inode) const;
  };
  using Inode = std::unique_ptr<_ntfs_inode, Close>;
  _ntfs_volume* get() const { return volume_.get(); }
  Inode open(const std::string& path) const;
  Inode open_parent(const std::string& path) const;

 private:
  Inode create(const std::string& path, unsigned kind, unsigned attributes = 0) const;

  std::unique_ptr<_ntfs_volume, Close> volume_;
};

}  // namespace kvmnet::test

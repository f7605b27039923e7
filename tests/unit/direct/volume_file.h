// SPDX-License-Identifier: GPL-2.0-or-later
// An NTFS volume in a file in memory (the programs of ntfs-3g flush often), made by mkntfs, and
// what the programs of ntfs-3g say of it: they are not our code.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "direct/block_device.h"
#include "src/support/fd.h"
#include "src/support/temp_dir.h"

namespace kvmnet::test {

class VolumeFile {
 public:
  struct Shape {
    unsigned cluster = 4096;  // bytes
    unsigned sector = 512;
    std::uint64_t size = 48 << 20;
  };
  VolumeFile();
  explicit VolumeFile(const Shape& shape);
  VolumeFile(const VolumeFile&) = delete;
  VolumeFile& operator=(const VolumeFile&) = delete;
  ~VolumeFile();

  const std::string& path() const { return path_; }
  direct::BlockDevice device() const;            // reads and writes the file
  direct::BlockDevice read_only_device() const;  // cannot write it

  void copy_in(std::string_view content, const std::string& path) const;  // ntfscp
  std::string content(const std::string& path) const;                     // ntfscat
  std::string info(const std::string& path) const;                        // ntfsinfo
  std::string own_info() const;                                           // of the whole volume
  void expect_consistent() const;                                         // ntfsresize --info

  // What the programs of ntfs-3g cannot make.
  void make_directory(const std::string& path) const;
  void make_compressed(const std::string& path, std::string_view content) const;
  void make_link(const std::string& path, const std::string& target) const;  // in its directory
  void make_junction(const std::string& path, std::string_view target) const;
  void set_dos_name(const std::string& path, const std::string& name) const;
  void set_attributes(const std::string& path, std::uint32_t attributes) const;
  std::uint32_t attributes(const std::string& path) const;
  void set_volume_flags(std::uint16_t flags) const;

  // Bytes of the file, e.g. to damage it.
  std::string bytes(std::uint64_t offset, std::size_t size) const;
  void overwrite(std::uint64_t offset, std::string_view bytes) const;
  void replace_all(std::string_view old, std::string_view bytes) const;  // wherever it stands

 private:
  TempDir directory_;
  std::string path_;
  Fd file_;
};

// Text of `size` bytes that does not repeat soon.
std::string numbered_text(std::size_t size);

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/direct/volume_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

extern "C" {
#include <ntfs-3g/attrib.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/inode.h>
#include <ntfs-3g/reparse.h>
#include <ntfs-3g/volume.h>
}
#undef min
#undef max

#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "tests/support/opened_ntfs.h"

namespace kvmnet::test {
namespace {

void check(bool good, std::string_view what) {
  if (!good) throw system_error(what, errno);
}

std::vector<std::string> mkntfs(const VolumeFile::Shape& shape, const std::string& path) {
  return {"/usr/sbin/mkntfs",
          "--force",
          "--quick",
          "--quiet",
          "--no-indexing",
          "--sector-size",
          std::to_string(shape.sector),
          "--cluster-size",
          std::to_string(shape.cluster),
          "--partition-start",
          "2048",
          "--heads",
          "16",
          "--sectors-per-track",
          "63",
          path};
}

}  // namespace

VolumeFile::VolumeFile() : VolumeFile(Shape{}) {}

VolumeFile::VolumeFile(const Shape& shape)
    : path_("/dev/shm/kvmnet-test.XXXXXX"), file_(::mkostemp(path_.data(), O_CLOEXEC)) {
  check(file_.is_open(), path_);
  if (::ftruncate(file_.get(), static_cast<off_t>(shape.size)) != 0)
    throw system_error(path_, errno);
  run_checked(mkntfs(shape, path_));
}

VolumeFile::~VolumeFile() {
  ::unlink(path_.c_str());
}

direct::BlockDevice VolumeFile::read_only_device() const {
  struct stat st {};
  ::fstat(file_.get(), &st);
  direct::BlockDevice device;
  device.size = static_cast<std::uint64_t>(st.st_size);
  device.read_at = [this](std::uint64_t offset, std::span<std::byte> into) {
    kvmnet::read_at(file_, offset, into);
  };
  return device;
}

direct::BlockDevice VolumeFile::device() const {
  direct::BlockDevice device = read_only_device();
  device.write_at = [this](std::uint64_t offset, std::span<const std::byte> bytes) {
    kvmnet::write_at(file_, offset, bytes);
  };
  return device;
}

void VolumeFile::copy_in(std::string_view content, const std::string& path) const {
  const std::string from = directory_.path() + "/content";
  {
    const Fd file = open_file(from, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    write_whole(file, content);
  }
  run_checked({"/usr/sbin/ntfscp", "--quiet", path_, from, path});
}

std::string VolumeFile::content(const std::string& path) const {
  const std::string to = directory_.path() + "/shown";
  run_checked({"sh", "-c", "exec ntfscat \"$1\" \"$2\" >\"$3\"", "sh", path_, path, to});
  const std::vector<std::byte> bytes = read_whole(open_file(to, O_RDONLY));
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string VolumeFile::info(const std::string& path) const {
  return run_checked({"ntfsinfo", "--verbose", "--file", path, path_});
}

std::string VolumeFile::own_info() const {
  return run_checked({"ntfsinfo", "--mft", path_});
}

void VolumeFile::expect_consistent() const {
  const Finished finished = run({"/usr/sbin/ntfsresize", "--info", "--force", path_});
  EXPECT_EQ(finished.status, 0) << finished.output;
}

void VolumeFile::make_directory(const std::string& path) const {
  OpenedNtfs(path_).make_directory(path);
}

void VolumeFile::make_compressed(const std::string& path, std::string_view content) const {
  OpenedNtfs(path_).make_compressed(path, content);
}

void VolumeFile::make_link(const std::string& path, const std::string& target) const {
  OpenedNtfs(path_).make_hard_link(path, target);
}

// [MS-FSCC] 2.1.2.5, mount point reparse data buffer.
void VolumeFile::make_junction(const std::string& path, std::string_view target) const {
  const auto size = static_cast<char>(2 * target.size());
  const std::string no_name(2, '\0');
  std::string data = {3, 0, 0,    '\xA0', static_cast<char>(size + 12), 0, 0, 0,
                      0, 0, size, 0,      static_cast<char>(size + 2),  0, 0, 0};
  for (const char c : target) data += {c, '\0'};
  data += no_name + no_name;
  const OpenedNtfs volume(path_);
  volume.make_directory(path);
  volume.set_reparse_data(path, data);
}

void VolumeFile::set_dos_name(const std::string& path, const std::string& name) const {
  const OpenedNtfs volume(path_);
  OpenedNtfs::Inode inode = volume.open(path);
  OpenedNtfs::Inode directory = volume.open_parent(path);
  // Closes both.
  check(ntfs_set_ntfs_dos_name(inode.release(), directory.release(), name.data(), name.size(), 0) ==
            0,
        path);
}

void VolumeFile::set_attributes(const std::string& path, std::uint32_t attributes) const {
  const OpenedNtfs volume(path_);
  const OpenedNtfs::Inode inode = volume.open(path);
  std::memcpy(&inode->flags, &attributes, sizeof attributes);
  NInoSetDirty(inode.get());
}

std::uint32_t VolumeFile::attributes(const std::string& path) const {
  const OpenedNtfs volume(path_);
  std::uint32_t attributes = 0;
  std::memcpy(&attributes, &volume.open(path)->flags, sizeof attributes);
  return attributes;
}

void VolumeFile::set_volume_flags(std::uint16_t flags) const {
  check(ntfs_volume_write_flags(OpenedNtfs(path_).get(), cpu_to_le16(flags)) == 0, path_);
}

std::string VolumeFile::bytes(std::uint64_t offset, std::size_t size) const {
  std::string bytes(size, '\0');
  kvmnet::read_at(file_, offset, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

void VolumeFile::overwrite(std::uint64_t offset, std::string_view bytes) const {
  kvmnet::write_at(file_, offset, std::as_bytes(std::span(bytes)));
}

void VolumeFile::replace_all(std::string_view old, std::string_view bytes) const {
  const std::vector<std::byte> content = read_whole(open_file(path_, O_RDONLY));
  const std::string_view all(reinterpret_cast<const char*>(content.data()), content.size());
  for (auto at = all.find(old); at != all.npos; at = all.find(old, at + 1)) overwrite(at, bytes);
}

std::string numbered_text(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += fmt::format("line {}\r\n", i * 7919);
  text.resize(size);
  return text;
}

}  // namespace kvmnet::test

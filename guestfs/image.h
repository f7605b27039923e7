// SPDX-License-Identifier: GPL-2.0-or-later
// One disk image opened with libguestfs: an appliance of its own, launched once.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "guestfs/appliance.h"

struct guestfs_h;

namespace kvmnet::guestfs {

class Image : public Appliance {
 public:
  // Launches the appliance with the drives, writable. Throws LaunchError if it cannot start.
  Image(const std::vector<Drive>& drives, const LaunchOptions& options);
  ~Image() override;

  void finish() override;
  pid_t process() const override;
  std::string appliance_directory() const override;

  std::vector<Volume> volumes() override;
  std::string uuid(const std::string& device) override;
  std::optional<Volume> unlock(const std::string& device, const std::string& key) override;
  NtfsState ntfs_state(const std::string& device) override;
  void mount(const std::string& device, Access access) override;
  void unmount() override;
  std::optional<std::string> resolve(const std::string& path) override;
  std::vector<DirectoryEntry> list(const std::string& directory) override;
  std::uint64_t size(const std::string& path) override;
  std::vector<std::byte> read_at(const std::string& path, std::uint64_t offset,
                                 std::size_t size) override;
  void download(const std::string& path, int fd) override;
  bool has_content(const std::string& path, std::span<const std::byte> bytes,
                   const std::vector<FilePart>& changed) override;
  std::uint64_t free_space() override;
  bool is_writable(const std::string& directory) override;
  void write_at(const std::string& path, std::uint64_t offset,
                std::span<const std::byte> bytes) override;
  void write(const std::string& path, std::string_view content) override;
  void make_directory(const std::string& path) override;
  void remove(const std::string& path) override;
  void remove_directory(const std::string& path) override;
  void set_private(const std::string& path, FileType type) override;
  bool is_private(const std::string& path, FileType type) override;

 private:
  void use_temporary_directory(const std::string& path);
  std::string shell(std::string command, std::string_view what) const;
  void flush();
  struct Close {
    void operator()(guestfs_h* handle) const;
  };
  [[noreturn]] void fail(std::string_view what) const;
  void check(int result, std::string_view what) const;
  std::string last_error() const;
  int last_errno() const;
  bool exists(const std::string& path) const;
  Content content_of(const std::string& device) const;
  std::string bytes_of(const std::string& device, std::uint64_t offset, std::size_t size) const;
  NtfsState state_of_clean_journal(const std::string& device) const;

  std::unique_ptr<guestfs_h, Close> handle_;
  std::size_t drives_;
  std::vector<std::string> unlocked_;  // devices of volumes that were encrypted
  bool written_ = false;               // something was mounted read-write
};

}  // namespace kvmnet::guestfs

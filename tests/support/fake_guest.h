// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's disk in memory, which can misbehave in every way that a real one can.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "guestfs/guest_files.h"

namespace kvmnet::test {

class FakeGuest : public guestfs::GuestFiles {
 public:
  // What is on a volume. Paths begin with a slash; the parents of files need not be listed.
  struct Volume {
    guestfs::Content content = guestfs::Content::ntfs;
    guestfs::NtfsState state = guestfs::NtfsState::clean;
    bool mountable = true;
    std::string key;       // of an encrypted volume
    std::string contains;  // the device of the volume that is in it
    std::string uuid;
    std::uint64_t free_space = 1 << 30;
    bool read_only = false;      // mounts read-write without an error, but is not
    bool lose_writes = false;    // what is written is gone with the next unmount
    bool garble_writes = false;  // write_at stores the last byte wrong
    std::map<std::string, std::string> files;
    std::set<std::string> directories;
    std::set<std::string> others;  // junctions, symbolic links
    std::set<std::string> private_paths;
    bool forget_privacy = false;  // set_private does nothing
  };

  // Adds a volume behind those that there are; the reference stays good.
  Volume& add(const std::string& device);
  Volume& volume(const std::string& device);
  // The same, and seen only once the encrypted volume `outer` is unlocked.
  Volume& add_encrypted(const std::string& outer, guestfs::Content content, const std::string& key,
                        const std::string& device);

  // The n-th call from now on (0: the next) fails, and the one after it does not.
  void fail_at(std::size_t call) { fail_at_ = calls_.size() + call; }

  // All calls, and those of them that change a volume, as "write /Windows/a". A mount that could
  // change it is among them.
  const std::vector<std::string>& calls() const { return calls_; }
  const std::vector<std::string>& changes() const { return changes_; }
  void forget_calls();
  bool is_mounted() const { return mounted_ != nullptr; }

  std::vector<guestfs::Volume> volumes() override;
  std::string uuid(const std::string& device) override;
  std::optional<guestfs::Volume> unlock(const std::string& device, const std::string& key) override;
  guestfs::NtfsState ntfs_state(const std::string& device) override;
  void mount(const std::string& device, guestfs::Access access) override;
  void unmount() override;
  std::optional<std::string> resolve(const std::string& path) override;
  std::vector<guestfs::DirectoryEntry> list(const std::string& directory) override;
  std::uint64_t size(const std::string& path) override;
  std::vector<std::byte> read_at(const std::string& path, std::uint64_t offset,
                                 std::size_t size) override;
  bool has_content(const std::string& path, std::span<const std::byte> bytes,
                   const std::vector<guestfs::FilePart>& changed) override;
  void download(const std::string& path, int fd) override;
  std::uint64_t free_space() override;
  bool is_writable(const std::string& directory) override;
  void write_at(const std::string& path, std::uint64_t offset,
                std::span<const std::byte> bytes) override;
  void write(const std::string& path, std::string_view content) override;
  void make_directory(const std::string& path) override;
  void remove(const std::string& path) override;
  void remove_directory(const std::string& path) override;
  void set_private(const std::string& path, guestfs::FileType type) override;
  bool is_private(const std::string& path, guestfs::FileType type) override;

 private:
  void begin(const std::string& call);
  void begin_change(const std::string& call);
  const Volume& mounted() const;
  std::set<std::string> paths() const;  // of everything on the mounted volume, and their parents
  bool is_directory(const std::string& path) const;
  std::string& content(const std::string& path);

  std::vector<std::string> order_;
  std::map<std::string, Volume> volumes_;
  Volume* mounted_ = nullptr;
  bool writable_ = false;
  Volume before_;  // the mounted volume as it was
  std::optional<std::size_t> fail_at_;
  std::vector<std::string> calls_;
  std::vector<std::string> changes_;
};

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// The seam: the file systems of one guest's disk, as little of them as kvmnet needs.
//
// guestfs::Image implements it with libguestfs; tests have one in memory. Nothing above this
// header may assume an appliance.
//
// Paths are absolute on the mounted volume, with forward slashes, in the letter case that the
// volume has (see resolve). Everything throws guestfs::Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kvmnet::guestfs {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The guest's disk could not be opened at all.
class LaunchError : public Error {
 public:
  using Error::Error;
};

// What a volume holds, as far as it matters for finding a Windows.
enum class Content { ntfs, bitlocker, luks, other };

// A partition, or a whole disk without partitions.
struct Volume {
  std::string device;  // "/dev/sda2"
  Content content = Content::other;
  bool operator==(const Volume&) const = default;
};

// Whether an NTFS volume may be written (ntfs-3g.probe(8)).
enum class NtfsState {
  clean,
  hibernated,  // hibernated, or shut down with fast startup: Windows will overwrite what we write
  unclean,     // its journal holds changes that are not in place yet, or it is to be checked
  damaged,
};

enum class Access {
  read_only,
  read_write,
  read_write_unclean,  // also an NTFS that was not cleanly unmounted: its journal is emptied
};

enum class FileType { regular, directory, other };

struct DirectoryEntry {
  std::string name;
  FileType type = FileType::other;
  bool operator==(const DirectoryEntry&) const = default;
};

// Part of a file, in bytes.
struct FilePart {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const FilePart&) const = default;
};

class GuestFiles {
 public:
  GuestFiles() = default;
  GuestFiles(const GuestFiles&) = delete;
  GuestFiles& operator=(const GuestFiles&) = delete;
  virtual ~GuestFiles() = default;

  virtual std::vector<Volume> volumes() = 0;
  // What cryptsetup calls it; empty: nothing.
  virtual std::string uuid(const std::string& device) = 0;
  // Opens an encrypted volume; what is in it is a volume of its own then. Nothing: not with that
  // key. An implementation that opens none throws Refused (encrypted_volume).
  virtual std::optional<Volume> unlock(const std::string& device, const std::string& key) = 0;
  // Asks what a read-write mount would find; may itself write to the volume's journal area.
  virtual NtfsState ntfs_state(const std::string& device) = 0;
  // Mounts one volume; nothing else is mounted. A read-only mount never writes. A read-write mount
  // may turn out read-only without an error: see is_writable.
  virtual void mount(const std::string& device, Access access) = 0;
  // Unmounts. What was written is then no longer cached: the next mount reads it from the disk.
  virtual void unmount() = 0;

  // The path in the volume's own letter case; nothing if it does not exist. ASCII letters match
  // whatever their case.
  virtual std::optional<std::string> resolve(const std::string& path) = 0;
  virtual std::vector<DirectoryEntry> list(const std::string& directory) = 0;
  virtual std::uint64_t size(const std::string& path) = 0;
  // Up to `size` bytes at `offset`; fewer only at the end of the file.
  virtual std::vector<std::byte> read_at(const std::string& path, std::uint64_t offset,
                                         std::size_t size) = 0;
  // Replaces the content of the (host) file behind `fd` by that of the guest's file.
  virtual void download(const std::string& path, int fd) = 0;
  // Whether that is the file's content, to the last byte. `changed`: all parts of it in which it is
  // not what download() has read of the file before; what is known not to have been written since
  // need not be read again.
  virtual bool has_content(const std::string& path, std::span<const std::byte> bytes,
                           const std::vector<FilePart>& changed) = 0;

  // Bytes that files on the mounted volume can still be given.
  virtual std::uint64_t free_space() = 0;

  // Writes and removes a file of its own in `directory`.
  virtual bool is_writable(const std::string& directory) = 0;
  // Overwrites part of an existing file in place, and extends it where that reaches behind its
  // end. A new file renamed over it would not have its security descriptor.
  virtual void write_at(const std::string& path, std::uint64_t offset,
                        std::span<const std::byte> bytes) = 0;
  // Creates the file or replaces its content.
  virtual void write(const std::string& path, std::string_view content) = 0;
  virtual void make_directory(const std::string& path) = 0;
  virtual void remove(const std::string& path) = 0;
  virtual void remove_directory(const std::string& path) = 0;  // which is empty

  // Lets nobody but SYSTEM and the group Administrators do anything with a file or directory, which
  // then belongs to that group. What is created in such a directory later is as private.
  virtual void set_private(const std::string& path, FileType type) = 0;
  // Whether it is exactly that.
  virtual bool is_private(const std::string& path, FileType type) = 0;
};

}  // namespace kvmnet::guestfs

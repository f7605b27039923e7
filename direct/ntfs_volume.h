// SPDX-License-Identifier: GPL-2.0-or-later
// An NTFS volume, read and written by libntfs-3g in this process. That library has no journal: what
// it writes must go to something that can be thrown away. And it trusts the volume more than a
// guest's deserves: call it where a crash does no harm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "direct/block_device.h"

struct _ntfs_volume;

namespace kvmnet::direct {

// Whether a volume may be written.
enum class NtfsState {
  clean,
  hibernated,  // hibernated, or shut down with fast startup: Windows will overwrite what we write
  unclean,     // its journal holds changes that are not in place yet, or it is to be checked
  damaged,
};

enum class Access { read_only, read_write };

enum class FileType { regular, directory, other };

// Where a part of a file lies on the volume, in bytes.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool operator==(const Extent&) const = default;
};

struct DirectoryEntry {
  std::string name;
  FileType type = FileType::other;
  bool operator==(const DirectoryEntry&) const = default;
};

// Paths are absolute, with forward slashes, in UTF-8. Links and other reparse points are never
// followed. Everything throws Error.
class NtfsVolume {
 public:
  // What opening it for writing finds, which may itself write.
  static NtfsState state(const BlockDevice& device);

  // Opening it for writing throws unless its state is clean.
  NtfsVolume(const BlockDevice& device, Access access);
  NtfsVolume(const NtfsVolume&) = delete;
  NtfsVolume& operator=(const NtfsVolume&) = delete;
  ~NtfsVolume();  // what is still in memory may be lost

  // Writes what is still in memory. The object is of no use afterwards.
  void close();

  // The path in the volume's own letter case; nothing if it does not exist. Letters match whatever
  // their case, but one that matches exactly is preferred. A short name stays one.
  std::optional<std::string> resolve(const std::string& path);
  std::vector<DirectoryEntry> list(const std::string& directory);
  std::uint64_t size(const std::string& path);
  // Up to `size` bytes at `offset`; fewer only at the end of the file.
  std::vector<std::byte> read_at(const std::string& path, std::uint64_t offset, std::size_t size);

  // Where the file's bytes are, from its first to its last. Nothing where they do not lie on the
  // volume as they are: compressed, encrypted, sparse, in the file's record, not written up to its
  // end.
  std::optional<std::vector<Extent>> extents(const std::string& path);

  // Bytes of clusters that are not in use.
  std::uint64_t free_space();

  // Overwrites part of an existing file in place; it grows where that reaches behind its end.
  void write_at(const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes);
  // Creates the file, with what its directory hands down, or replaces its content.
  void write(const std::string& path, std::string_view content);
  void make_directory(const std::string& path);
  void remove(const std::string& path);  // a file, or an empty directory

  // The self-relative security descriptor of a file or directory.
  std::string descriptor(const std::string& path);
  void set_descriptor(const std::string& path, const std::string& descriptor);

 private:
  class Inode;
  struct Name;
  struct Found;
  struct Release {
    void operator()(_ntfs_volume* volume) const;
  };

  void require_writable(const std::string& path) const;
  std::optional<std::uint64_t> look_up(Inode& directory, const Name& name, bool exactly) const;
  std::optional<Found> find(const std::string& path) const;
  Inode open(const std::string& path) const;
  Inode open_file(const std::string& path) const;
  void create(const std::string& path, unsigned kind);

  std::unique_ptr<BlockDevice> block_;  // the library has its address
  std::unique_ptr<_ntfs_volume, Release> volume_;
};

}  // namespace kvmnet::direct

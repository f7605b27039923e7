// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's files without an appliance: a child behind the wall reads and writes the file system;
// what it reads and writes of the disk comes from and goes to a QEMU that serves the image.
//
// The child is not trusted, because it parses what the guest has made. Nothing that it says is
// parsed but for lengths, and it writes only to the volume that is mounted for writing, which lies
// where it has said before: on the guest's own disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guestfs/guest_files.h"
#include "src/disk/changes.h"
#include "src/disk/range.h"
#include "src/disk/served_disk.h"
#include "src/support/fd.h"
#include "src/support/refusal.h"
#include "src/wall/wall.h"

namespace kvmnet {

// Throws guestfs::Error; Refused where what is on the disk brings down the child.
class DirectGuest : public guestfs::GuestFiles {
 public:
  explicit DirectGuest(std::unique_ptr<disk::ServedDisk> disk);
  ~DirectGuest() override;

  // All that has been written, beside what was there before; nothing where it is too much to be
  // kept.
  std::optional<std::vector<disk::Change>> changes();

  // Unmounts, and lets the server end. Of no use afterwards but for finish().
  void begin_finish();
  // Waits for that: only then nobody has the image open, and all that was written is in its file.
  void finish();

  // Whether an appliance may get further than this way, which ended with that refusal: there are
  // volumes of a layout that this way does not read, or keys for encrypted ones, which it does not
  // open. Never where the refusal says that writing is not safe.
  bool is_for_appliance(Reason reason, bool has_keys) const;

  std::vector<guestfs::Volume> volumes() override;
  // Encrypted volumes are for the appliance: nothing opens one here. Both throw Refused.
  std::string uuid(const std::string& device) override;
  std::optional<guestfs::Volume> unlock(const std::string& device, const std::string& key) override;
  guestfs::NtfsState ntfs_state(const std::string& device) override;
  // Throws Refused for read_write_unclean: libntfs-3g would have to empty the journal.
  void mount(const std::string& device, guestfs::Access access) override;
  void unmount() override;
  std::optional<std::string> resolve(const std::string& path) override;
  std::vector<guestfs::DirectoryEntry> list(const std::string& directory) override;
  std::uint64_t size(const std::string& path) override;
  std::vector<std::byte> read_at(const std::string& path, std::uint64_t offset,
                                 std::size_t size) override;
  void download(const std::string& path, int fd) override;
  bool has_content(const std::string& path, std::span<const std::byte> bytes,
                   const std::vector<guestfs::FilePart>& changed) override;
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
  struct Part {
    std::string device;
    disk::Range range;
  };

  void start_child();
  std::string ask(std::string_view operation, const std::string& message);
  disk::Range part(const std::string& device);
  using Taker = disk::ServedDisk::Taker;
  void read_through_child(const std::string& path, const Taker& take);
  std::vector<disk::Range> held_by_overlay(const std::string& path);
  std::vector<disk::Range> extents_of(const std::string& path);
  void read_disk(const std::string& path, const disk::Range& range, const Taker& take);
  bool child_reads(const std::string& path, std::span<const std::byte> bytes);
  bool disk_has(const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes);
  std::vector<std::byte> serve_read(unsigned file, std::uint64_t offset, std::size_t size);
  bool serve_write(unsigned file, std::uint64_t offset, std::span<const std::byte> bytes);

  std::unique_ptr<disk::ServedDisk> disk_;
  disk::Originals originals_;
  Fd table_;               // with what libblkid has to see of the disk
  Fd table_for_reading_;   // the same for the child
  std::size_t chain_ = 0;  // sectors that the child has asked to be in it
  bool is_finishing_ = false;
  std::unique_ptr<wall::Session> child_;
  std::vector<Part> parts_;
  bool has_unknown_layout_ = false;
  std::map<std::string, std::vector<disk::Range>> downloaded_;  // where these files were then
  std::optional<disk::Range> mounted_;                          // the volume
  bool has_written_ = false;                                    // since that was mounted
  std::optional<disk::Range> writable_;                         // where the child may write
  std::string disk_problem_;  // the last one, since the child was asked
};

}  // namespace kvmnet

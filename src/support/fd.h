// SPDX-License-Identifier: GPL-2.0-or-later
// A file descriptor that is closed with its scope, and whole reads and writes on one.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvmnet {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release();
  void reset();

 private:
  int fd_ = -1;
};

// Everything here is close-on-exec and throws Error with the path and the reason.
Fd open_file(const std::string& path, int flags, mode_t mode = 0);

// Creates a file that nobody but us can read, whatever the umask; there must be none.
Fd create_private_file(const std::string& path);

// Never replaces a file. Where the file system cannot rename so (NFS), the file has both names for
// a moment; where it has no hard links either (FAT), the new name is looked for first.
void rename_to_free_name(const std::string& from, const std::string& to);

struct Pipe {
  Fd read_end;
  Fd write_end;
};
Pipe make_pipe();

// The path without symbolic links. Throws Error if there is no such file.
std::string real_path(const std::string& path);

// A file in memory, for what must not lie on a disk: a SYSTEM hive holds the boot key.
Fd make_memory_file(const char* name);  // can be sealed
// The file at `path` for nothing but to name it (O_PATH), if no symbolic link is on the way to it.
// A closed descriptor: errno says why not.
Fd open_through_no_link(const std::string& path);

// The name under which a library can open `fd` as a file of its own.
std::string proc_path(const Fd& fd);
// The same for another process, for as long as we live and have it open.
std::string path_for_others(const Fd& fd);

std::vector<std::byte> read_whole(const Fd& fd);
// From a file or a stream, up to its end, but not more than `most` bytes.
std::string read_text(const Fd& fd, std::size_t most);
void write_whole(const Fd& fd, std::span<const std::byte> bytes);
void write_whole(const Fd& fd, std::string_view text);
// Appends all that `from` holds, which must not become shorter meanwhile; without a copy in this
// process where the kernel can.
void copy_whole(const Fd& from, const Fd& to);
// Fills `into` from a stream; false if that ends before.
bool read_exactly(const Fd& fd, std::span<std::byte> into);

// At `offset`; the file's own position does not count. Throws if the file ends before.
void read_at(const Fd& fd, std::uint64_t offset, std::span<std::byte> into);
void write_at(const Fd& fd, std::uint64_t offset, std::span<const std::byte> bytes);

// fsync of a file, or of the directory that holds `path`.
void sync_file(const Fd& fd, const std::string& path);
void sync_directory_of(const std::string& path);

}  // namespace kvmnet

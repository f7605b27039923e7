// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/image_info.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <set>

#include "src/disk/beside.h"
#include "src/disk/owner.h"
#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {
namespace {

struct Magic {
  std::string_view bytes;
  std::string_view name;
};
// The first bytes of the other formats that QEMU reads (their own specifications).
constexpr std::array<Magic, 9> other_formats = {{{"vhdxfile", "vhdx"},
                                                 {"KDMV", "vmdk"},
                                                 {"COWD", "vmdk"},
                                                 {"# Disk DescriptorFile", "vmdk"},
                                                 {"<<< ", "vdi"},
                                                 {"conectix", "vpc"},
                                                 {"QED", "qed"},
                                                 {"WithoutFreeSpace", "parallels"},
                                                 {"WithouFreSpacExt", "parallels"}}};

struct File {
  struct stat st {};
  std::string start;  // its first bytes, enough for every magic
};

Fd open_for_reading(const std::string& path) {
  return open_file(path, O_RDONLY | O_NONBLOCK);
}

File read_start(const Fd& fd, const std::string& path) {
  constexpr std::size_t longest_magic = 64;
  File file;
  if (::fstat(fd.get(), &file.st) != 0) throw system_error(path, errno);
  file.start.resize(longest_magic);
  const ssize_t n = ::pread(fd.get(), file.start.data(), file.start.size(), 0);
  if (n < 0) throw system_error(path, errno);
  file.start.resize(static_cast<std::size_t>(n));
  return file;
}

// stat() gives a block device no size.
off_t block_device_size(const std::string& path) {
  const off_t size = ::lseek(open_for_reading(path).get(), 0, SEEK_END);
  if (size < 0) throw system_error(path, errno);
  return size;
}

Identity identity_from(const struct stat& st, const std::string& path) {
  constexpr std::int64_t second = 1'000'000'000;
  return {st.st_dev, st.st_ino, S_ISBLK(st.st_mode) ? block_device_size(path) : st.st_size,
          st.st_mtim.tv_sec * second + st.st_mtim.tv_nsec,
          st.st_ctim.tv_sec * second + st.st_ctim.tv_nsec};
}

// The format of a file that is no image for us; empty if there is no such magic.
std::string_view other_format(const File& file) {
  for (const Magic& magic : other_formats)
    if (file.start.starts_with(magic.bytes)) return magic.name;
  return {};
}

std::optional<Refusal> check_magic(const File& file, const std::string& path) {
  const std::string_view name = other_format(file);
  if (name.empty()) return std::nullopt;
  return Refusal{Reason::unsupported_format, fmt::format("{}: is a {} image", path, name)};
}

// Why QEMU would be led elsewhere than to a plain file, for a backing file `name` that the header
// of `path` gives and that would be at `next`; empty: it would not.
std::string_view wrong_kind(const std::string& path, const std::string& name,
                            const std::string& next) {
  if (names_a_protocol(name)) return "is not given by a path";
  struct stat st {};
  if (::stat(next.c_str(), &st) != 0) {
    if (errno == ENOENT)
      return is_there(commit_path(next))
                 ? "is absent: kvmnet was interrupted while it wrote to it; "
                   "finish that with 'kvmnet recover' first"
                 : "is missing";
    throw system_error(fmt::format("{}: backing file '{}'", path, name), errno);
  }
  return S_ISREG(st.st_mode) ? "" : "is not a regular file";
}

std::string wrong_format(const std::string& given, bool qcow2) {
  if (given.empty())
    return "has no format in the header, so QEMU would guess it from the file's content";
  if (given == (qcow2 ? "qcow2" : "raw")) return {};
  return fmt::format("is not what the header says it is, {}", given);
}

// Root reads everything, and what an image has not itself comes from its backing file: whoever made
// the image must not get to see by us what that user may not read.
class Readers {
 public:
  void add(uid_t owner) {
    if (::geteuid() == 0 && owner != 0) users_.insert(owner);
  }
  // Why `path` is not for all of them; empty: it is.
  std::string why_not(const std::string& path) const {
    for (const uid_t user : users_)
      if (!can_read(user, path))
        return fmt::format("may not be read by user {}, to whom the image belongs", user);
    return {};
  }

 private:
  std::set<uid_t> users_;
};

// Follows the chain of backing files below `path`; every one must be a plain file that QEMU can
// open without being led elsewhere. They are added to `files`.
std::optional<Refusal> check_backing(std::string path, uid_t owner, Qcow2Header header,
                                     std::vector<std::string>& files) {
  constexpr int deepest = 64;
  Readers readers;
  readers.add(owner);
  for (int depth = 0; !header.backing.empty(); ++depth) {
    const auto refuse = [&](std::string_view why) {
      return Refusal{Reason::unsafe_backing_file,
                     fmt::format("{}: backing file '{}' {}", path, header.backing, why)};
    };
    if (depth == deepest) return refuse("is one too many");
    const std::string next = (std::filesystem::path(path).parent_path() / header.backing).string();
    if (const auto why = wrong_kind(path, header.backing, next); !why.empty()) return refuse(why);
    if (const auto why = readers.why_not(next); !why.empty()) return refuse(why);
    const Fd fd = open_for_reading(next);
    const File file = read_start(fd, next);
    readers.add(file.st.st_uid);
    if (auto refusal = check_magic(file, next)) return refusal;
    const bool qcow2 = is_qcow2(file.start);
    if (const auto why = wrong_format(header.backing_format, qcow2); !why.empty())
      return refuse(why);
    files.push_back(std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", fd.get())));
    if (!qcow2) return std::nullopt;
    path = next;
    header = read_qcow2_header(fd, next);
    if (auto refusal = check_qcow2(header, next)) return refusal;
  }
  return std::nullopt;
}

// What is a raw disk by its name or its kind, and begins like an image: a guest can have written
// that, to be taken for an image whose header leads to a file of the host.
std::optional<Refusal> check_raw_disk(const File& file, const std::string& path) {
  const bool qcow2 = is_qcow2(file.start);
  const bool device = S_ISBLK(file.st.st_mode);
  // .img says nothing: many are qcow2. Of a file, other formats are refused anyway.
  if (!device && !(qcow2 && path.ends_with(".raw"))) return std::nullopt;
  const std::string_view format = qcow2 ? "qcow2" : other_format(file);
  if (format.empty()) return std::nullopt;
  return Refusal{Reason::format_mismatch,
                 fmt::format("{}: is {}, but begins like a {} image; say which it is (a guest can "
                             "write the beginning of a raw disk)",
                             path, device ? "a block device" : "named like a raw image", format)};
}

std::optional<Refusal> check_format(const File& file, const std::optional<std::string>& format,
                                    const std::string& path) {
  if (format && *format != "qcow2" && *format != "raw")
    throw UsageError(fmt::format("--format: '{}' is not one of qcow2, raw", *format));
  if (!format)
    if (auto refusal = check_raw_disk(file, path)) return refusal;
  if (format != "raw")
    if (auto refusal = check_magic(file, path)) return refusal;
  const bool qcow2 = is_qcow2(file.start);
  if (qcow2 && format == "raw")
    return Refusal{Reason::format_mismatch, path + ": is a qcow2 image, not raw"};
  if (!qcow2 && format == "qcow2")
    return Refusal{Reason::format_mismatch, path + ": is not a qcow2 image"};
  return std::nullopt;
}

// The same of every other name but qcow2's own: a raw disk does not become a guest's way to files
// of the host because of what the guest has written to its beginning.
std::optional<Refusal> check_guess(const Qcow2Header& header, const std::string& path) {
  if (header.backing.empty() || path.ends_with(".qcow2")) return std::nullopt;
  return Refusal{
      Reason::format_mismatch,
      fmt::format("{}: begins like a qcow2 image with the backing file '{}', but its name "
                  "does not end in .qcow2; say which format it is (a guest can write the "
                  "beginning of a raw disk)",
                  path, header.backing)};
}

std::optional<Refusal> check_kind(const struct stat& st, BlockDevices block_devices,
                                  const std::string& path) {
  if (S_ISDIR(st.st_mode)) throw Error(path + ": is a directory, not a disk image");
  if (S_ISREG(st.st_mode)) return std::nullopt;
  if (block_devices == BlockDevices::refuse)
    return Refusal{Reason::not_a_regular_file, path + ": is not a regular file"};
  if (S_ISBLK(st.st_mode)) return std::nullopt;
  return Refusal{Reason::not_a_regular_file,
                 path + ": is neither a regular file nor a block device"};
}

ImageInfo describe(const std::string& real_path, const File& file) {
  ImageInfo info;
  info.path = real_path;
  info.format = is_qcow2(file.start) ? Format::qcow2 : Format::raw;
  info.mode = file.st.st_mode & 07777;
  info.owner = file.st.st_uid;
  info.group = file.st.st_gid;
  info.links = file.st.st_nlink;
  info.is_block_device = S_ISBLK(file.st.st_mode);
  info.identity = identity_from(file.st, real_path);
  return info;
}

std::optional<Refusal> check_links(const ImageInfo& image) {
  if (image.links <= 1) return std::nullopt;
  return Refusal{Reason::hard_linked,
                 fmt::format("{}: has {} hard links; patching it changes what its other names show",
                             image.path, image.links)};
}

// The longest of the names that kvmnet gives to files beside the image.
std::optional<Refusal> check_name_length(const ImageInfo& image) {
  const std::filesystem::path path = image.path;
  const long longest = ::pathconf(path.parent_path().c_str(), _PC_NAME_MAX);
  const std::size_t needed =
      std::filesystem::path(overlay_path(image.path)).filename().native().size();
  if (longest < 0 || needed <= static_cast<std::size_t>(longest)) return std::nullopt;
  return Refusal{
      Reason::name_too_long,
      fmt::format("{}: the name leaves no room for the temporary files beside it: at "
                  "most {} bytes can be used here",
                  image.path,
                  static_cast<std::size_t>(longest) - (needed - path.filename().native().size()))};
}

// In a sticky directory a file can be renamed only by its owner, the directory's, or root.
bool may_rename(const ImageInfo& image, const std::string& directory) {
  struct stat st {};
  if (::stat(directory.c_str(), &st) != 0) throw system_error(directory, errno);
  const uid_t user = ::geteuid();
  return (st.st_mode & S_ISVTX) == 0 || user == 0 || user == st.st_uid || user == image.owner;
}

std::optional<Refusal> check_writable(const ImageInfo& image) {
  if (::faccessat(AT_FDCWD, image.path.c_str(), W_OK, AT_EACCESS) != 0)
    return Refusal{Reason::image_not_writable,
                   fmt::format("{}: {}", image.path, std::generic_category().message(errno))};
  const std::string directory = std::filesystem::path(image.path).parent_path().string();
  if (::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return Refusal{Reason::directory_not_writable,
                   fmt::format("{}: a temporary file beside the image is needed: {}", directory,
                               std::generic_category().message(errno))};
  if (!may_rename(image, directory))
    return Refusal{Reason::directory_not_writable,
                   fmt::format("{}: is sticky, so that this user may not rename {} while it is "
                               "written",
                               directory, image.path)};
  return check_name_length(image);
}

}  // namespace

std::string_view to_string(Format format) {
  return format == Format::qcow2 ? "qcow2" : "raw";
}

Identity identity_of(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) throw system_error(path, errno);
  return identity_from(st, path);
}

std::variant<ImageInfo, Refusal> identify(const std::string& path,
                                          const std::optional<std::string>& format,
                                          BlockDevices block_devices) {
  const std::string real = real_path(path);
  struct stat st {};
  if (::stat(real.c_str(), &st) != 0) throw system_error(path, errno);
  if (auto refusal = check_kind(st, block_devices, path)) return *refusal;
  const Fd fd = open_for_reading(real);
  const File file = read_start(fd, path);
  if (auto refusal = check_format(file, format, path)) return *refusal;
  ImageInfo info = describe(real, file);
  if (info.format == Format::raw) return info;
  const Qcow2Header header = read_qcow2_header(fd, path);
  if (auto refusal = check_qcow2(header, path)) return *refusal;
  if (!format)
    if (auto refusal = check_guess(header, real)) return *refusal;
  if (auto refusal = check_backing(real, info.owner, header, info.backing_files)) return *refusal;
  return info;
}

std::optional<Refusal> check_in_place(const ImageInfo& image) {
  if (auto refusal = check_links(image)) return refusal;
  return check_writable(image);
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/image_info.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <span>

#include "src/support/error.h"
#include "src/support/fd.h"

namespace kvmnet::disk {
namespace {

constexpr std::size_t header_size = 104;  // a qcow2 version 3 header without extensions
using Start = std::array<unsigned char, 512>;

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
constexpr std::string_view qcow_magic = "QFI\xfb";

std::uint64_t big_endian(std::span<const unsigned char> bytes) {
  std::uint64_t number = 0;
  for (const unsigned char byte : bytes) number = (number << 8) | byte;
  return number;
}

struct File {
  struct stat st {};
  Start start{};
  std::size_t size = 0;  // how much of `start` the file has

  std::string_view text() const { return {reinterpret_cast<const char*>(start.data()), size}; }
  std::uint64_t number(std::size_t offset, std::size_t bytes) const {
    return big_endian(std::span(start).subspan(offset, bytes));
  }
};

Fd open_for_reading(const std::string& path) {
  return open_file(path, O_RDONLY | O_NONBLOCK);
}

File read_start(const Fd& fd, const std::string& path) {
  File file;
  if (::fstat(fd.get(), &file.st) != 0) throw system_error(path, errno);
  const ssize_t n = ::pread(fd.get(), file.start.data(), file.start.size(), 0);
  if (n < 0) throw system_error(path, errno);
  file.size = static_cast<std::size_t>(n);
  return file;
}

Identity identity_from(const struct stat& st) {
  constexpr std::int64_t second = 1'000'000'000;
  return {st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec * second + st.st_mtim.tv_nsec,
          st.st_ctim.tv_sec * second + st.st_ctim.tv_nsec};
}

// The header of a qcow2 file as far as it decides what QEMU would open (docs/interop/qcow2.txt).
struct Qcow2Header {
  std::string backing;         // the backing file's name as written; empty: none
  std::string backing_format;  // empty: QEMU would guess it from the file's content
  bool encrypted = false;
  bool external_data = false;
};

// The header extension with the backing file's format, found as QEMU finds it: from `start` up to
// the backing file's name at `end`. Two of them name no format. Looks at 4096 bytes at the most.
std::string read_backing_format(const Fd& fd, std::uint64_t start, std::uint64_t end) {
  constexpr std::uint64_t backing_format = 0xE2792ACA;
  std::array<unsigned char, 4096> bytes{};
  const ssize_t size = ::pread(fd.get(), bytes.data(), std::min(bytes.size(), end), 0);
  if (size < 0) throw system_error("reading a qcow2 header", errno);
  const std::span<const unsigned char> head(bytes.data(), static_cast<std::size_t>(size));
  std::string format;
  for (std::uint64_t at = start; at + 8 <= head.size();) {
    const std::uint64_t type = big_endian(head.subspan(at, 4));
    const std::uint64_t length = big_endian(head.subspan(at + 4, 4));
    at += 8;
    if (type == 0 || length > head.size() - at) break;
    if (type == backing_format) {
      if (!format.empty()) return "given twice";
      format.assign(reinterpret_cast<const char*>(head.data() + at), length);
    }
    at += (length + 7) / 8 * 8;
  }
  return format;
}

Qcow2Header read_qcow2_header(const Fd& fd, const File& file, const std::string& path) {
  const std::uint64_t version = file.size >= header_size ? file.number(4, 4) : 0;
  if (version != 2 && version != 3)
    throw Error(fmt::format("{}: the qcow2 header is damaged or of an unknown version", path));
  Qcow2Header header;
  header.encrypted = file.number(32, 4) != 0;
  constexpr std::uint64_t external_data_file = 4;  // bit 2 of the incompatible features
  header.external_data = version == 3 && (file.number(72, 8) & external_data_file) != 0;
  const std::uint64_t offset = file.number(8, 8);
  const std::uint64_t size = file.number(16, 4);
  if (offset == 0) return header;
  constexpr std::uint64_t longest = 1023;
  header.backing.resize(std::min(size, longest));
  const ssize_t n = size > longest ? -1
                                   : ::pread(fd.get(), header.backing.data(), header.backing.size(),
                                             static_cast<off_t>(offset));
  if (n < 0 || static_cast<std::uint64_t>(n) != size)
    throw Error(path + ": the name of the backing file in the qcow2 header is damaged");
  header.backing_format = read_backing_format(fd, version == 2 ? 72 : file.number(100, 4), offset);
  return header;
}

// QEMU takes "word:" before the first slash for a protocol.
bool names_a_protocol(const std::string& name) {
  const std::size_t colon = name.find(':');
  return colon != std::string::npos && colon < name.find('/');
}

std::optional<Refusal> check_qcow2(const Qcow2Header& header, const std::string& path) {
  if (header.external_data)
    return Refusal{Reason::external_data_file, path + ": keeps its data in another file"};
  if (header.encrypted) return Refusal{Reason::encrypted_image, path + ": is an encrypted qcow2"};
  return std::nullopt;
}

std::optional<Refusal> check_magic(const File& file, const std::string& path) {
  for (const Magic& magic : other_formats)
    if (file.text().starts_with(magic.bytes))
      return Refusal{Reason::unsupported_format,
                     fmt::format("{}: is a {} image", path, magic.name)};
  return std::nullopt;
}

// Follows the chain of backing files below `path`; every one must be a plain file that QEMU can
// open without being led elsewhere.
std::optional<Refusal> check_backing(std::string path, Qcow2Header header) {
  constexpr int deepest = 64;
  for (int depth = 0; !header.backing.empty(); ++depth) {
    const std::string name = header.backing;
    const auto refuse = [&](std::string_view why) {
      return Refusal{Reason::unsafe_backing_file,
                     fmt::format("{}: backing file '{}' {}", path, name, why)};
    };
    if (depth == deepest) return refuse("is one too many");
    if (names_a_protocol(name)) return refuse("is not given by a path");
    const std::string next = (std::filesystem::path(path).parent_path() / name).string();
    struct stat st {};
    if (::stat(next.c_str(), &st) != 0)
      throw system_error(fmt::format("{}: backing file '{}'", path, name), errno);
    if (!S_ISREG(st.st_mode)) return refuse("is not a regular file");
    const Fd fd = open_for_reading(next);
    const File file = read_start(fd, next);
    if (auto refusal = check_magic(file, next)) return refusal;
    const bool is_qcow2 = file.text().starts_with(qcow_magic);
    if (header.backing_format.empty())
      return refuse("has no format in the header, so QEMU would guess it from the file's content");
    if (header.backing_format != (is_qcow2 ? "qcow2" : "raw"))
      return refuse(fmt::format("is not what the header says it is, {}", header.backing_format));
    path = next;
    if (!is_qcow2) return std::nullopt;
    header = read_qcow2_header(fd, file, next);
    if (auto refusal = check_qcow2(header, next)) return refusal;
  }
  return std::nullopt;
}

std::optional<Refusal> check_format(const File& file, const std::optional<std::string>& format,
                                    bool is_qcow2, const std::string& path) {
  if (format && *format != "qcow2" && *format != "raw")
    throw UsageError(fmt::format("--format: '{}' is not one of qcow2, raw", *format));
  if (format != "raw")
    if (auto refusal = check_magic(file, path)) return refusal;
  const bool named_raw = path.ends_with(".raw");  // .img says nothing: many are qcow2
  if (is_qcow2 && format == "raw")
    return Refusal{Reason::format_mismatch, path + ": is a qcow2 image, not raw"};
  if (is_qcow2 && !format && named_raw)
    return Refusal{Reason::format_mismatch,
                   path +
                       ": is named like a raw image, but begins like a qcow2 image; say which it "
                       "is (a guest can write the beginning of a raw disk)"};
  if (!is_qcow2 && format == "qcow2")
    return Refusal{Reason::format_mismatch, path + ": is not a qcow2 image"};
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Format format) {
  return format == Format::qcow2 ? "qcow2" : "raw";
}

Identity identity_of(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) throw system_error(path, errno);
  return identity_from(st);
}

std::variant<ImageInfo, Refusal> identify(const std::string& path,
                                          const std::optional<std::string>& format) {
  ImageInfo info;
  info.path = real_path(path);
  struct stat st {};
  if (::stat(info.path.c_str(), &st) != 0) throw system_error(path, errno);
  if (S_ISDIR(st.st_mode)) throw Error(path + ": is a directory, not a disk image");
  if (!S_ISREG(st.st_mode))
    return Refusal{Reason::not_a_regular_file, path + ": is not a regular file"};
  const Fd fd = open_for_reading(info.path);
  const File file = read_start(fd, path);
  const bool is_qcow2 = file.text().starts_with(qcow_magic);
  if (auto refusal = check_format(file, format, is_qcow2, path)) return *refusal;
  info.format = is_qcow2 ? Format::qcow2 : Format::raw;
  info.mode = file.st.st_mode & 07777;
  info.owner = file.st.st_uid;
  info.group = file.st.st_gid;
  info.identity = identity_from(file.st);
  if (!is_qcow2) return info;
  const Qcow2Header header = read_qcow2_header(fd, file, path);
  if (auto refusal = check_qcow2(header, path)) return *refusal;
  if (auto refusal = check_backing(info.path, header)) return *refusal;
  return info;
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
  return std::nullopt;
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/qcow2_header.h"

#include <fmt/format.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "src/support/error.h"

namespace kvmnet::disk {
namespace {

constexpr std::size_t header_size = 104;  // a version 3 header without extensions
constexpr std::size_t most_read = 4096;   // QEMU's own headers and extensions need less

[[noreturn]] void refuse_damaged(const std::string& path, std::string_view why) {
  throw Refused{{Reason::damaged_image, fmt::format("{}: {}", path, why)}};
}

// What the file has of `size` bytes at `offset`; nothing where it cannot be asked there.
std::optional<std::string> read_at(const Fd& fd, std::uint64_t offset, std::size_t size) {
  std::string bytes(size, '\0');
  const ssize_t n = ::pread(fd.get(), bytes.data(), size, static_cast<off_t>(offset));
  if (n < 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(n));
  return bytes;
}

std::string read_backing_name(const Fd& fd, std::uint64_t offset, std::uint64_t size,
                              const std::string& path) {
  constexpr std::uint64_t longest = 1023;
  std::optional<std::string> name;
  if (size <= longest) name = read_at(fd, offset, size);
  if (!name || name->size() != size)
    refuse_damaged(path, "the name of the backing file in the qcow2 header is damaged");
  return *name;
}

// The header extensions of a type, found as QEMU finds them: from `start` up to `end`, which is
// where the backing file's name is, or the end of the first cluster. Refused if they go on behind
// `head`.
std::vector<std::string_view> find_extensions(std::string_view head, std::uint64_t start,
                                              std::uint64_t end, std::uint64_t wanted,
                                              const std::string& path) {
  std::vector<std::string_view> found;
  for (std::uint64_t at = start; at + 8 <= end;) {
    if (at + 8 > head.size()) refuse_damaged(path, "unusually long qcow2 header extensions");
    const std::uint64_t type = qcow2_number(head, at, 4);
    const std::uint64_t length = qcow2_number(head, at + 4, 4);
    at += 8;
    if (type == 0 || length > end - at) break;
    if (at + length > head.size()) refuse_damaged(path, "unusually long qcow2 header extensions");
    if (type == wanted) found.push_back(head.substr(at, length));
    at += (length + 7) / 8 * 8;
  }
  return found;
}

// Two of them name no format.
std::string backing_format(const std::vector<std::string_view>& extensions) {
  if (extensions.empty()) return {};
  return extensions.size() == 1 ? std::string(extensions.front()) : "given twice";
}

void read_bitmaps_extension(std::string_view extension, Qcow2Header& header) {
  if (extension.size() < 24) return;
  header.bitmaps = qcow2_number(extension, 0, 4);
  header.bitmap_directory = {qcow2_number(extension, 16, 8), qcow2_number(extension, 8, 8)};
}

Qcow2Header parse_fixed_part(std::string_view head, std::uint64_t version) {
  // Bits of the incompatible features.
  constexpr std::uint64_t dirty = 1 << 0;
  constexpr std::uint64_t corrupt = 1 << 1;
  constexpr std::uint64_t external_data_file = 1 << 2;
  constexpr std::uint64_t extended_l2 = 1 << 4;
  Qcow2Header header;
  header.cluster_size = 1ULL << qcow2_number(head, 20, 4);
  header.disk_size = qcow2_number(head, 24, 8);
  header.encrypted = qcow2_number(head, 32, 4) != 0;
  header.snapshots = qcow2_number(head, 60, 4);
  header.snapshot_table = {qcow2_number(head, 64, 8), 0};
  header.l1_table = {qcow2_number(head, 40, 8), qcow2_number(head, 36, 4) * 8};
  header.refcount_table = {qcow2_number(head, 48, 8),
                           qcow2_number(head, 56, 4) * header.cluster_size};
  if (version == 2) return header;
  const std::uint64_t features = qcow2_number(head, 72, 8);
  header.is_dirty = (features & dirty) != 0;
  header.is_corrupt = (features & corrupt) != 0;
  header.external_data = (features & external_data_file) != 0;
  header.extended_l2 = (features & extended_l2) != 0;
  header.has_autoclear = qcow2_number(head, 88, 8) != 0;
  return header;
}

}  // namespace

std::uint64_t qcow2_number(std::string_view bytes, std::size_t offset, std::size_t size) {
  std::uint64_t number = 0;
  for (const char byte : bytes.substr(offset, size))
    number = (number << 8) | static_cast<unsigned char>(byte);
  return number;
}

bool is_qcow2(std::string_view start) {
  return start.starts_with("QFI\xfb");
}

Qcow2Header read_qcow2_header(const Fd& fd, const std::string& path) {
  const auto read = read_at(fd, 0, most_read);
  if (!read) throw system_error(path, errno);
  const std::string_view head = *read;
  const std::uint64_t version =
      is_qcow2(head) && head.size() >= header_size ? qcow2_number(head, 4, 4) : 0;
  if (is_qcow2(head) && head.size() >= 8 && qcow2_number(head, 4, 4) == 1)
    throw Refused{{Reason::unsupported_format, path + ": is a qcow image (version 1)"}};
  if (version != 2 && version != 3)
    refuse_damaged(path, "the qcow2 header is damaged or of an unknown version");
  const std::uint64_t cluster_bits = qcow2_number(head, 20, 4);
  if (cluster_bits < 9 || cluster_bits > 21)  // 512 bytes to 2 MiB, as QEMU has it
    refuse_damaged(path, "the cluster size in the qcow2 header is damaged");
  Qcow2Header header = parse_fixed_part(head, version);
  const std::uint64_t offset = qcow2_number(head, 8, 8);
  // QEMU puts it right behind the header extensions. Farther away there is room for extensions that
  // it would see and this would not.
  if (offset > most_read)
    refuse_damaged(path, "the name of the backing file is in an unusual place of the qcow2 header");
  const std::uint64_t start = version == 2 ? 72 : qcow2_number(head, 100, 4);
  const std::uint64_t end = offset != 0 ? offset : header.cluster_size;
  // Where an unknowing writer has cleared the bit, the extension leads to what is anything by now.
  constexpr std::uint64_t bitmaps_extension = 1 << 0;
  if (version > 2 && (qcow2_number(head, 88, 8) & bitmaps_extension) != 0)
    for (const std::string_view found : find_extensions(head, start, end, 0x23852875, path))
      read_bitmaps_extension(found, header);
  if (offset == 0) return header;
  header.backing = read_backing_name(fd, offset, qcow2_number(head, 16, 4), path);
  header.backing_format = backing_format(find_extensions(head, start, end, 0xE2792ACA, path));
  return header;
}

std::string read_backing_name(const Fd& fd, const std::string& path) {
  const auto head = read_at(fd, 0, most_read);
  if (!head) throw system_error(path, errno);
  constexpr std::size_t end_of_size = 20;
  if (!is_qcow2(*head) || head->size() < end_of_size) return {};
  if (qcow2_number(*head, 4, 4) != 1) return read_qcow2_header(fd, path).backing;
  const std::uint64_t offset = qcow2_number(*head, 8, 8);
  return offset == 0 ? "" : read_backing_name(fd, offset, qcow2_number(*head, 16, 4), path);
}

std::optional<Refusal> check_qcow2(const Qcow2Header& header, const std::string& path) {
  if (header.external_data)
    return Refusal{Reason::external_data_file, path + ": keeps its data in another file"};
  if (header.encrypted) return Refusal{Reason::encrypted_image, path + ": is an encrypted qcow2"};
  return std::nullopt;
}

bool names_a_protocol(std::string_view name) {
  const std::size_t colon = name.find(':');
  return colon != std::string_view::npos && colon < name.find('/');
}

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/direct_guest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "direct/ntfs_volume.h"
#include "direct/partitions.h"
#include "src/apply/direct_messages.h"
#include "src/support/error.h"
#include "src/support/refusal.h"

namespace kvmnet {
namespace {

namespace operation = direct_operation;
using GuestError = guestfs::Error;
using guestfs::FilePart;

// More than any guest's work needs; what is read twice counts twice.
wall::Limits limits() {
  wall::Limits limits;
  limits.cpu = std::chrono::seconds(120);
  limits.file = 0;
  limits.read = 4ULL << 30;
  limits.write = 512 << 20;
  limits.answer = 16 << 20;  // a large directory, or what read_at() asks for
  return limits;
}

constexpr std::uint64_t largest_file = 512 << 20;  // goes into the host's memory
constexpr std::uint64_t piece = 1 << 20;

// What the child says it is to be one of the first `count` values.
template <typename T>
T one_of(std::uint64_t value, std::uint64_t count) {
  if (value >= count) throw GuestError("the process that reads the disk makes no sense");
  return static_cast<T>(value);
}

std::string with_path(const std::string& path) {
  return MessageWriter().text(path).take();
}

std::uint64_t is_directory(guestfs::FileType type) {
  return type == guestfs::FileType::directory ? 1 : 0;
}

void copy_to_table(disk::ServedDisk& disk, const Fd& table, std::uint64_t offset,
                   std::uint64_t size) {
  std::vector<std::byte> bytes(size);
  disk.read(offset, bytes);
  kvmnet::write_at(table, offset, bytes);
}

// Whether a file that lay in `earlier` still does, if it has grown since.
bool begin_with(const std::vector<disk::Range>& extents, const std::vector<disk::Range>& earlier) {
  if (earlier.empty() || extents.size() < earlier.size()) return false;
  const disk::Range& last = extents[earlier.size() - 1];
  return std::equal(earlier.begin(), earlier.end() - 1, extents.begin()) &&
         last.start == earlier.back().start && last.length >= earlier.back().length;
}

struct Stretch {
  disk::Range range;
  bool is_held = false;
};

using Stretches = std::vector<Stretch>;

// The extent in stretches that lie in one of the ranges, which are in order, or in none.
Stretches split(disk::Range extent, const std::vector<disk::Range>& held) {
  Stretches parts;
  const auto add = [&](std::uint64_t end, bool is_held) {
    if (end <= extent.start) return;
    parts.push_back({{extent.start, end - extent.start}, is_held});
    extent = {end, extent.length - (end - extent.start)};
  };
  const std::uint64_t end = extent.start + extent.length;
  auto next = std::partition_point(held.begin(), held.end(), [&](const disk::Range& range) {
    return range.start + range.length <= extent.start;
  });
  for (; next != held.end() && next->start < end; ++next) {
    add(next->start, false);
    add(std::min(end, next->start + next->length), true);
  }
  add(end, false);
  return parts;
}

bool overlap(const std::vector<FilePart>& parts, const FilePart& with) {
  return std::any_of(parts.begin(), parts.end(), [&with](const FilePart& part) {
    return part.offset < with.offset + with.length && with.offset < part.offset + part.length;
  });
}

bool contains(const disk::Range& range, std::uint64_t offset, std::uint64_t size) {
  return offset >= range.start && offset - range.start <= range.length &&
         size <= range.length - (offset - range.start);
}

[[noreturn]] void refuse_encrypted(const std::string& device) {
  throw Refused{{Reason::encrypted_volume,
                 device + " is encrypted, and only an appliance opens such a volume"}};
}

guestfs::Content content_of(direct::Content content) {
  switch (content) {
    case direct::Content::ntfs:
      return guestfs::Content::ntfs;
    case direct::Content::bitlocker:
      return guestfs::Content::bitlocker;
    case direct::Content::luks:
      return guestfs::Content::luks;
    case direct::Content::unknown_layout:
    case direct::Content::other:
      break;
  }
  return guestfs::Content::other;
}

}  // namespace

// The child starts while the server does.
DirectGuest::DirectGuest(std::unique_ptr<disk::ServedDisk> disk)
    : disk_(std::move(disk)),
      table_(make_memory_file("partition table")),
      table_for_reading_(open_file(proc_path(table_), O_RDONLY)) {
  start_child();
  if (::ftruncate(table_.get(), static_cast<off_t>(disk_->size())) != 0)
    throw system_error("making a file for the partition table", errno);
  const std::uint64_t part = std::min(disk_->size(), direct::table_size);
  copy_to_table(*disk_, table_, 0, part);
  copy_to_table(*disk_, table_, disk_->size() - part, part);
}

DirectGuest::~DirectGuest() = default;

void DirectGuest::start_child() {
  wall::Means means;
  means.limits = limits();
  means.files = {&table_for_reading_};
  means.read_at = [this](unsigned file, std::uint64_t offset, std::size_t size) {
    return serve_read(file, offset, size);
  };
  means.write_at = [this](unsigned file, std::uint64_t offset, std::span<const std::byte> bytes) {
    return serve_write(file, offset, bytes);
  };
  child_ = std::make_unique<wall::Session>(std::move(means));
}

// Nothing: the child takes it for an error of the disk. What is outside it is told no more.
std::vector<std::byte> DirectGuest::serve_read(unsigned file, std::uint64_t offset,
                                               std::size_t size) {
  if (!contains({0, disk_->size()}, offset, size)) return {};
  const bool for_table = file == direct_file::table;
  if (for_table && (size != direct::chain_sector_size || ++chain_ > direct::longest_chain + 1))
    return {};
  std::vector<std::byte> bytes(size);
  try {
    disk_->read(offset, bytes);
  } catch (const kvmnet::Error& e) {
    disk_problem_ = e.what();
    return {};
  }
  if (for_table) kvmnet::write_at(table_, offset, bytes);
  originals_.note(offset, bytes);
  return bytes;
}

bool DirectGuest::serve_write(unsigned file, std::uint64_t offset,
                              std::span<const std::byte> bytes) {
  if (file != direct_file::disk || !writable_ || !contains(*writable_, offset, bytes.size()))
    return false;
  try {
    originals_.keep(*disk_, {offset, bytes.size()});
    disk_->write(offset, bytes);
    return true;
  } catch (const kvmnet::Error& e) {
    disk_problem_ = e.what();
    return false;
  }
}

std::string DirectGuest::ask(std::string_view operation, const std::string& message) {
  disk_problem_.clear();
  try {
    return child_->ask(operation, message);
  } catch (const wall::Breach& e) {
    throw Refused{{Reason::damaged_ntfs,
                   fmt::format("{}: {}", wall::describe(e.how(), "file system"), e.what())}};
  } catch (const kvmnet::Error& e) {
    throw GuestError(disk_problem_.empty() ? e.what() : disk_problem_);
  }
}

std::optional<std::vector<disk::Change>> DirectGuest::changes() {
  if (!originals_.are_complete()) return std::nullopt;
  return disk::compare(*disk_, originals_);
}

void DirectGuest::begin_finish() {
  unmount();
  child_->stop();
  disk_->begin_finish();
  is_finishing_ = true;
}

void DirectGuest::finish() {
  if (!is_finishing_) begin_finish();
  disk_->finish();
}

bool DirectGuest::is_for_appliance(Reason reason, bool has_keys) const {
  if (reason == Reason::no_windows || reason == Reason::no_such_root) return has_unknown_layout_;
  return reason == Reason::encrypted_volume && (has_keys || has_unknown_layout_);
}

std::vector<guestfs::Volume> DirectGuest::volumes() {
  constexpr std::size_t most = 1024;
  const std::string answer = ask(operation::volumes, MessageWriter().number(disk_->size()).take());
  parts_.clear();
  std::vector<guestfs::Volume> volumes;
  for (MessageReader reader(answer); !reader.at_end();) {
    const std::uint64_t number = reader.number();
    const disk::Range range = {reader.number(), reader.number()};
    const auto content = one_of<direct::Content>(reader.number(), 5);
    if (volumes.size() == most) throw GuestError("the disk has too many partitions");
    const std::string device =
        number == 0 ? std::string("/dev/sda") : fmt::format("/dev/sda{}", number);
    parts_.push_back({device, range});
    has_unknown_layout_ = has_unknown_layout_ || content == direct::Content::unknown_layout;
    volumes.push_back({device, content_of(content)});
  }
  return volumes;
}

disk::Range DirectGuest::part(const std::string& device) {
  const auto found = std::find_if(parts_.begin(), parts_.end(),
                                  [&](const Part& part) { return part.device == device; });
  if (found == parts_.end()) throw GuestError(device + ": there is no such volume");
  if (!contains({0, disk_->size()}, found->range.start, found->range.length))
    throw GuestError(device + ": reaches over the end of the disk");
  return found->range;
}

guestfs::NtfsState DirectGuest::ntfs_state(const std::string& device) {
  const disk::Range range = part(device);
  writable_ = range;
  const std::string answer =
      ask(operation::state, MessageWriter().number(range.start).number(range.length).take());
  writable_.reset();
  switch (one_of<direct::NtfsState>(MessageReader(answer).number(), 4)) {
    case direct::NtfsState::clean:
      return guestfs::NtfsState::clean;
    case direct::NtfsState::hibernated:
      return guestfs::NtfsState::hibernated;
    case direct::NtfsState::unclean:
      return guestfs::NtfsState::unclean;
    case direct::NtfsState::damaged:
      break;
  }
  return guestfs::NtfsState::damaged;
}

std::string DirectGuest::uuid(const std::string& device) {
  refuse_encrypted(device);
}

std::optional<guestfs::Volume> DirectGuest::unlock(const std::string& device,
                                                   const std::string& /*key*/) {
  refuse_encrypted(device);
}

void DirectGuest::mount(const std::string& device, guestfs::Access access) {
  if (access == guestfs::Access::read_write_unclean)
    throw Refused{{Reason::unclean_ntfs,
                   fmt::format("{}: the NTFS was not cleanly unmounted, and only --backend "
                               "libguestfs writes to such a one",
                               device)}};
  const disk::Range range = part(device);
  const bool writable = access == guestfs::Access::read_write;
  mounted_ = range;
  has_written_ = false;
  writable_.reset();
  if (writable) writable_ = range;
  try {
    ask(operation::mount,
        MessageWriter().number(range.start).number(range.length).number(writable ? 1 : 0).take());
  } catch (const GuestError& e) {
    throw GuestError(fmt::format("mounting {}: {}", device, e.what()));
  }
}

void DirectGuest::unmount() {
  ask(operation::unmount, {});
  mounted_.reset();
  writable_.reset();
}

std::optional<std::string> DirectGuest::resolve(const std::string& path) {
  const std::string answer = ask(operation::resolve, with_path(path));
  if (answer.empty()) return std::nullopt;
  return std::string(MessageReader(answer).text());
}

std::vector<guestfs::DirectoryEntry> DirectGuest::list(const std::string& directory) {
  const std::string answer = ask(operation::list, with_path(directory));
  std::vector<guestfs::DirectoryEntry> entries;
  for (MessageReader reader(answer); !reader.at_end();) {
    const auto type = one_of<direct::FileType>(reader.number(), 3);
    const auto type_here = type == direct::FileType::directory ? guestfs::FileType::directory
                           : type == direct::FileType::regular ? guestfs::FileType::regular
                                                               : guestfs::FileType::other;
    entries.push_back({std::string(reader.text()), type_here});
  }
  return entries;
}

std::uint64_t DirectGuest::size(const std::string& path) {
  const std::string answer = ask(operation::size, with_path(path));
  return MessageReader(answer).number();
}

std::vector<std::byte> DirectGuest::read_at(const std::string& path, std::uint64_t offset,
                                            std::size_t size) {
  constexpr std::size_t largest_answer = 4 << 20;
  std::vector<std::byte> bytes;
  while (bytes.size() < size) {
    const std::size_t part = std::min(size - bytes.size(), largest_answer);
    const std::string answer =
        ask(operation::read,
            MessageWriter().text(path).number(offset + bytes.size()).number(part).take());
    if (answer.size() > part) throw GuestError(path + ": more was read than there can be");
    const auto data = std::as_bytes(std::span(answer));
    bytes.insert(bytes.end(), data.begin(), data.end());
    if (answer.size() < part) break;
  }
  return bytes;
}

// None: the file does not lie on the disk as it is. The child says where it lies, and the bytes do
// not go through it: what it says of that it could as well say of them.
std::vector<disk::Range> DirectGuest::extents_of(const std::string& path) {
  std::vector<disk::Range> extents;
  if (has_written_) return extents;  // the child still has some of it in memory
  std::uint64_t left = largest_file;
  const std::string answer = ask(operation::extents, with_path(path));
  for (MessageReader reader(answer); !reader.at_end();) {
    const disk::Range extent = {reader.number(), reader.number()};
    if (!mounted_ || !contains({0, mounted_->length}, extent.start, extent.length))
      throw GuestError(path + ": reaches over the end of its volume");
    if (extent.length > left) throw GuestError(path + ": is too large");
    left -= extent.length;
    extents.push_back({mounted_->start + extent.start, extent.length});
  }
  return extents;
}

void DirectGuest::read_disk(const std::string& path, const disk::Range& range, const Taker& take) {
  try {
    disk_->read(range.start, range.length, take);
  } catch (const kvmnet::Error& e) {
    throw GuestError(path + ": " + e.what());
  }
}

// For what does not lie on the disk as it is.
void DirectGuest::read_through_child(const std::string& path, const Taker& take) {
  const std::uint64_t whole = size(path);
  if (whole > largest_file) throw GuestError(path + ": is too large");
  for (std::uint64_t done = 0; done < whole;) {
    const auto bytes = read_at(path, done, std::min(piece, whole - done));
    if (bytes.empty()) throw GuestError(path + ": ends early");
    if (!take(bytes)) return;
    done += bytes.size();
  }
}

void DirectGuest::download(const std::string& path, int fd) {
  if (::ftruncate(fd, 0) != 0) throw system_error("reading " + path, errno);
  const auto extents = extents_of(path);
  downloaded_[path] = extents;
  const Fd file(::dup(fd));
  std::uint64_t done = 0;
  const Taker take = [&](std::span<const std::byte> bytes) {
    kvmnet::write_at(file, done, bytes);
    done += bytes.size();
    return true;
  };
  for (const disk::Range& extent : extents) read_disk(path, extent, take);
  if (extents.empty()) read_through_child(path, take);
}

bool DirectGuest::child_reads(const std::string& path, std::span<const std::byte> bytes) {
  bool same = true;
  read_through_child(path, [&](std::span<const std::byte> part) {
    same = part.size() <= bytes.size() && std::equal(part.begin(), part.end(), bytes.begin());
    bytes = bytes.subspan(std::min(part.size(), bytes.size()));
    return same;
  });
  return same && bytes.empty();
}

bool DirectGuest::disk_has(const std::string& path, std::uint64_t offset,
                           std::span<const std::byte> bytes) {
  bool same = true;
  read_disk(path, {offset, bytes.size()}, [&](std::span<const std::byte> part) {
    same = std::memcmp(part.data(), bytes.data(), part.size()) == 0;
    bytes = bytes.subspan(part.size());
    return same;
  });
  return same;
}

std::vector<disk::Range> DirectGuest::held_by_overlay(const std::string& path) {
  try {
    return disk_->allocated();
  } catch (const kvmnet::Error& e) {
    throw GuestError(path + ": " + e.what());
  }
}

// What the overlay does not hold nobody has written, and a commit does not bring anywhere.
bool DirectGuest::has_content(const std::string& path, std::span<const std::byte> bytes,
                              const std::vector<FilePart>& changed) {
  if (size(path) != bytes.size()) return false;
  const auto extents = extents_of(path);
  if (extents.empty()) return child_reads(path, bytes);
  if (disk::length_of(extents) != bytes.size()) return false;
  const auto earlier = downloaded_.find(path);
  const bool has_moved = earlier == downloaded_.end() || !begin_with(extents, earlier->second);
  const auto held = has_moved ? std::vector<disk::Range>() : held_by_overlay(path);
  std::uint64_t done = 0;
  for (const disk::Range& extent : extents)
    for (const auto& [range, is_held] :
         has_moved ? Stretches{{extent, true}} : split(extent, held)) {
      const FilePart part = {done, range.length};
      done += range.length;
      if (is_held ? !disk_has(path, range.start, bytes.subspan(part.offset, part.length))
                  : overlap(changed, part))
        return false;
    }
  return true;
}

std::uint64_t DirectGuest::free_space() {
  const std::string answer = ask(operation::free_space, with_path("/"));
  return MessageReader(answer).number();
}

// Where it is not, mounting has failed already.
bool DirectGuest::is_writable(const std::string& directory) {
  std::string file = directory + "/kvmnet-write-test";
  while (resolve(file)) file += '-';  // the guest's own
  const bool had_written = has_written_;
  write(file, "");
  remove(file);
  has_written_ = had_written;  // no other file has changed
  return true;
}

void DirectGuest::write_at(const std::string& path, std::uint64_t offset,
                           std::span<const std::byte> bytes) {
  has_written_ = true;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ask(operation::write_at, MessageWriter().text(path).number(offset).text(text).take());
}

void DirectGuest::write(const std::string& path, std::string_view content) {
  has_written_ = true;
  ask(operation::write, MessageWriter().text(path).text(content).take());
}

void DirectGuest::make_directory(const std::string& path) {
  has_written_ = true;
  ask(operation::make_directory, with_path(path));
}

void DirectGuest::remove(const std::string& path) {
  has_written_ = true;
  ask(operation::remove, with_path(path));
}

void DirectGuest::remove_directory(const std::string& path) {
  remove(path);
}

void DirectGuest::set_private(const std::string& path, guestfs::FileType type) {
  has_written_ = true;
  ask(operation::set_private, MessageWriter().text(path).number(is_directory(type)).take());
}

bool DirectGuest::is_private(const std::string& path, guestfs::FileType type) {
  const std::string answer =
      ask(operation::is_private, MessageWriter().text(path).number(is_directory(type)).take());
  return MessageReader(answer).number() == 1;
}

}  // namespace kvmnet

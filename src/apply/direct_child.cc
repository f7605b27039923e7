// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/direct_child.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "direct/partitions.h"
#include "ntfs/security_descriptor.h"
#include "src/apply/direct_messages.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

namespace operation = direct_operation;
using direct::BlockDevice;
using wall::Call;

BlockDevice::ReadAt reader_of(const Call& call, unsigned file) {
  return [read_at = call.read_at, file](std::uint64_t offset, std::span<std::byte> into) {
    const std::vector<std::byte> bytes = read_at(file, offset, into.size());
    if (bytes.size() != into.size()) throw Error("the disk cannot be read");
    std::memcpy(into.data(), bytes.data(), bytes.size());
  };
}

BlockDevice disk_of(const Call& call, std::uint64_t size) {
  BlockDevice disk;
  disk.size = size;
  disk.read_at = reader_of(call, direct_file::disk);
  disk.write_at = [write_at = call.write_at](std::uint64_t offset,
                                             std::span<const std::byte> bytes) {
    if (!write_at(direct_file::disk, offset, bytes)) throw Error("the disk cannot be written");
  };
  return disk;
}

std::string list(direct::NtfsVolume& volume, const std::string& directory) {
  MessageWriter answer;
  for (const direct::DirectoryEntry& entry : volume.list(directory))
    answer.number(static_cast<std::uint64_t>(entry.type)).text(entry.name);
  return answer.take();
}

std::string resolve(direct::NtfsVolume& volume, const std::string& path) {
  const auto found = volume.resolve(path);
  return found ? MessageWriter().text(*found).take() : std::string();
}

// Nothing, or the extents. An empty file has none either; reading it costs nothing.
std::string extents(direct::NtfsVolume& volume, const std::string& path) {
  MessageWriter answer;
  for (const direct::Extent& extent : volume.extents(path).value_or(std::vector<direct::Extent>()))
    answer.number(extent.offset).number(extent.length);
  return answer.take();
}

std::string read(direct::NtfsVolume& volume, const std::string& path, MessageReader& message) {
  const std::uint64_t offset = message.number();
  const auto bytes = volume.read_at(path, offset, message.number());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_at(direct::NtfsVolume& volume, const std::string& path, MessageReader& message) {
  const std::uint64_t offset = message.number();
  volume.write_at(path, offset, std::as_bytes(std::span(message.text())));
}

std::string wanted_descriptor(MessageReader& message) {
  const bool is_directory = message.number() != 0;
  return ntfs::private_descriptor(is_directory ? ntfs::Kind::directory : ntfs::Kind::file);
}

}  // namespace

bool DirectChild::knows(std::string_view operation) {
  return operation.starts_with("direct ");
}

std::string DirectChild::handle(const Call& call) {
  if (call.operation == operation::volumes) return volumes(call);
  if (call.operation == operation::state) return state(call);
  if (call.operation == operation::mount) {
    mount(call);
    return {};
  }
  if (call.operation == operation::unmount) {
    unmount();
    return {};
  }
  return work_on_volume(call);
}

std::string DirectChild::volumes(const Call& call) const {
  MessageReader message(call.message);
  const BlockDevice disk = disk_of(call, message.number());
  direct::read_chain(reader_of(call, direct_file::table), disk.size);
  MessageWriter answer;
  for (const direct::Volume& volume : direct::find_volumes(call.files[0], disk))
    answer.number(volume.number)
        .number(volume.start)
        .number(volume.length)
        .number(static_cast<std::uint64_t>(volume.content));
  return answer.take();
}

// The part of the disk that the message names.
DirectChild::Part& DirectChild::part(const Call& call, MessageReader& message) {
  const std::uint64_t start = message.number();
  const std::uint64_t length = message.number();
  if (!part_ || part_->start != start || part_->length != length) {
    part_.reset();
    const BlockDevice device = direct::part_of(disk_of(call, start + length), start, length);
    part_.reset(new Part{start, length, direct::BlockCache(device)});
  }
  return *part_;
}

std::string DirectChild::state(const Call& call) {
  if (mounted_ && is_writable_) throw Error("a volume is mounted");
  MessageReader message(call.message);
  direct::BlockCache& cache = part(call, message).cache;
  const auto state = direct::NtfsVolume::state(cache.device());
  cache.flush();
  return MessageWriter().number(static_cast<std::uint64_t>(state)).take();
}

// After it was open for writing it is read anew: what is in memory proves nothing.
void DirectChild::mount(const Call& call) {
  mounted_.reset();
  if (std::exchange(is_writable_, false)) part_.reset();
  MessageReader message(call.message);
  const BlockDevice device = part(call, message).cache.device();
  is_writable_ = message.number() != 0;
  mounted_ = std::make_unique<direct::NtfsVolume>(
      device, is_writable_ ? direct::Access::read_write : direct::Access::read_only);
}

void DirectChild::unmount() {
  const auto volume = std::move(mounted_);
  if (volume) volume->close();
  if (part_) part_->cache.flush();
}

direct::NtfsVolume& DirectChild::mounted() const {
  if (!mounted_) throw Error("no volume is mounted");
  return *mounted_;
}

std::string DirectChild::work_on_volume(const Call& call) {
  direct::NtfsVolume& volume = mounted();
  MessageReader message(call.message);
  const std::string path(message.text());
  if (call.operation == operation::resolve) return resolve(volume, path);
  if (call.operation == operation::list) return list(volume, path);
  if (call.operation == operation::size) return MessageWriter().number(volume.size(path)).take();
  if (call.operation == operation::extents) return extents(volume, path);
  if (call.operation == operation::read) return read(volume, path, message);
  if (call.operation == operation::free_space)
    return MessageWriter().number(volume.free_space()).take();
  if (call.operation == operation::is_private)
    return MessageWriter()
        .number(volume.descriptor(path) == wanted_descriptor(message) ? 1 : 0)
        .take();
  if (call.operation == operation::write_at)
    write_at(volume, path, message);
  else if (call.operation == operation::write)
    volume.write(path, message.text());
  else if (call.operation == operation::make_directory)
    volume.make_directory(path);
  else if (call.operation == operation::remove)
    volume.remove(path);
  else if (call.operation == operation::set_private)
    volume.set_descriptor(path, wanted_descriptor(message));
  else
    throw Error(fmt::format("unknown operation {}", call.operation));
  return {};
}

}  // namespace kvmnet

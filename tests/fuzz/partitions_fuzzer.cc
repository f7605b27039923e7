// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever the partition table says, only the disk is read, of the chain of logical partitions no
// more than the worker's parent allows, and what is found makes sense to that parent.
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "direct/error.h"
#include "direct/partitions.h"
#include "src/support/fd.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/ntfs_image.h"

namespace kvmnet::fuzz {
namespace {

using direct::BlockDevice;
using direct::Content;

BlockDevice disk_of(const Bytes& bytes) {
  BlockDevice disk;
  disk.size = bytes.size();
  disk.read_at = [&bytes](std::uint64_t offset, std::span<std::byte> into) {
    expect(offset <= bytes.size() && into.size() <= bytes.size() - offset,
           "nothing outside of the disk is read");
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
  };
  return disk;
}

// As the worker's parent makes it (src/apply/direct_guest.cc).
Fd make_table(const Bytes& bytes) {
  Fd table = make_memory_file("partition table");
  expect(::ftruncate(table.get(), static_cast<off_t>(bytes.size())) == 0, "there is memory");
  const std::span<const std::byte> all = bytes;
  const std::size_t part = std::min<std::size_t>(bytes.size(), direct::table_size);
  write_at(table, 0, all.first(part));
  write_at(table, bytes.size() - part, all.last(part));
  return table;
}

void read_chain(const BlockDevice& disk, const Fd& table) {
  std::size_t reads = 0;
  const auto read = [&](std::uint64_t offset, std::span<std::byte> into) {
    disk.read_at(offset, into);
    ++reads;
    expect(into.size() == direct::chain_sector_size, "the chain is read sector by sector");
    write_at(table, offset, into);
  };
  const auto chain = direct::read_chain(read, disk.size);
  expect(chain.size() <= direct::longest_chain && reads <= direct::longest_chain + 1,
         "the chain has an end");
}

void check(const std::vector<direct::Volume>& volumes, const BlockDevice& disk) {
  expect(!volumes.empty(), "a disk has a volume");
  for (std::size_t i = 0; i < volumes.size(); ++i) {
    const direct::Volume& volume = volumes[i];
    expect(i == 0 || volumes[i - 1].number <= volume.number, "volumes are in order");
    expect(volume.number != 0 || volumes.size() == 1, "a disk has partitions or is one");
    const bool was_read =
        volume.content != Content::other && volume.content != Content::unknown_layout;
    expect(!was_read || volume.start < disk.size, "what is known has been read");
  }
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kvmnet;
  static fuzz::Bytes bytes;
  fuzz::to_volume(fuzz::unpack_ntfs(std::as_bytes(std::span(data, size))), bytes);
  const direct::BlockDevice disk = fuzz::disk_of(bytes);
  const Fd table = fuzz::make_table(bytes);
  try {
    fuzz::read_chain(disk, table);
    fuzz::check(direct::find_volumes(table.get(), disk), disk);
  } catch (const direct::Error&) {
  }
  return 0;
}

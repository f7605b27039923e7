// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/block_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace kvmnet::direct {
namespace {

constexpr std::uint64_t block_size = 32 << 10;
constexpr std::size_t places = 64;  // each for all blocks whose number has the same remainder

class Cache {
 public:
  explicit Cache(BlockDevice device) : device_(std::move(device)) {}

  void read(std::uint64_t offset, std::span<std::byte> into) {
    // What is large is a file's content, and will not be asked for again.
    if (into.size() > block_size) return device_.read_at(offset, into);
    while (!into.empty()) {
      const std::uint64_t within = offset % block_size;
      const std::size_t part = std::min<std::uint64_t>(into.size(), block_size - within);
      const Block* const block = load(offset / block_size);
      // Near a sector that cannot be read only what is asked for counts.
      if (block == nullptr) return device_.read_at(offset, into);
      std::memcpy(into.data(), block->bytes.data() + within, part);
      offset += part;
      into = into.subspan(part);
    }
  }

  void write(std::uint64_t offset, std::span<const std::byte> bytes) {
    for (std::uint64_t number = offset / block_size; number * block_size < offset + bytes.size();
         ++number)
      if (place(number).number == number) place(number).bytes.clear();
    device_.write_at(offset, bytes);
  }

 private:
  struct Block {
    std::uint64_t number = 0;
    std::vector<std::byte> bytes;  // none: nothing is known
  };

  Block& place(std::uint64_t number) { return blocks_[number % places]; }

  // Null: it cannot be read as a whole.
  const Block* load(std::uint64_t number) {
    Block& block = place(number);
    if (block.number == number && !block.bytes.empty()) return &block;
    const std::uint64_t start = number * block_size;
    block.number = number;
    block.bytes.resize(std::min(block_size, device_.size - start));
    try {
      device_.read_at(start, block.bytes);
      return &block;
    } catch (const std::exception&) {
      block.bytes.clear();
      return nullptr;
    }
  }

  const BlockDevice device_;
  std::array<Block, places> blocks_;
};

}  // namespace

BlockDevice cached(BlockDevice device) {
  BlockDevice result;
  result.size = device.size;
  const bool writable = static_cast<bool>(device.write_at);
  const auto cache = std::make_shared<Cache>(std::move(device));
  result.read_at = [cache](std::uint64_t offset, std::span<std::byte> into) {
    cache->read(offset, into);
  };
  if (writable)
    result.write_at = [cache](std::uint64_t offset, std::span<const std::byte> bytes) {
      cache->write(offset, bytes);
    };
  return result;
}

}  // namespace kvmnet::direct

// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/block_cache.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

namespace kvmnet::direct {
namespace {

constexpr std::uint64_t block_size = 32 << 10;
constexpr std::size_t places = 64;

struct Block {
  std::uint64_t number = 0;
  std::vector<std::byte> bytes;  // none: nothing is known
  std::uint64_t last_used = 0;   // counts uses of all blocks; of an empty one 0
  // What the device has not got yet, from the first such byte to the last: it may end where our
  // part of a disk does, within the block.
  std::size_t changed_from = 0;
  std::size_t changed_to = 0;

  bool is_changed() const { return changed_from < changed_to; }
  void empty() {
    bytes.clear();
    last_used = 0;
  }
};

// The part of a request that lies in one block.
struct Piece {
  Piece(std::uint64_t offset, std::size_t left)
      : number(offset / block_size),
        within(offset % block_size),
        size(std::min<std::uint64_t>(left, block_size - within)) {}

  std::uint64_t number;
  std::size_t within;
  std::size_t size;
};

}  // namespace

class BlockCache::Blocks {
 public:
  explicit Blocks(BlockDevice device) : device_(std::move(device)) {}

  const BlockDevice& device() const { return device_; }

  void read(std::uint64_t offset, std::span<std::byte> into) {
    // What is large is a file's content, and will not be asked for again.
    if (into.size() > block_size) return read_large(offset, into);
    while (!into.empty()) {
      const Piece piece(offset, into.size());
      // Near a sector that cannot be read only what is asked for counts.
      if (const Block* const block = load(piece.number))
        std::memcpy(into.data(), block->bytes.data() + piece.within, piece.size);
      else
        device_.read_at(offset, into.first(piece.size));
      offset += piece.size;
      into = into.subspan(piece.size);
    }
  }

  void write(std::uint64_t offset, std::span<const std::byte> bytes) {
    if (bytes.size() > block_size) return write_large(offset, bytes);
    while (!bytes.empty()) {
      const Piece piece(offset, bytes.size());
      if (Block* const block = load(piece.number))
        change(*block, piece.within, bytes.first(piece.size));
      else
        device_.write_at(offset, bytes.first(piece.size));
      offset += piece.size;
      bytes = bytes.subspan(piece.size);
    }
  }

  void flush() {
    for (Block& block : blocks_) write_back(block);
  }

 private:
  static std::uint64_t start_of(const Block& block) { return block.number * block_size; }

  static void change(Block& block, std::size_t within, std::span<const std::byte> bytes) {
    std::memcpy(block.bytes.data() + within, bytes.data(), bytes.size());
    block.changed_from = block.is_changed() ? std::min(block.changed_from, within) : within;
    block.changed_to = std::max(block.changed_to, within + bytes.size());
  }

  void write_back(Block& block) {
    if (!block.is_changed()) return;
    device_.write_at(
        start_of(block) + block.changed_from,
        std::span(block.bytes).subspan(block.changed_from, block.changed_to - block.changed_from));
    block.changed_from = block.changed_to = 0;
  }

  template <typename Use>
  void for_blocks_in(std::uint64_t offset, std::size_t size, Use use) {
    for (Block& block : blocks_)
      if (!block.bytes.empty() && start_of(block) < offset + size &&
          offset < start_of(block) + block.bytes.size())
        use(block);
  }

  void read_large(std::uint64_t offset, std::span<std::byte> into) {
    for_blocks_in(offset, into.size(), [this](Block& block) { write_back(block); });
    device_.read_at(offset, into);
  }

  void write_large(std::uint64_t offset, std::span<const std::byte> bytes) {
    for_blocks_in(offset, bytes.size(), [this](Block& block) {
      write_back(block);
      block.empty();
    });
    device_.write_at(offset, bytes);
  }

  // Null: it cannot be read as a whole.
  Block* load(std::uint64_t number) {
    Block& block = place_for(number);
    if (block.number != number || block.bytes.empty()) {
      write_back(block);
      if (!read_into(block, number)) return nullptr;
    }
    block.last_used = ++uses_;
    return &block;
  }

  bool read_into(Block& block, std::uint64_t number) {
    block.empty();
    block.number = number;
    block.bytes.resize(std::min(block_size, device_.size - start_of(block)));
    try {
      device_.read_at(start_of(block), block.bytes);
      return true;
    } catch (const std::exception&) {
      block.empty();
      return false;
    }
  }

  // Where it is, or else the place that has not been used for longest. (A place of its own for each
  // block would have to be shared: an NTFS is laid out in powers of two.)
  Block& place_for(std::uint64_t number) {
    Block* oldest = blocks_.data();
    for (Block& block : blocks_) {
      if (block.number == number && !block.bytes.empty()) return block;
      if (block.last_used < oldest->last_used) oldest = &block;
    }
    return *oldest;
  }

  const BlockDevice device_;
  std::array<Block, places> blocks_;
  std::uint64_t uses_ = 0;
};

BlockCache::BlockCache(BlockDevice device) : blocks_(std::make_shared<Blocks>(std::move(device))) {}

BlockDevice BlockCache::device() {
  BlockDevice result;
  result.size = blocks_->device().size;
  result.read_at = [blocks = blocks_](std::uint64_t offset, std::span<std::byte> into) {
    blocks->read(offset, into);
  };
  if (blocks_->device().write_at)
    result.write_at = [blocks = blocks_](std::uint64_t offset, std::span<const std::byte> bytes) {
      blocks->write(offset, bytes);
    };
  return result;
}

void BlockCache::flush() {
  blocks_->flush();
}

}  // namespace kvmnet::direct

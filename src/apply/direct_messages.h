// SPDX-License-Identifier: GPL-2.0-or-later
// What goes between a DirectGuest and its child behind the wall: numbers and texts in a row.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kvmnet {

// The operations. Those with a path have it first.
namespace direct_operation {
inline constexpr std::string_view volumes = "direct volumes";
inline constexpr std::string_view state = "direct state";
inline constexpr std::string_view mount = "direct mount";
inline constexpr std::string_view unmount = "direct unmount";
inline constexpr std::string_view resolve = "direct resolve";
inline constexpr std::string_view list = "direct list";
inline constexpr std::string_view size = "direct size";
inline constexpr std::string_view extents = "direct extents";
inline constexpr std::string_view read = "direct read";
inline constexpr std::string_view free_space = "direct free space";
inline constexpr std::string_view write_at = "direct write at";
inline constexpr std::string_view write = "direct write";
inline constexpr std::string_view make_directory = "direct make directory";
inline constexpr std::string_view remove = "direct remove";
inline constexpr std::string_view set_private = "direct set private";
inline constexpr std::string_view is_private = "direct is private";
}  // namespace direct_operation

// The files that the child reads and writes through its parent.
namespace direct_file {
inline constexpr unsigned disk = 0;
// The disk once more: what is read here the parent also puts into the file of the partition table,
// which the child can only read (Limits::file).
inline constexpr unsigned table = 1;
}  // namespace direct_file

class MessageWriter {
 public:
  MessageWriter& number(std::uint64_t value);
  MessageWriter& text(std::string_view value);
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Throws Error if the message has not what is asked for.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number();
  std::string_view text();
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view take(std::uint64_t size);
  std::string_view rest_;
};

}  // namespace kvmnet

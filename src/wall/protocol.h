// SPDX-License-Identifier: GPL-2.0-or-later
// What the two sides of the wall say to each other, over one stream socket. Both are the same
// program, so structs go as they are. The parent: Setup; for each request a Task, the operation,
// the message, and a reply to each question; its end of the socket closed when no more is to be
// done. The child: a Header and what it announces, for each request up to an answer or a failure.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>

#include "src/wall/wall.h"

namespace kvmnet::wall {

// The argument that makes a program the child.
inline constexpr const char* child_argument = "@wall";

// The child's descriptors after the three standard ones: the socket, then the files.
inline constexpr int channel_number = 3;
inline constexpr int first_file_number = 4;

// In bytes. A longer one is cut by an honest child.
inline constexpr std::size_t largest_question = 2 << 20;
inline constexpr std::size_t longest_failure = 4096;

// Comes from the parent before there is anything of a guest, so the child may believe it.
struct Setup {
  Limits limits;
  std::uint32_t files = 0;
  bool sandboxed = true;
  bool has_read_at = false;
  bool has_write_at = false;
};

struct Task {
  std::uint64_t operation = 0;  // size in bytes
  std::uint64_t message = 0;    // size in bytes
};

enum class Kind : std::uint32_t {
  ready,  // first of all: it has locked itself up, and looks at what comes from a guest from now on
  question,  // `file`, `offset`, `size` as of ReadAt; the reply is a std::uint64_t and the bytes
  answer,    // followed by `size` bytes, as failure is
  failure,   // the handler's exception
  out_of_memory,  // its std::bad_alloc; it ends
  write,  // `file`, `offset`, `size` as of WriteAt, and the bytes; the reply is a std::uint64_t, 1
          // if it was done
};

struct Header {
  Kind kind = Kind::answer;
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

// What belongs together and is sent at once, for each call that sends wakes the other side.
class Parts {
 public:
  Parts(std::initializer_list<std::span<const std::byte>> parts) {
    for (const auto part : parts)
      parts_.at(count_++) = {const_cast<std::byte*>(part.data()), part.size()};  // only read
    skip(0);
  }

  bool empty() const { return first_ == count_; }
  // For writev() and sendmsg().
  iovec* data() { return parts_.data() + first_; }
  std::size_t count() const { return count_ - first_; }
  // So many bytes have gone.
  void skip(std::size_t bytes) {
    for (; !empty() && bytes >= data()->iov_len; ++first_) bytes -= data()->iov_len;
    if (empty()) return;
    data()->iov_base = static_cast<std::byte*>(data()->iov_base) + bytes;
    data()->iov_len -= bytes;
  }

 private:
  std::array<iovec, 3> parts_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

template <typename T>
std::span<const std::byte> bytes_of(const T& object) {
  static_assert(std::has_unique_object_representations_v<T>);  // else it has what is not its value
  return std::as_bytes(std::span(&object, 1));
}
inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace kvmnet::wall

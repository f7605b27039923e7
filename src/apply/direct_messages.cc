// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/direct_messages.h"

#include <cstring>

#include "src/support/error.h"

namespace kvmnet {

// Both sides are the same program.
MessageWriter& MessageWriter::number(std::uint64_t value) {
  bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}

MessageWriter& MessageWriter::text(std::string_view value) {
  number(value.size());
  bytes_.append(value);
  return *this;
}

std::uint64_t MessageReader::number() {
  std::uint64_t value = 0;
  std::memcpy(&value, take(sizeof value).data(), sizeof value);
  return value;
}

std::string_view MessageReader::text() {
  return take(number());
}

std::string_view MessageReader::take(std::uint64_t size) {
  if (size > rest_.size()) throw Error("a message from the other side of the wall is cut short");
  const std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

}  // namespace kvmnet

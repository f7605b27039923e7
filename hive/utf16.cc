// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/utf16.h"

#include <array>
#include <cstdint>
#include <optional>

#include "hive/error.h"

namespace kvmnet::hive {
namespace {

constexpr char32_t replacement = 0xFFFD;

void append_utf16(Bytes& out, std::uint32_t unit) {
  out.push_back(static_cast<std::byte>(unit & 0xFF));
  out.push_back(static_cast<std::byte>((unit >> 8) & 0xFF));
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | (c >> 6));
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | (c >> 12));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | (c >> 18));
    put(0x80 | ((c >> 12) & 0x3F));
    put(0x80 | ((c >> 6) & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

struct Decoded {
  char32_t code_point;
  std::size_t length;
};

// The character at the start of `text`; nothing for what RFC 3629 forbids.
std::optional<Decoded> decode_utf8(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return Decoded{lead, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  constexpr std::array<char32_t, 5> smallest = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return std::nullopt;
  char32_t c = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    c = (c << 6) | (next & 0x3FU);
  }
  const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
  if (c < smallest.at(length) || surrogate || c > 0x10FFFF) return std::nullopt;
  return Decoded{c, length};
}

}  // namespace

Bytes to_utf16le(std::string_view text) {
  Bytes out;
  out.reserve(text.size() * 2);
  while (!text.empty()) {
    const auto decoded = decode_utf8(text);
    if (!decoded) throw Error("text is not valid UTF-8");
    const auto [c, length] = *decoded;
    if (c < 0x10000) {
      append_utf16(out, c);
    } else {
      append_utf16(out, 0xD800 + ((c - 0x10000) >> 10));
      append_utf16(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
    }
    text.remove_prefix(length);
  }
  return out;
}

std::size_t utf8_character_length(std::string_view text) {
  const auto decoded = decode_utf8(text);
  return decoded ? decoded->length : 0;
}

std::string from_utf16le(std::span<const std::byte> bytes) {
  std::string out;
  const auto unit = [&bytes](std::size_t i) {
    return std::to_integer<char32_t>(bytes[i]) | (std::to_integer<char32_t>(bytes[i + 1]) << 8);
  };
  std::size_t i = 0;
  for (; i + 1 < bytes.size(); i += 2) {
    char32_t c = unit(i);
    if (c >= 0xD800 && c < 0xDC00 && i + 3 < bytes.size()) {
      const char32_t low = unit(i + 2);
      if (low >= 0xDC00 && low < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        i += 2;
      }
    }
    append_utf8(out, c >= 0xD800 && c < 0xE000 ? replacement : c);
  }
  if (i < bytes.size()) append_utf8(out, replacement);
  return out;
}

std::string from_latin1(std::span<const std::byte> bytes) {
  std::string out;
  for (const std::byte b : bytes) append_utf8(out, std::to_integer<char32_t>(b));
  return out;
}

}  // namespace kvmnet::hive

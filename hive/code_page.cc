// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/code_page.h"

#include <fmt/format.h>
#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "hive/error.h"
#include "hive/utf16.h"

namespace kvmnet::hive {
namespace {

// An open conversion of the C library.
class Converter {
 public:
  explicit Converter(const std::string& from) : handle_(::iconv_open("UTF-8", from.c_str())) {
    if (handle_ == invalid())
      throw Error(fmt::format("this host cannot convert text in the encoding {}", from));
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;
  ~Converter() { ::iconv_close(handle_); }

  std::size_t convert(std::span<const std::byte> in, std::string& out) {
    // iconv() does not write to its input.
    char* from = const_cast<char*>(reinterpret_cast<const char*>(in.data()));
    std::size_t left = in.size();
    while (left > 0) {
      char* to = buffer_.data();
      std::size_t room = buffer_.size();
      const std::size_t result = ::iconv(handle_, &from, &left, &to, &room);
      out.append(buffer_.data(), buffer_.size() - room);
      if (result == static_cast<std::size_t>(-1) && errno != E2BIG) break;
    }
    // Of some the last letter is kept back: a mark that follows would change it.
    char* to = buffer_.data();
    std::size_t room = buffer_.size();
    ::iconv(handle_, nullptr, nullptr, &to, &room);
    out.append(buffer_.data(), buffer_.size() - room);
    return in.size() - left;
  }

 private:
  static iconv_t invalid() { return reinterpret_cast<iconv_t>(-1); }
  iconv_t handle_;
  std::array<char, 65536> buffer_{};
};

bool has_a_byte_for_each(unsigned code_page) {
  return code_page == 874 || (code_page >= 1250 && code_page <= 1258);
}

// Bytes that the C library does not have: all but one stand for private characters.
struct Odd {
  unsigned code_page;
  unsigned first;  // byte
  unsigned last;
  char16_t character;  // of the first; the others follow it
};
constexpr std::array odd_ones = {
    Odd{874, 0xDB, 0xDE, 0xF8C1},  Odd{874, 0xFC, 0xFF, 0xF8C5},  Odd{932, 0x80, 0x80, 0x0080},
    Odd{932, 0xA0, 0xA0, 0xF8F0},  Odd{932, 0xFD, 0xFF, 0xF8F1},  Odd{936, 0xFF, 0xFF, 0xF8F5},
    Odd{949, 0x80, 0x80, 0x0080},  Odd{949, 0xFF, 0xFF, 0xF8F7},  Odd{950, 0xFF, 0xFF, 0xF8F8},
    Odd{1253, 0xAA, 0xAA, 0xF8F9}, Odd{1253, 0xD2, 0xD2, 0xF8FA}, Odd{1253, 0xFF, 0xFF, 0xF8FB},
    Odd{1255, 0xCA, 0xCA, 0x05BA}, Odd{1255, 0xD9, 0xDF, 0xF88D}, Odd{1255, 0xFB, 0xFC, 0xF894},
    Odd{1255, 0xFF, 0xFF, 0xF896}, Odd{1257, 0xA1, 0xA1, 0xF8FC}, Odd{1257, 0xA5, 0xA5, 0xF8FD}};

std::string utf8(char16_t unit) {
  return from_utf16le(
      std::array{static_cast<std::byte>(unit & 0xFF), static_cast<std::byte>(unit >> 8)});
}

}  // namespace

std::size_t append_utf8(std::span<const std::byte> bytes, const std::string& encoding,
                        std::string& out) {
  return Converter(encoding).convert(bytes, out);
}

CodePage::CodePage(unsigned number) : number_(number) {
  Converter converter(name());
  if (!has_a_byte_for_each(number)) return;
  for (unsigned byte = 0; byte <= 0xFF; ++byte) {
    const std::array one = {static_cast<std::byte>(byte)};
    std::string& text = characters_.emplace_back();
    if (converter.convert(one, text) == 0) text = character(one[0]).value_or(std::string());
  }
}

std::string CodePage::name() const {
  constexpr unsigned utf8 = 65001;
  return number_ == utf8 ? "UTF-8" : fmt::format("CP{}", number_);
}

// In those with a byte for each character a control character has the byte of its number.
std::optional<std::string> CodePage::character(std::byte byte) const {
  const auto number = std::to_integer<unsigned>(byte);
  for (const Odd& odd : odd_ones)
    if (odd.code_page == number_ && odd.first <= number && number <= odd.last)
      return utf8(static_cast<char16_t>(odd.character + (number - odd.first)));
  if (has_a_byte_for_each(number_) && number >= 0x80 && number < 0xA0)
    return utf8(static_cast<char16_t>(number));
  return std::nullopt;
}

std::size_t CodePage::append_utf8(std::span<const std::byte> bytes, std::string& out) const {
  if (!characters_.empty()) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const std::string& text = characters_[std::to_integer<std::size_t>(bytes[at])];
      if (text.empty()) return at;
      out += text;
    }
    return bytes.size();
  }
  Converter converter(name());
  std::size_t done = converter.convert(bytes, out);
  while (done < bytes.size()) {
    const auto text = character(bytes[done]);
    if (!text) break;
    out += *text;
    ++done;
    done += converter.convert(bytes.subspan(done), out);
  }
  return done;
}

Bytes CodePage::to_utf16le(std::span<const std::byte> bytes) const {
  std::string text;
  const std::size_t done = append_utf8(bytes, text);
  if (done < bytes.size())
    throw Error(fmt::format("byte {:#04x} at offset {} is no character in the encoding {}",
                            std::to_integer<unsigned>(bytes[done]), done, name()));
  return hive::to_utf16le(text);
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reg_text.h"

#include <fmt/format.h>
#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "hive/error.h"
#include "hive/text_place.h"

namespace kvmnet::hive {
namespace {

// An open conversion of the C library.
class Converter {
 public:
  Converter(const char* to, const std::string& from) : handle_(::iconv_open(to, from.c_str())) {
    if (handle_ == invalid())
      throw Error(fmt::format("this host cannot convert text in the encoding {}", from));
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;
  ~Converter() { ::iconv_close(handle_); }

  // Appends what it makes of `in` to `out`. Returns how much of `in` it could convert: all of it,
  // or up to what is no character.
  std::size_t convert(std::span<const std::byte> in, std::string& out) {
    // iconv() does not write to its input.
    char* from = const_cast<char*>(reinterpret_cast<const char*>(in.data()));
    std::size_t left = in.size();
    std::array<char, 65536> buffer{};
    while (left > 0) {
      char* to = buffer.data();
      std::size_t room = buffer.size();
      const std::size_t result = ::iconv(handle_, &from, &left, &to, &room);
      out.append(buffer.data(), buffer.size() - room);
      if (result == static_cast<std::size_t>(-1) && errno != E2BIG) break;
    }
    // Of 1255 and 1258 the last letter is kept back: a mark that follows would change it.
    char* to = buffer.data();
    std::size_t room = buffer.size();
    ::iconv(handle_, nullptr, nullptr, &to, &room);
    out.append(buffer.data(), buffer.size() - room);
    return in.size() - left;
  }

 private:
  static iconv_t invalid() { return reinterpret_cast<iconv_t>(-1); }
  iconv_t handle_;
};

std::string name_of(unsigned code_page) {
  constexpr unsigned utf8 = 65001;
  return code_page == utf8 ? "UTF-8" : fmt::format("CP{}", code_page);
}

// In Windows' code pages 1250 to 1258 the bytes 0x80 to 0x9F that have no letter are the control
// characters of the same number (Unicode, VENDORS/MICSFT/WindowsBestFit); the C library knows none.
bool is_control(std::byte byte, const std::string& encoding) {
  return encoding.starts_with("CP125") && byte >= std::byte{0x80} && byte < std::byte{0xA0};
}

std::string control(std::byte byte, std::string_view encoding) {
  const char c = static_cast<char>(byte);
  return encoding == "UTF-8" ? std::string{'\xC2', c} : std::string{c, '\0'};
}

// Appends `bytes` in the encoding `to`. Returns how many of them: all, or up to what is no
// character.
std::size_t convert(std::span<const std::byte> bytes, const char* to, const std::string& from,
                    std::string& out) {
  Converter converter(to, from);
  std::size_t done = converter.convert(bytes, out);
  while (done < bytes.size() && is_control(bytes[done], from)) {
    out += control(bytes[done++], to);
    done += converter.convert(bytes.subspan(done), out);
  }
  return done;
}

// All of `bytes` in the encoding `to`.
std::string converted(std::span<const std::byte> bytes, const char* to, const std::string& from) {
  std::string out;
  const std::size_t done = convert(bytes, to, from, out);
  if (done < bytes.size())
    throw Error(fmt::format("byte {:#04x} at offset {} is no character in the encoding {}",
                            std::to_integer<unsigned>(bytes[done]), done, from));
  return out;
}

bool begins_with(std::span<const std::byte> file, std::initializer_list<unsigned char> bytes) {
  return file.size() >= bytes.size() &&
         std::equal(bytes.begin(), bytes.end(), file.begin(), [](unsigned char a, std::byte b) {
           return a == std::to_integer<unsigned char>(b);
         });
}

bool is_utf8(std::span<const std::byte> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!text.empty()) {
    const std::size_t length = utf8_character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// All behind the first bytes of a file, `mark` of them.
std::string utf8_of(std::span<const std::byte> file, std::size_t mark,
                    const std::string& encoding) {
  std::string text;
  const std::size_t done = mark + convert(file.subspan(mark), "UTF-8", encoding, text);
  if (done < file.size())
    throw Error(fmt::format(
        "{}: byte {:#04x} at offset {} of the file is no character in the encoding {}",
        place_in(text, text.size()), std::to_integer<unsigned>(file[done]), done, encoding));
  return text;
}

}  // namespace

CodePage::CodePage(unsigned number) : number_(number) {
  Converter("UTF-8", name_of(number));
}

std::string CodePage::to_utf8(std::span<const std::byte> bytes) const {
  return converted(bytes, "UTF-8", name_of(number_));
}

Bytes CodePage::to_utf16le(std::span<const std::byte> bytes) const {
  const std::string text = converted(bytes, "UTF-16LE", name_of(number_));
  const auto stored = std::as_bytes(std::span(text));
  return {stored.begin(), stored.end()};
}

bool is_utf16(std::span<const std::byte> file) {
  return begins_with(file, {0xFF, 0xFE}) || begins_with(file, {0xFE, 0xFF}) ||
         // Its first line is ASCII.
         (file.size() >= 2 && file[0] != std::byte{} && file[1] == std::byte{});
}

std::string decode_reg(std::span<const std::byte> file, std::optional<unsigned> ansi) {
  if (begins_with(file, {0xFF, 0xFE})) return utf8_of(file, 2, "UTF-16LE");
  if (begins_with(file, {0xFE, 0xFF})) return utf8_of(file, 2, "UTF-16BE");
  if (begins_with(file, {0xEF, 0xBB, 0xBF})) return utf8_of(file, 3, "UTF-8");
  if (is_utf16(file)) return utf8_of(file, 0, "UTF-16LE");
  if (!ansi && is_utf8(file)) return utf8_of(file, 0, "UTF-8");
  return utf8_of(file, 0, name_of(ansi.value_or(CodePage::western_european)));
}

}  // namespace kvmnet::hive

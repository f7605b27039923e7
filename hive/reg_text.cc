// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reg_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/code_page.h"
#include "hive/error.h"
#include "hive/text_place.h"

namespace kvmnet::hive {
namespace {

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

// Throws for what is left behind `done` bytes of a file, of which `text` was made.
void require_all(std::span<const std::byte> file, std::size_t done, const std::string& text,
                 const std::string& encoding) {
  if (done < file.size())
    throw Error(fmt::format(
        "{}: byte {:#04x} at offset {} of the file is no character in the encoding {}",
        place_in(text, text.size()), std::to_integer<unsigned>(file[done]), done, encoding));
}

// All behind the first bytes of a file, `mark` of them.
std::string utf8_of(std::span<const std::byte> file, std::size_t mark,
                    const std::string& encoding) {
  std::string text;
  require_all(file, mark + append_utf8(file.subspan(mark), encoding, text), text, encoding);
  return text;
}

std::string utf8_of(std::span<const std::byte> file, const CodePage& ansi) {
  std::string text;
  require_all(file, ansi.append_utf8(file, text), text, ansi.name());
  return text;
}

}  // namespace

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
  return utf8_of(file, CodePage(ansi.value_or(CodePage::western_european)));
}

}  // namespace kvmnet::hive

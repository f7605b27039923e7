// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reg_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/error.h"
#include "hive/text_place.h"

namespace kvmnet::hive {
namespace {

// Windows' limits, in UTF-16 units (Microsoft, "Registry Element Size Limits").
constexpr std::size_t longest_key_name = 255;
constexpr std::size_t longest_value_name = 16383;
// Levels of keys, the same source: 512, of which one is above HKEY_LOCAL_MACHINE.
constexpr std::size_t deepest_key = 511;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A place in the text, and how it is read.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  // The present character; NUL at the end, and where there is one.
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  // LF, CR LF, or CR alone, as Windows has it.
  bool at_line_end() const { return at_end() || peek() == '\n' || peek() == '\r'; }
  char next() {
    const char c = text_[at_++];
    if (c == '\n' || (c == '\r' && peek() != '\n')) ++line_;
    return c;
  }
  bool take(char c) {
    if (at_end() || peek() != c) return false;
    next();
    return true;
  }
  void skip(std::size_t count) {
    for (; count > 0; --count) next();
  }
  // As often as it is there.
  void skip_blanks() {
    while (peek() == ' ' || peek() == '\t') next();
  }
  void skip_to_line_end() {
    while (!at_line_end()) next();
  }
  void skip_line_end() {
    take('\r');
    take('\n');
  }
  // As it is.
  bool take_text(std::string_view text) {
    const bool is_there = text_.substr(at_).starts_with(text);
    if (is_there) at_ += text.size();
    return is_there;
  }
  // In this letter case or another.
  bool take_word(std::string_view word) {
    const bool is_there = std::equal(
        word.begin(), word.end(), text_.begin() + static_cast<std::ptrdiff_t>(at_),
        text_.begin() + static_cast<std::ptrdiff_t>(std::min(text_.size(), at_ + word.size())),
        [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
    if (is_there) at_ += word.size();
    return is_there;
  }
  std::string_view rest_of_line() const {
    Cursor end = *this;
    end.skip_to_line_end();
    return text_.substr(at_, end.at_ - at_);
  }

  unsigned line() const { return line_; }
  // In characters from 1.
  unsigned column() const {
    unsigned column = 1;
    for (std::size_t at = at_; at > 0 && text_[at - 1] != '\n' && text_[at - 1] != '\r'; --at)
      if ((static_cast<unsigned char>(text_[at - 1]) & 0xC0) != 0x80) ++column;
    return column;
  }
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(fmt::format("{}: {}", place_in(text_, at_), what));
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  unsigned line_ = 1;
};

class Parser {
 public:
  Parser(std::string_view text, const std::optional<CodePage>& ansi) : at_(text), ansi_(ansi) {}

  std::vector<RegSection> run() {
    read_format();
    while (!at_.at_end()) {
      at_.skip_blanks();
      const char c = at_.peek();
      if (at_.at_line_end() || c == ';') {
        end_line();
      } else if (c == '[') {
        read_section();
      } else if (c == '"' || c == '@') {
        read_value();
      } else {
        at_.fail("neither a key in brackets, nor a value, nor a comment");
      }
    }
    return std::move(sections_);
  }

 private:
  // Vista and later take nothing of a file with these words in other letter case, and no Windows
  // of one with more behind REGEDIT4 (Wine's tests of reg.exe, Test2 to Test12).
  void read_format() {
    at_.skip_blanks();
    if (at_.take_text("Windows Registry Editor Version 5.00")) {
      is_version_4_ = false;
    } else if (!at_.take_text("REGEDIT4")) {
      at_.fail(
          "not a .reg file: the first line is to be 'Windows Registry Editor Version 5.00' or "
          "'REGEDIT4', in these letters");
    }
    if (!at_.at_line_end())
      at_.fail("more behind the format of the file: Windows would take nothing of such a file");
    at_.skip_line_end();
  }

  // Nothing but a comment may be left on the line.
  void end_line() {
    at_.skip_blanks();
    if (at_.peek() == ';') at_.skip_to_line_end();
    if (!at_.at_line_end()) at_.fail("more than one thing on a line");
    at_.skip_line_end();
  }

  // Behind data, where a string over several lines may have lost its closing quote.
  void end_data(const Cursor& data) {
    at_.skip_blanks();
    if (!at_.at_line_end() && at_.peek() != ';' && data.peek() == '"' && data.line() != at_.line())
      data.fail(
          fmt::format("a string that ends in line {}, with more behind it: its closing quote "
                      "may be missing",
                      at_.line()));
    end_line();
  }

  // ---- [KEY]

  void read_section() {
    RegSection section;
    section.line = at_.line();
    at_.take('[');
    section.remove = at_.take('-');
    section.column = at_.column();
    const std::size_t length = length_of_path();
    std::size_t left = length;
    // Windows takes backslashes at the end (Wine's tests of reg.exe, Subkey1f).
    for (const std::string_view line = at_.rest_of_line(); left > 1 && line[left - 1] == '\\';)
      --left;
    std::string element;
    for (std::size_t i = 0; i < left; ++i) {
      const char c = at_.next();
      if (c == '\\')
        add_element(section, element);
      else
        element += c;
    }
    if (!element.empty() || section.key.empty()) add_element(section, element);
    at_.skip(length - left);
    at_.take(']');
    end_line();
    sections_.push_back(std::move(section));
  }

  // Up to the last bracket of the line: names may have brackets, and regedit does the same. That
  // may be one of a comment: then nobody can tell what was meant.
  std::size_t length_of_path() {
    const std::string_view line = at_.rest_of_line();
    const std::size_t end = line.rfind(']');
    if (end == std::string_view::npos) at_.fail("a key without its closing bracket");
    for (std::size_t at = line.find(']'); at < end; at = line.find(']', at + 1)) {
      if (!begins_comment(line.substr(at + 1, end - at - 1))) continue;
      at_.skip(at);
      at_.fail("a comment with a bracket behind a key: Windows takes it for part of the key");
    }
    return end;
  }

  static bool begins_comment(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    return first != std::string_view::npos && text[first] == ';';
  }

  void add_element(RegSection& section, std::string& element) const {
    if (element.empty()) at_.fail("a key with an empty name");
    if (element.find('\0') != std::string::npos) at_.fail("a key's name with a NUL in it");
    if (length_in_utf16(element) > longest_key_name)
      at_.fail("a key's name of more than 255 characters");
    if (section.key.size() == deepest_key)
      at_.fail("a key that lies deeper than the 512 levels that Windows allows");
    section.key.push_back(std::move(element));
    element.clear();
  }

  static std::size_t length_in_utf16(const std::string& text) {
    return to_utf16le(text).size() / 2;
  }

  // ---- "NAME"=DATA

  void read_value() {
    if (sections_.empty()) at_.fail("a value that is in no key");
    if (sections_.back().remove) at_.fail("a value in a key that is to go");
    RegValue value;
    value.line = at_.line();
    value.column = at_.column();
    if (!at_.take('@')) value.name = read_name();
    at_.skip_blanks();
    if (!at_.take('=')) at_.fail("'=' is missing after the name of a value");
    at_.skip_blanks();
    const Cursor data = at_;
    if (!at_.take('-')) value.value = read_data();
    end_data(data);
    sections_.back().values.push_back(std::move(value));
  }

  std::string read_name() {
    std::string name = read_string(false);
    if (length_in_utf16(name) > longest_value_name)
      at_.fail("a value's name of more than 16383 characters");
    return name;
  }

  // regedit writes line breaks within a value's text as they are.
  std::string read_string(bool may_have_lines) {
    const Cursor start = at_;
    at_.take('"');
    std::string text;
    while (!at_.take('"')) {
      if (at_.at_end() || (!may_have_lines && at_.at_line_end()))
        (at_.line() == start.line() ? at_ : start).fail("a string without its closing quote");
      if (at_.peek() == '\0') at_.fail("a string with a NUL in it");
      if (at_.take('\\') && at_.peek() != '\\' && at_.peek() != '"')
        at_.fail("a backslash in a string is to be written twice, a quote as \\\"" +
                 (at_.line() == start.line()
                      ? std::string()
                      : fmt::format("; the string begins in line {}", start.line())));
      text += at_.next();
    }
    return text;
  }

  Value read_data() {
    if (at_.peek() == '"') return sz(read_string(true));
    if (at_.take_word("dword:")) return dword(read_number());
    if (at_.take_word("hex:")) return {Type::binary, read_bytes()};
    if (at_.take_word("hex(")) {
      const auto type = static_cast<Type>(read_number());
      if (!at_.take(')') || !at_.take(':')) at_.fail("'):' is missing after the type of a value");
      const Cursor bytes = at_;
      return as_stored(type, read_bytes(), bytes);
    }
    at_.fail("a value is to be \"TEXT\", dword:, hex:, hex(TYPE): or -");
  }

  // One to eight hexadecimal digits.
  std::uint32_t read_number() {
    at_.skip_blanks();
    std::uint32_t number = 0;
    std::size_t digits = 0;
    for (; hex_digit(at_.peek()) >= 0; ++digits) {
      if (digits == 8) at_.fail("more than eight digits");
      number = number * 16 + static_cast<std::uint32_t>(hex_digit(at_.next()));
    }
    if (digits == 0) at_.fail("a hexadecimal number is missing");
    return number;
  }

  // "01,02,..." up to the end of the line, and beyond it behind a comma and a backslash.
  Bytes read_bytes() {
    Bytes bytes;
    bool wants_more = true;  // the start, or behind a comma
    while (true) {
      at_.skip_blanks();
      if (at_.at_line_end() || at_.peek() == ';') return bytes;
      if (wants_more && at_.take('\\')) {
        continue_line();
      } else if (!wants_more) {
        if (!at_.take(',')) at_.fail("',' is missing between two bytes");
        wants_more = true;
      } else {
        bytes.push_back(read_byte());
        wants_more = false;
      }
    }
  }

  std::byte read_byte() {
    const int first = hex_digit(at_.peek());
    if (first < 0) at_.fail("a byte of two hexadecimal digits is missing");
    at_.next();
    const int second = hex_digit(at_.peek());
    if (second < 0) return static_cast<std::byte>(first);
    at_.next();
    if (hex_digit(at_.peek()) >= 0) at_.fail("a byte of more than two digits");
    return static_cast<std::byte>(first * 16 + second);
  }

  // Comments and empty lines may stand between the lines; Windows, too, reads on over them. But it
  // takes nothing of a value that goes on with a comma, or with just another backslash (Wine's
  // tests of reg.exe, Wine43 to Wine45 and Wine59).
  void continue_line() {
    do {
      end_line();
      at_.skip_blanks();
    } while (!at_.at_end() && (at_.at_line_end() || at_.peek() == ';'));
    if (hex_digit(at_.peek()) < 0) at_.fail("the bytes that a backslash has announced are missing");
  }

  // REGEDIT4 has the bytes of ANSI strings where the registry has UTF-16.
  Value as_stored(Type type, Bytes bytes, const Cursor& at) const {
    const bool is_text = type == Type::sz || type == Type::expand_sz || type == Type::multi_sz;
    if (!is_version_4_ || !is_text) return {type, std::move(bytes)};
    if (!ansi_)
      at.fail(
          "a string as bytes in a file that is REGEDIT4 and UTF-16: nobody can tell whether they "
          "are ANSI or UTF-16: make the first line 'Windows Registry Editor Version 5.00' if they "
          "are UTF-16");
    try {
      return {type, ansi_->to_utf16le(bytes)};
    } catch (const Error& e) {
      at.fail(e.what());
    }
  }

  Cursor at_;
  const std::optional<CodePage>& ansi_;
  bool is_version_4_ = true;
  std::vector<RegSection> sections_;
};

}  // namespace

std::vector<RegSection> parse_reg(std::string_view text, const std::optional<CodePage>& ansi) {
  return Parser(text, ansi).run();
}

std::vector<RegSection> read_reg(std::span<const std::byte> file, std::optional<unsigned> ansi) {
  std::optional<CodePage> code_page;
  if (!is_utf16(file)) code_page.emplace(ansi.value_or(CodePage::western_european));
  return parse_reg(decode_reg(file, ansi), code_page);
}

}  // namespace kvmnet::hive

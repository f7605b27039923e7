// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/value.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvmnet::hive {
namespace {

Value terminated(Type type, std::string_view text) {
  Value value{type, to_utf16le(text)};
  value.data.resize(value.data.size() + 2);
  return value;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 200;
  std::string out = "\"";
  for (const char c : escaped(text.substr(0, longest))) {
    if (c == '"') out += '\\';
    out += c;
  }
  return out + (text.size() > longest ? "...\"" : "\"");
}

std::string describe_multi_sz(const Value& value) {
  std::string text = from_utf16le(value.data);
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ',');
  return "multi:" + in_quotes(text);
}

std::string describe_bytes(const Value& value) {
  constexpr std::size_t longest = 16;
  std::string out = fmt::format("hex({:x}):", static_cast<std::uint32_t>(value.type));
  for (std::size_t i = 0; i < std::min(longest, value.data.size()); ++i)
    out += fmt::format("{}{:02x}", i == 0 ? "" : ",", std::to_integer<unsigned>(value.data[i]));
  if (value.data.size() > longest) out += fmt::format("... ({} bytes)", value.data.size());
  return out;
}

}  // namespace

Value dword(std::uint32_t number) {
  Value value{Type::dword, {}};
  for (unsigned shift = 0; shift < 32; shift += 8)
    value.data.push_back(static_cast<std::byte>((number >> shift) & 0xFF));
  return value;
}

Value sz(std::string_view text) {
  return terminated(Type::sz, text);
}

Value expand_sz(std::string_view text) {
  return terminated(Type::expand_sz, text);
}

Value multi_sz(const std::vector<std::string>& texts) {
  Value value{Type::multi_sz, {}};
  for (const std::string& text : texts) {
    const Bytes one = terminated(Type::sz, text).data;
    value.data.insert(value.data.end(), one.begin(), one.end());
  }
  value.data.resize(value.data.size() + 2);
  return value;
}

std::optional<std::uint32_t> as_dword(const Value& value) {
  if (value.type != Type::dword || value.data.size() != 4) return std::nullopt;
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i)
    number |= std::to_integer<std::uint32_t>(value.data[i]) << (8 * i);
  return number;
}

std::optional<std::string> as_string(const Value& value) {
  if (value.type != Type::sz && value.type != Type::expand_sz) return std::nullopt;
  std::string text = from_utf16le(value.data);
  text.resize(std::min(text.size(), text.find('\0')));
  return text;
}

std::string describe(const Value& value) {
  if (const auto number = as_dword(value)) return fmt::format("dword:0x{:08x}", *number);
  if (value.type == Type::sz) return in_quotes(*as_string(value));
  if (value.type == Type::expand_sz) return "expand:" + in_quotes(*as_string(value));
  if (value.type == Type::multi_sz) return describe_multi_sz(value);
  return describe_bytes(value);
}

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t length = utf8_character_length(text);
    // U+0080 to U+009F: some terminals obey them as they do ESC sequences.
    const bool c1_control = length == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (c1_control) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[1]));
    } else if (length == 0 || c < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

}  // namespace kvmnet::hive

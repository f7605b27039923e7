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

std::string quoted(std::string_view text) {
  constexpr std::size_t longest = 200;
  const bool cut = text.size() > longest;
  return fmt::format("\"{}{}\"", escaped(text.substr(0, longest)), cut ? "..." : "");
}

std::string describe_multi_sz(const Value& value) {
  std::string text = from_utf16le(value.data);
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ',');
  return "multi:" + quoted(text);
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
  if (value.type == Type::sz) return quoted(*as_string(value));
  if (value.type == Type::expand_sz) return "expand:" + quoted(*as_string(value));
  if (value.type == Type::multi_sz) return describe_multi_sz(value);
  return describe_bytes(value);
}

std::string escaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1_control =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c1_control) {  // U+0080..U+009F: some terminals obey them like ESC sequences
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[++i]));
    } else if (c < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02x}", c);
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace kvmnet::hive

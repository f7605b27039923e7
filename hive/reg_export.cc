// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/reg_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "hive/error.h"
#include "hive/stored_name.h"
#include "hive/value.h"

namespace kvmnet::hive {
namespace {

using Text = std::u16string;

// As long as that, behind a comma, a line is full (seen in what Wine's regedit writes).
constexpr std::size_t full_line = 77;

Text units_of(const StoredName& name) {
  Text text;
  for (std::size_t i = 0; i < name.length(); ++i) text += name.unit(i);
  return text;
}

Text units_of(std::span<const std::byte> utf16le) {
  return units_of(StoredName{utf16le, false});
}

Text from_ascii(std::string_view text) {
  return {text.begin(), text.end()};
}

bool has_any(const Text& text, std::u16string_view units) {
  return text.find_first_of(units) != Text::npos;
}

constexpr std::u16string_view line_breaks_and_nul(u"\r\n\0", 3);

// What a terminal may obey (U+0080 to U+009F: some do), but for the tab.
bool has_control(const Text& text) {
  return std::any_of(text.begin(), text.end(), [](char16_t unit) {
    return (unit < 0x20 && unit != u'\t') || (unit >= 0x7F && unit < 0xA0);
  });
}

Text quoted(const Text& text) {
  Text out = u"\"";
  for (const char16_t unit : text) {
    if (unit == u'"' || unit == u'\\') out += u'\\';
    out += unit;
  }
  return out + u'"';
}

// What is in brackets must not look like a key that has a comment behind it.
bool can_be_in_path(const Text& name) {
  for (std::size_t at = name.find(u']'); at != Text::npos; at = name.find(u']', at + 1)) {
    const std::size_t next = name.find_first_not_of(u" \t", at + 1);
    if (next != Text::npos && name[next] == u';') return false;
  }
  return !name.empty() && !has_any(name, u"\\");
}

bool fits(const StoredName& name, bool is_key, RegEncoding encoding) {
  const Text text = units_of(name);
  return !has_any(text, line_breaks_and_nul) && name.is_text() &&
         (!is_key || can_be_in_path(text)) &&
         (encoding == RegEncoding::utf16 || !has_control(text));
}

// The text of a string whose data are just that and its NUL, if quotes can hold it.
std::optional<Text> simple_text(const Value& value, RegEncoding encoding) {
  if (value.type != Type::sz || value.data.size() < 2 || value.data.size() % 2 != 0)
    return std::nullopt;
  Text text = units_of(value.data);
  if (text.back() != u'\0') return std::nullopt;
  text.pop_back();
  if (has_any(text, line_breaks_and_nul) || !StoredName{value.data, false}.is_text())
    return std::nullopt;
  if (encoding == RegEncoding::utf8 && has_control(text)) return std::nullopt;
  return text;
}

class Exporter {
 public:
  Exporter(const Tree& tree, RegEncoding encoding, const RegSink& sink)
      : tree_(tree), encoding_(encoding), sink_(sink) {}

  std::vector<std::string> run(CellOffset key, const std::string& path);

 private:
  struct Key {
    CellOffset offset;
    Text path;
  };

  void write_key(const Key& key);
  void write_value(const Key& key, CellOffset offset);
  void write_data(Text line, const Value& value);
  void add_subkeys(const Key& key);
  // Notes it, if not.
  bool can_say(const Text& path, const StoredName& name, const char* what);
  void write_line(const Text& line);
  void flush();

  const Tree& tree_;
  RegEncoding encoding_;
  const RegSink& sink_;
  std::vector<Key> pending_;
  Bytes out_;
  std::vector<std::string> left_out_;
  std::size_t more_left_out_ = 0;
};

std::vector<std::string> Exporter::run(CellOffset key, const std::string& path) {
  if (encoding_ == RegEncoding::utf16) out_ = {std::byte{0xFF}, std::byte{0xFE}};
  write_line(u"Windows Registry Editor Version 5.00");
  write_line({});
  pending_.push_back({key, units_of(to_utf16le(path))});
  while (!pending_.empty()) {
    const Key next = std::move(pending_.back());
    pending_.pop_back();
    write_key(next);
    add_subkeys(next);
  }
  flush();
  if (more_left_out_ > 0) left_out_.push_back(fmt::format("and {} more", more_left_out_));
  return std::move(left_out_);
}

void Exporter::write_key(const Key& key) {
  write_line(u"[" + key.path + u"]");
  for (const CellOffset value : tree_.values(key.offset)) write_value(key, value);
  write_line({});
}

// The last one first: the first is to be written next.
void Exporter::add_subkeys(const Key& key) {
  const std::vector<CellOffset> subkeys = tree_.subkeys(key.offset);
  for (auto at = subkeys.rbegin(); at != subkeys.rend(); ++at) {
    const KeyRecord record = tree_.key(*at);
    const StoredName name = {record.name, record.latin1_name};
    if (can_say(key.path, name, "key"))
      pending_.push_back({*at, key.path + u"\\" + units_of(name)});
  }
}

bool Exporter::can_say(const Text& path, const StoredName& name, const char* what) {
  if (fits(name, std::string_view(what) == "key", encoding_)) return true;
  constexpr std::size_t most = 20;
  if (left_out_.size() == most) {
    ++more_left_out_;
    return false;
  }
  const std::span<const char16_t> units(path);
  left_out_.push_back(fmt::format("in key '{}' the {} '{}'",
                                  escaped(from_utf16le(std::as_bytes(units))), what,
                                  name.escaped()));
  return false;
}

void Exporter::write_value(const Key& key, CellOffset offset) {
  const ValueRecord record = tree_.value(offset);
  const StoredName name = {record.name, record.latin1_name};
  if (!can_say(key.path, name, "value")) return;
  Text line = name.length() == 0 ? u"@" : quoted(units_of(name));
  write_data(line + u"=", {static_cast<Type>(record.type), tree_.value_data(offset)});
}

void Exporter::write_data(Text line, const Value& value) {
  if (const auto text = simple_text(value, encoding_)) return write_line(line + quoted(*text));
  if (const auto number = as_dword(value))
    return write_line(line + from_ascii(fmt::format("dword:{:08x}", *number)));
  line += from_ascii(value.type == Type::binary
                         ? "hex:"
                         : fmt::format("hex({:x}):", static_cast<std::uint32_t>(value.type)));
  for (std::size_t i = 0; i < value.data.size(); ++i) {
    line += from_ascii(fmt::format("{:02x}", std::to_integer<unsigned>(value.data[i])));
    if (i + 1 == value.data.size()) break;
    line += u',';
    if (line.size() < full_line) continue;
    write_line(line + u'\\');
    line = u"  ";
  }
  write_line(line);
}

void Exporter::write_line(const Text& line) {
  constexpr std::size_t chunk = 1 << 20;
  if (encoding_ == RegEncoding::utf16) {
    for (const char16_t unit : line + u"\r\n") {
      out_.push_back(static_cast<std::byte>(unit & 0xFF));
      out_.push_back(static_cast<std::byte>(unit >> 8));
    }
  } else {
    const std::string text = from_utf16le(std::as_bytes(std::span(line))) + "\n";
    const auto bytes = std::as_bytes(std::span(text));
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  if (out_.size() >= chunk) flush();
}

void Exporter::flush() {
  sink_(out_);
  out_.clear();
}

}  // namespace

std::vector<std::string> export_reg(const Tree& tree, CellOffset key, const std::string& path,
                                    RegEncoding encoding, const RegSink& sink) {
  return Exporter(tree, encoding, sink).run(key, path);
}

void require_fit_for_reg(const std::string& name, RegEncoding encoding) {
  const Bytes stored = to_utf16le(name);
  if (!fits(StoredName{stored, false}, true, encoding))
    throw Unsupported(fmt::format("no .reg file can have a key of the name '{}'{}", escaped(name),
                                  encoding == RegEncoding::utf8 ? " in UTF-8" : ""));
}

}  // namespace kvmnet::hive

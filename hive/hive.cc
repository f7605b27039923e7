// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/hive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <hivex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <system_error>

#include "hive/error.h"
#include "hive/file.h"
#include "hive/record.h"

namespace kvmnet::hive {
namespace {

// Windows may well take the hive: hivex fails, for one, at a name that is no valid UTF-16.
[[noreturn]] void fail(std::string_view what) {
  if (errno == ENOMEM) throw std::bad_alloc();
  throw Unsupported(fmt::format("hivex: {}: {}", what, std::generic_category().message(errno)));
}

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::string& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw Error("opening the hive: " + std::generic_category().message(errno));
  }
  ~FileDescriptor() { ::close(fd_); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// The bins must cover exactly the size that the header announces: hivex puts a new bin at that
// offset, which would lie inside an existing bin or behind a hole otherwise.
void check_bins(std::span<const std::byte> bins) {
  constexpr std::uint32_t signature_hbin = 0x6E696268;
  for (std::size_t offset = 0; offset < bins.size();) {
    const auto bin = bins.subspan(offset);
    const std::size_t size = bin.size() < bin_header_size ? 0 : read_u32(bin, 8);
    const bool sound = size != 0 && read_u32(bin, 0) == signature_hbin &&
                       read_u32(bin, 4) == offset && size % base_block_size == 0 &&
                       size <= bin.size();
    if (!sound) throw Error(fmt::format("hive bin at offset {:#x} is damaged", offset));
    offset += size;
  }
}

// Guests have types that hivex' enumeration does not name; as an enumerator such a number would be
// undefined, so only its bytes are moved.
Type from_hivex(const hive_type& type) {
  std::uint32_t number = 0;
  static_assert(sizeof number == sizeof type);
  std::memcpy(&number, &type, sizeof number);
  return static_cast<Type>(number);
}

void set_type(hive_set_value& value, Type type) {
  const auto number = static_cast<std::uint32_t>(type);
  static_assert(sizeof number == sizeof value.t);
  std::memcpy(&value.t, &number, sizeof number);
}

// Those that are there already keep their places, and their names' letter case.
void put_into(const std::vector<NamedValue>& values, std::vector<NamedValue>& all) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < all.size(); ++i) places.try_emplace(folded(all[i].name), i);
  for (const NamedValue& value : values) {
    const auto [place, is_new] = places.try_emplace(folded(value.name), all.size());
    if (is_new)
      all.push_back(value);
    else
      all[place->second].value = value.value;
  }
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};

template <typename T>
using Malloced = std::unique_ptr<T, Free>;

}  // namespace

void require_rewritable(const KeyPath& key, const std::vector<NamedValue>& values) {
  for (const NamedValue& v : values) {
    const std::size_t size = v.value.data.size();
    if (size == 0 || size > largest_plain_value || v.name.find('\0') != std::string::npos)
      throw Unsupported(
          fmt::format("key {} has the value '{}' of {} bytes, which hivex would damage",
                      key.to_string(), escaped(v.name), size));
  }
}

// hivex computes the hash of a new key's name from its bytes in UTF-8, Windows from its characters:
// Windows would not find the key.
void require_creatable(const std::string& name) {
  if (std::any_of(name.begin(), name.end(), [](char c) { return c < ' ' || c > '~'; }))
    throw Unsupported(fmt::format("hivex cannot create a key that is named '{}'", escaped(name)));
}

BaseBlock read_base_block(int fd) {
  const Bytes start = read_file(fd, 0, base_block_size);
  return read_base_block(start, file_size(fd));
}

void Hive::Close::operator()(hive_h* handle) const {
  hivex_close(handle);
}

Hive::Hive(const std::string& path, Mode mode) {
  const FileDescriptor file(path);
  const BaseBlock block = read_base_block(file.get());
  if (block.condition != Condition::clean) throw Error("hive is not clean: " + block.reason);
  if (mode != Mode::edit_sound)
    check_bins(MappedFile(file.get()).bytes().subspan(base_block_size, block.bins_size));
  handle_.reset(hivex_open(path.c_str(), mode == Mode::read ? 0 : HIVEX_OPEN_WRITE));
  if (!handle_) fail("opening the hive");
}

Hive::Node Hive::child(Node parent, const std::string& name) const {
  errno = 0;  // hivex answers 0 for "none" and for "failed" alike
  const Node node = hivex_node_get_child(handle_.get(), parent, name.c_str());
  if (node == 0 && errno != 0) fail("reading key " + escaped(name));
  return node;
}

Hive::Node Hive::find(const KeyPath& key) const {
  Node node = hivex_root(handle_.get());
  if (node == 0) fail("reading the root key");
  for (const std::string& name : key.elements()) {
    node = child(node, name);
    if (node == 0) return 0;
  }
  return node;
}

bool Hive::has_key(const KeyPath& key) const {
  return find(key) != 0;
}

std::optional<Value> Hive::value(const KeyPath& key, std::string_view name) const {
  const auto all = values(key);
  if (!all) return std::nullopt;
  for (const NamedValue& v : *all)
    if (same_name(v.name, name)) return v.value;
  return std::nullopt;
}

std::optional<std::vector<NamedValue>> Hive::values(const KeyPath& key) const {
  const Node node = find(key);
  if (node == 0) return std::nullopt;
  return values_of(node);
}

std::vector<NamedValue> Hive::values_of(Node node) const {
  const Malloced<hive_value_h[]> list(hivex_node_values(handle_.get(), node));
  if (!list) fail("reading the values of a key");
  std::vector<NamedValue> values;
  for (const hive_value_h* v = list.get(); *v != 0; ++v) {
    const Malloced<char> name(hivex_value_key(handle_.get(), *v));
    const std::size_t name_size = hivex_value_key_len(handle_.get(), *v);
    hive_type type = hive_t_none;
    std::size_t size = 0;
    if (!name || hivex_value_type(handle_.get(), *v, &type, &size) != 0)
      fail("reading the values of a key");
    NamedValue value{std::string(name.get(), name_size), {from_hivex(type), {}}};
    if (size != 0) {
      const Malloced<char> data(hivex_value_value(handle_.get(), *v, &type, &size));
      if (!data) fail("reading value " + escaped(value.name));
      const auto bytes = std::as_bytes(std::span(data.get(), size));
      value.value.data.assign(bytes.begin(), bytes.end());
    }
    values.push_back(std::move(value));
  }
  return values;
}

std::vector<std::string> Hive::subkeys(const KeyPath& key) const {
  std::vector<std::string> names;
  const Node node = find(key);
  if (node == 0) return names;
  const Malloced<hive_node_h[]> list(hivex_node_children(handle_.get(), node));
  if (!list) fail("reading the subkeys of " + key.to_string());
  for (const hive_node_h* n = list.get(); *n != 0; ++n) {
    const Malloced<char> name(hivex_node_name(handle_.get(), *n));
    if (!name) fail("reading the subkeys of " + key.to_string());
    names.emplace_back(name.get());
  }
  return names;
}

void Hive::set(const KeyPath& key, const std::vector<NamedValue>& values) {
  Node node = hivex_root(handle_.get());
  for (const std::string& name : key.elements()) {
    const Node existing = child(node, name);
    if (existing == 0) require_creatable(name);
    node = existing != 0 ? existing : hivex_node_add_child(handle_.get(), node, name.c_str());
    if (node == 0) fail("creating key " + key.to_string());
  }
  std::vector<NamedValue> all = values_of(node);
  require_rewritable(key, all);
  require_rewritable(key, values);
  if (values.empty()) return;
  put_into(values, all);
  set_all(node, key, all);
}

// All at once: for each value that is set hivex rewrites all.
void Hive::set_all(Node node, const KeyPath& key, std::vector<NamedValue>& values) {
  std::vector<hive_set_value> all(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    all[i].key = values[i].name.data();
    set_type(all[i], values[i].value.type);
    all[i].len = values[i].value.data.size();
    all[i].value = reinterpret_cast<char*>(values[i].value.data.data());
  }
  if (hivex_node_set_values(handle_.get(), node, all.size(), all.data(), 0) != 0)
    fail("setting the values of key " + escaped(key.to_string()));
}

void Hive::commit() {
  if (hivex_commit(handle_.get(), nullptr, 0) != 0) fail("writing the hive");
}

void Hive::commit_to(const std::string& path) {
  if (hivex_commit(handle_.get(), path.c_str(), 0) != 0) fail("writing the hive");
}

}  // namespace kvmnet::hive

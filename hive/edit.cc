// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "hive/base_block.h"
#include "hive/check.h"
#include "hive/contents.h"
#include "hive/error.h"
#include "hive/file.h"
#include "hive/hive.h"
#include "hive/removal.h"

namespace kvmnet::hive {
namespace {

constexpr std::size_t header_size = 512;  // as much of the base block as is ever written

Bytes read_header(int fd) {
  Bytes header = read_file(fd, 0, header_size);
  if (header.size() != header_size) throw Error("shorter than a base block");
  return header;
}

void write_header(int fd, Bytes header) {
  write_u32(header, 508, base_block_checksum(header));
  write_file(fd, 0, header);
}

void flip_time(int fd) {
  Bytes header = read_header(fd);
  header[12] ^= std::byte{1};
  write_header(fd, std::move(header));
}

void check_sound(const CheckResult& result) {
  if (result.sound()) return;
  for (const Finding& finding : result.findings)
    if (finding.severity == Severity::fatal)
      throw Error(fmt::format("{} (at {:#x})", finding.message, finding.offset));
}

// Both numbers of the header; the flipped time goes back to what it was.
void finish_header(int fd, std::span<const std::byte> before, std::uint32_t sequence) {
  Bytes header = read_header(fd);
  std::copy_n(before.begin() + 12, 8, header.begin() + 12);
  write_u32(header, 4, sequence);
  write_u32(header, 8, sequence);
  write_header(fd, std::move(header));
}

// How far a path leads, which is through no link, and how many keys are missing behind that.
struct Way {
  CellOffset last = no_cell;
  std::size_t missing = 0;
};

Way follow(const Tree& tree, const KeyPath& path) {
  const auto& names = path.elements();
  Way way = {tree.root(), names.size()};
  for (; way.missing > 0; --way.missing) {
    const auto next = find_subkey(tree, way.last, names[names.size() - way.missing]);
    if (!next) break;
    way.last = *next;
    refuse_link(tree, way.last, path);
  }
  return way;
}

// A new key gets its parent's security descriptor, and hivex counts its users without looking.
void refuse_wrapping_count(const Tree& tree, CellOffset parent, const KeyPath& path) {
  constexpr std::uint32_t room = 1 << 16;  // more keys than are ever created at once
  if (tree.security_users(tree.key(parent).security) > UINT32_MAX - room)
    throw Unsupported(fmt::format(
        "key '{}' cannot be created: its security descriptor has an impossible number of users",
        path.to_string()));
}

// hivex writes all values of a key anew. It knows neither of keys that have a predefined handle in
// the place of values nor of values that hide others (msuhanov/regf, "Key node", "Key value").
void refuse_unusual_values(const Tree& tree, CellOffset key, const KeyPath& path) {
  if ((tree.key(key).flags & KeyNode::predefined_handle) != 0)
    throw Unsupported(fmt::format("key '{}' stands for another one", path.to_string()));
  for (const CellOffset value : tree.values(key))
    if (tree.value(value).is_tombstone())
      throw Unsupported(
          fmt::format("key '{}' has a value that hides another one", path.to_string()));
}

// hivex takes names for C strings: it would find that key, and not make the one that is missing.
void refuse_name_that_ends_in_nul(const Tree& tree, const Way& way, const KeyPath& path) {
  const std::string& missing = path.elements()[path.elements().size() - way.missing];
  for (const CellOffset subkey : tree.subkeys(way.last)) {
    const KeyRecord record = tree.key(subkey);
    const std::string name = StoredName{record.name, record.latin1_name}.text();
    const std::size_t end = name.find('\0');
    if (end != std::string::npos && same_name(name.substr(0, end), missing))
      throw Unsupported(fmt::format("'{}' is missing, and hivex would take '{}' for it",
                                    escaped(path.to_string()), escaped(name)));
  }
}

// What is sound, but more than hivex knows of.
void refuse_what_hivex_overlooks(const Tree& tree, const Way& way, const KeyPath& path) {
  if (way.missing > 0) {
    refuse_wrapping_count(tree, way.last, path);
    refuse_name_that_ends_in_nul(tree, way, path);
  } else {
    refuse_unusual_values(tree, way.last, path);
  }
}

// hivex refuses a hive whose header checksum is one of the two that Windows stores in the place of
// another. For the scope's duration such a hive has another header.
class HivexHeader {
 public:
  explicit HivexHeader(int fd);
  HivexHeader(const HivexHeader&) = delete;
  HivexHeader& operator=(const HivexHeader&) = delete;
  ~HivexHeader();

 private:
  int fd_;
  bool changed_ = false;
};

HivexHeader::HivexHeader(int fd) : fd_(fd) {
  const Bytes header = read_header(fd);
  std::uint32_t sum = 0;
  for (std::size_t offset = 0; offset < 508; offset += 4) sum ^= read_u32(header, offset);
  changed_ = sum != base_block_checksum(header) && read_u32(header, 508) != sum;
  if (changed_) flip_time(fd_);
}

HivexHeader::~HivexHeader() {
  if (!changed_) return;
  try {
    flip_time(fd_);
  } catch (const Error&) {
    // The file is then of no use, and whoever reads it finds that out.
  }
}

// hivex reads the file when it is opened, so that its header may be another one until then.
Hive open_for_edit(int fd) {
  const HivexHeader header(fd);
  return {fmt::format("/proc/self/fd/{}", fd), Hive::Mode::edit_sound};
}

bool sets(const KeyEdit& edit) {
  return !edit.removes() || !edit.set.empty();
}

// Runs `work`, and adds the key to what it throws.
template <typename Work>
void for_edit(const KeyEdit& edit, Work work) {
  try {
    work();
  } catch (const Unsupported& e) {
    throw UnsupportedEdit(e.what(), edit.key);
  }
}

void set_values(int from, int to, const std::vector<KeyEdit>& edits) {
  Hive hive = open_for_edit(from);
  for (const KeyEdit& edit : edits)
    if (sets(edit)) for_edit(edit, [&] { hive.set(edit.key, edit.set); });
  hive.commit_to(fmt::format("/proc/self/fd/{}", to));
}

void remove_from(int fd, const std::vector<KeyEdit>& edits) {
  if (std::none_of(edits.begin(), edits.end(), [](const KeyEdit& e) { return e.removes(); }))
    return;
  Bytes hive = read_file(fd, 0, file_size(fd));
  for (const KeyEdit& edit : edits) for_edit(edit, [&] { remove(hive, {edit}); });
  write_file(fd, 0, hive);
}

}  // namespace

// Only what the logs have is written: the rest is in its place.
void apply(int fd, const Replay& replay, std::span<const Source> logs) {
  const Source primary = source_of(fd);
  const Source whole = recovered(replay, primary, logs);
  if (whole.size != primary.size) resize_file(fd, whole.size);
  // A piece is read from its log alone, so that what has been written before does not matter.
  for (const auto& [offset, piece] : replay.pieces)
    write_file(fd, base_block_size + offset,
               read_exactly(whole, base_block_size + offset, piece.length));
  write_file(fd, 0, replay.header);
}

void outnumber(int fd, std::span<const Source> logs) {
  Bytes header = read_header(fd);
  const std::uint32_t below = read_u32(header, 4) - 1;
  const std::uint32_t highest = highest_sequence(below, logs);
  if (highest == below) return;
  write_u32(header, 4, highest + 1);
  write_u32(header, 8, highest + 1);
  write_header(fd, std::move(header));
}

void require_sound(std::span<const std::byte> hive) {
  check_sound(check(hive));
}

void require_rewritable(std::span<const std::byte> hive, const KeyPath& key) {
  const Tree tree(hive);
  refuse_what_hivex_overlooks(tree, follow(tree, key), key);
  if (const auto values = Contents(hive).values(key)) require_rewritable(key, *values);
}

void refuse_link(const Tree& tree, CellOffset key, const KeyPath& path) {
  if ((tree.key(key).flags & KeyNode::symbolic_link) == 0) return;
  const KeyRecord record = tree.key(key);
  throw Unsupported(fmt::format(
      "'{}' leads through a symbolic link, '{}': Windows would not look there, but in the key that "
      "it stands for: name that one",
      escaped(path.to_string()), StoredName{record.name, record.latin1_name}.escaped()));
}

void require_settable(const Tree& tree, CellOffset key, const KeyPath& path) {
  refuse_unusual_values(tree, key, path);
  std::vector<NamedValue> values;
  for (const CellOffset offset : tree.values(key)) {
    const ValueRecord value = tree.value(offset);
    values.push_back({StoredName{value.name, value.latin1_name}.text(),
                      {static_cast<Type>(value.type), tree.value_data(offset)}});
  }
  require_rewritable(path, values);
}

void make_edit(int from, int to, const std::vector<KeyEdit>& edits, std::span<const Source> logs,
               std::uint64_t largest) {
  const MappedFile before(from);
  const Tree tree(before.bytes());
  for (const KeyEdit& edit : edits)
    for_edit(edit, [&] {
      const Way way = follow(tree, edit.key);
      if (sets(edit)) refuse_what_hivex_overlooks(tree, way, edit.key);
    });
  const std::uint32_t sequence = highest_sequence(read_u32(before.bytes(), 4), logs) + 1;
  set_values(from, to, edits);
  remove_from(to, edits);
  if (file_size(to) > largest)
    throw Unsupported(fmt::format("the hive would grow to {} bytes, and kvmnet reads {} at most",
                                  file_size(to), largest));
  finish_header(to, before.bytes(), sequence);
}

void prove_edit(std::span<const std::byte> before, std::span<const std::byte> after,
                const std::vector<KeyEdit>& edits) {
  const auto start = after.first(std::min(base_block_size, after.size()));
  if (const BaseBlock base = read_base_block(start, after.size());
      base.condition != Condition::clean)
    throw Error("the edited hive is not clean: " + base.reason);
  const CheckResult result = check(after, ChangedPages(before, after));
  try {
    check_sound(result);
  } catch (const Error& e) {
    throw Error(fmt::format("the edit has damaged the hive: {}", e.what()));
  }
  const auto differences = unexplained_differences(before, after, edits, result.touched);
  if (!differences.empty())
    throw Error("the edit has changed more than it was to change: " + differences.front());
}

void edit(int from, int to, const std::vector<KeyEdit>& edits, std::span<const Source> logs) {
  make_edit(from, to, edits, logs);
  prove_edit(MappedFile(from).bytes(), MappedFile(to).bytes(), edits);
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// Changes a volume where it has something to be read: fields of the boot sector, of records and of
// what is in them. The ends of their sectors are redone, and so is the mirror of $MFT, or no change
// would get past them.
#include <algorithm>
#include <array>
#include <cstdint>

#include "tests/fuzz/little_endian.h"
#include "tests/fuzz/mutation.h"
#include "tests/fuzz/ntfs_fields.h"
#include "tests/fuzz/ntfs_image.h"
#include "tests/fuzz/ntfs_records.h"

namespace kvmnet::fuzz {
namespace {

class Mutator : Random {
 public:
  Mutator(NtfsImage image, unsigned seed) : Random(seed), image_(std::move(image)) {}

  NtfsImage run() {
    for (std::size_t rounds = 1 + below(4); rounds > 0; --rounds) change();
    if (below(16) != 0) mirror();
    return std::move(image_);
  }

 private:
  void change() {
    switch (below(16)) {
      case 0:
        return below(4) == 0 ? change_size() : change_field(boot_sector(image_), boot_fields);
      case 1:
        return change_anything();
      case 2:
        return change_record("RSTR");
      case 3:
      case 4:
      case 5:
        return change_record("INDX");
      default:
        return change_record("FILE");
    }
  }

  // What counts, sizes, offsets and numbers of clusters are compared with.
  std::uint64_t number(std::uint64_t old) {
    const std::array<std::uint64_t, 18> candidates = {
        0,
        ~0ULL,
        0x80000000,
        0x7FFFFFFF,
        1ULL << 63,
        old + 1,
        old - 1,
        old + 8,
        old - 8,
        old * 2,
        0 - old,
        old ^ 1ULL << below(64),
        below(16),
        below(32) * 8,
        below(0x10000),
        below(image_.sectors),
        below(64) | below(4) << 48,  // of a file, and how often its record has been used
        below(17) * 16,              // types of attributes
    };
    return any(candidates);
  }

  void change_number(Record bytes, Field field) {
    if (field.offset + field.width > bytes.size()) return;
    store(bytes, field.offset, field.width, number(load(bytes, field.offset, field.width)));
  }

  template <typename Fields>
  void change_field(Record bytes, const Fields& fields) {
    change_number(bytes, any(fields));
  }

  // Somewhere, a number of any width.
  void change_somewhere(Record bytes) {
    if (bytes.empty()) return;
    const std::size_t width = std::size_t{1} << below(4);
    change_number(bytes, {below(bytes.size()) / width * width, width});
  }

  // Whatever libFuzzer makes of these bytes.
  static void change_bytes(Record bytes) {
    mutate_bytes(bytes.first(std::min<std::size_t>(bytes.size(), 256)));
  }

  void change_size() {
    image_.sectors = static_cast<std::uint32_t>(number(image_.sectors)) % most_sectors;
  }

  void change_anything() {
    if (image_.extents.empty()) return;
    Extent& extent = any(image_.extents);
    if (extent.kind != Extent::Kind::bytes) {
      extent.value = static_cast<std::uint16_t>(number(extent.value));
      return;
    }
    const Record bytes = extent.bytes;
    change_bytes(bytes.subspan(below(bytes.size())));
  }

  void change_record(std::string_view magic) {
    const auto records = find_records(image_, magic);
    if (records.empty()) return;
    const Record record = any(records);
    take_fixups_out(record);
    if (magic == "RSTR")
      change_restart_page(record);
    else if (magic == "INDX")
      change_node(record);
    else
      change_file(record);
    if (below(64) != 0) put_fixups_in(record);
  }

  void change_restart_page(Record page) {
    const std::size_t area = load(page, 24, 2);
    if (below(2) == 0) return change_field(page, log_fields);
    if (area < page.size()) change_field(page.subspan(area), area_fields);
  }

  void change_node(Record node) {
    if (below(8) == 0) return change_somewhere(node.first(node_header));
    change_index(node, node_header);
  }

  void change_index(Record bytes, std::size_t header) {
    if (header >= bytes.size()) return;
    const auto entries = index_entries(bytes, header);
    if (entries.empty() || below(6) == 0) return change_field(bytes.subspan(header), index_fields);
    const Record entry = any(entries);
    switch (below(6)) {
      case 0:
        return change_somewhere(entry);
      case 1:  // where its subnode is
        return change_number(entry, {entry.size() - 8, 8});
      case 2:
        return change_bytes(entry);
      case 3:
        return copy(any(entries), entry);
      default:
        return change_field(entry, entry_fields);
    }
  }

  static void copy(Record from, Record to) {
    std::copy_n(Bytes(from.begin(), from.end()).begin(), std::min(from.size(), to.size()),
                to.begin());
  }

  void change_file(Record record) {
    const auto attributes = attributes_of(record);
    const std::size_t kind = below(16);
    if (attributes.empty() || kind == 0) return change_field(record, file_fields);
    const Record attribute = any(attributes);
    if (kind == 1) return remove(record, attribute);
    if (kind == 2) return insert(record, attribute);
    if (kind == 3) return copy(any(attributes), attribute);
    if (kind == 4) return copy_record(record);
    change_attribute(attribute);
  }

  void change_attribute(Record attribute) {
    const std::size_t kind = below(4);
    if (kind == 0) return change_field(attribute, attribute_fields);
    if (is_resident(attribute)) {
      if (kind == 1) return change_field(attribute, resident_fields);
      return change_value(load(attribute, 0, 4), value_of(attribute));
    }
    if (kind == 1) return change_field(attribute, run_fields);
    change_runs(runs_of(attribute));
  }

  void change_value(std::uint64_t type, Record value) {
    if (type == index_root && below(4) != 0) return change_index(value, root_header);
    const auto entries = type == attribute_list ? list_entries(value) : std::vector<Record>();
    if (!entries.empty() && below(4) != 0) return change_field(any(entries), list_fields);
    return below(3) == 0 ? change_bytes(value) : change_somewhere(value);
  }

  // A run is a byte with two lengths, and two numbers of these lengths.
  void change_runs(Record runs) {
    if (runs.empty()) return;
    std::size_t at = 0;
    for (std::size_t skip = below(4); skip > 0; --skip) {
      const auto widths = std::to_integer<std::size_t>(runs[at]);
      const std::size_t next = at + 1 + (widths & 0xF) + (widths >> 4);
      if (widths == 0 || next >= runs.size()) break;
      at = next;
    }
    switch (below(4)) {
      case 0:
        return change_bytes(runs.subspan(at));
      case 1:
        return store(runs, at, 1, below(9) | below(9) << 4);
      default:
        return change_number(runs.subspan(at), {1 + below(4), 1 + below(3)});
    }
  }

  // A copy of an attribute, of this or of another record, in front of one.
  void insert(Record record, Record before) {
    const auto records = find_records(image_, "FILE");
    const Record from = any(records);
    const auto others = from.data() == record.data() ? attributes_of(record) : attributes_of(from);
    if (others.empty()) return;
    const Record other = any(others);
    const Bytes copied(other.begin(), other.end());
    const auto at = static_cast<std::size_t>(before.data() - record.data());
    if (copied.size() > record.size() - at) return;
    const Record rest = record.subspan(at);
    std::copy_backward(rest.begin(), rest.end() - static_cast<std::ptrdiff_t>(copied.size()),
                       rest.end());
    std::copy(copied.begin(), copied.end(), rest.begin());
    store(record, 24, 4, load(record, 24, 4) + copied.size());
  }

  static void remove(Record record, Record attribute) {
    const auto at = static_cast<std::size_t>(attribute.data() - record.data());
    const Record rest = record.subspan(at);
    std::copy(rest.begin() + static_cast<std::ptrdiff_t>(attribute.size()), rest.end(),
              rest.begin());
    store(record, 24, 4, load(record, 24, 4) - attribute.size());
  }

  // Another file's record in the place of this one.
  void copy_record(Record record) {
    const auto records = find_records(image_, "FILE");
    const Record from = any(records);
    if (from.data() == record.data()) return;
    take_fixups_out(from);
    copy(from, record);
    put_fixups_in(from);
  }

  // The first four records once more, where the boot sector says.
  void mirror() {
    const Record boot = boot_sector(image_);
    if (boot.empty()) return;
    constexpr std::size_t mirrored = 4096;
    const std::uint64_t cluster = load(boot, 11, 2) * load(boot, 13, 1);
    const Record from = bytes_at(image_, load(boot, 48, 8) * cluster, mirrored);
    const Record to = bytes_at(image_, load(boot, 56, 8) * cluster, mirrored);
    if (from.size() == to.size()) copy(from, to);
  }

  NtfsImage image_;
};

}  // namespace

Bytes mutated(std::span<const std::byte> input, std::size_t /*max_size*/, unsigned seed) {
  return pack(Mutator(unpack_ntfs(input), seed).run());
}

}  // namespace kvmnet::fuzz

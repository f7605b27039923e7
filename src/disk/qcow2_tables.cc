// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/qcow2_tables.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <span>

#include "src/disk/qcow2_header.h"
#include "src/disk/sha256.h"
#include "src/support/error.h"

namespace kvmnet::disk {
namespace {

// The largest table that QEMU takes is an L1 table of 32 MiB (block/qcow2.h).
constexpr std::uint64_t largest_table = 32 << 20;
constexpr std::size_t entry_size = 8;
// In entries of all tables that lead to a cluster; the other bits are flags.
constexpr std::uint64_t offset_bits = 0x00FFFFFFFFFFFE00;
// The cluster has no other user. QEMU keeps this bit in step with the reference counts.
constexpr std::uint64_t copied = 1ULL << 63;
constexpr std::uint64_t compressed = 1ULL << 62;

std::uint64_t entry(const std::string& table, std::size_t index) {
  return qcow2_number(table, index * entry_size, entry_size);
}

class TableFile {
 public:
  TableFile(const Fd& fd, const std::string& path) : fd_(fd), path_(path) {
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) throw system_error(path, errno);
    size_ = static_cast<std::uint64_t>(st.st_size);
    header_ = read_qcow2_header(fd, path);
  }

  const Qcow2Header& header() const { return header_; }
  std::uint64_t size() const { return size_; }

  std::string read(const Range& range, const char* name) const {
    if (range.length > largest_table || range.start > size_ || range.length > size_ - range.start)
      throw Error(fmt::format("{}: the {} of the qcow2 file is not within it", path_, name));
    std::string bytes(range.length, '\0');
    read_at(fd_, range.start, std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }

 private:
  const Fd& fd_;
  const std::string& path_;
  std::uint64_t size_ = 0;
  Qcow2Header header_;
};

// Ranges of one file as they are found, in any order.
class Found {
 public:
  void add(const Range& range) {
    if (range.length > 0) all_.insert({range.start, range.start + range.length});
  }
  std::vector<Range> merged(std::uint64_t size) const {
    std::vector<Range> merged;
    for (const auto& [start, whole_end] : all_) {
      const std::uint64_t end = std::min(whole_end, size);
      if (start >= end) continue;
      if (!merged.empty() && start <= merged.back().start + merged.back().length)
        merged.back().length =
            std::max(merged.back().start + merged.back().length, end) - merged.back().start;
      else
        merged.push_back({start, end - start});
    }
    return merged;
  }

 private:
  std::set<std::pair<std::uint64_t, std::uint64_t>> all_;  // start, end
};

// Goes through the L2 tables of the active disk.
class ActiveTables {
 public:
  ActiveTables(const TableFile& file, const std::vector<Range>& written) : file_(file) {
    const Qcow2Header& header = file.header();
    l2_entry_size_ = header.extended_l2 ? 2 * entry_size : entry_size;
    l2_entries_ = header.cluster_size / l2_entry_size_;
    const std::uint64_t clusters =
        (header.disk_size + header.cluster_size - 1) / header.cluster_size;
    for (const Range& range : written) {
      if (range.length == 0) continue;
      const std::uint64_t end =
          (range.start + range.length + header.cluster_size - 1) / header.cluster_size;
      written_.push_back({range.start / header.cluster_size, std::min(end, clusters)});
    }
    l1_ = file.read(header.l1_table, "L1 table");
  }

  // The tables of the parts that are written, and what is to be cleared in them.
  void find_written(Found& tables, Found& cleared) const {
    std::set<std::uint64_t> indices;
    for (const Clusters& part : written_)
      for (std::uint64_t i = part.start / l2_entries_; i * l2_entries_ < part.end; ++i)
        indices.insert(i);
    for (const std::uint64_t index : indices) {
      if (index >= l1_.size() / entry_size) break;
      const std::uint64_t place = entry(l1_, index) & offset_bits;
      if (place == 0) continue;
      tables.add({place, file_.header().cluster_size});
      // A table that a snapshot shares stays as it is: QEMU changes a copy, and frees nothing.
      if ((entry(l1_, index) & copied) != 0) find_compressed(index, place, cleared);
    }
  }

  void add_rest_to(Sha256& hash) const {
    for (std::uint64_t i = 0; i < l1_.size() / entry_size; ++i) {
      const std::uint64_t place = entry(l1_, i) & offset_bits;
      if (place != 0) add_rest_to(hash, i, read_l2(place));
    }
  }

 private:
  struct Clusters {  // of the disk
    std::uint64_t start = 0;
    std::uint64_t end = 0;
  };

  std::string read_l2(std::uint64_t place) const {
    return file_.read({place, file_.header().cluster_size}, "L2 table");
  }

  void find_compressed(std::uint64_t index, std::uint64_t place, Found& cleared) const {
    const std::string table = read_l2(place);
    for (std::uint64_t i = 0; i < l2_entries_; ++i)
      if ((qcow2_number(table, i * l2_entry_size_, entry_size) & compressed) != 0 &&
          is_written(index * l2_entries_ + i))
        cleared.add({place + i * l2_entry_size_, l2_entry_size_});
  }

  // A table that has nothing else than what is written need not be there at all.
  void add_rest_to(Sha256& hash, std::uint64_t index, std::string table) const {
    constexpr unsigned char all_but_copied = 0x7F;  // of an entry's first byte
    for (std::uint64_t i = 0; i < l2_entries_; ++i) {
      char& first = table[i * l2_entry_size_];
      first = static_cast<char>(static_cast<unsigned char>(first) & all_but_copied);
    }
    for (const Clusters& part : written_) {
      const std::uint64_t begin = index * l2_entries_;
      const std::uint64_t from = std::max(part.start, begin);
      const std::uint64_t to = std::min(part.end, begin + l2_entries_);
      if (from < to)
        table.replace((from - begin) * l2_entry_size_, (to - from) * l2_entry_size_,
                      (to - from) * l2_entry_size_, '\0');
    }
    if (std::all_of(table.begin(), table.end(), [](char c) { return c == 0; })) return;
    hash.add(fmt::format("{}\n", index));
    hash.add(table);
  }

  bool is_written(std::uint64_t cluster) const {
    return std::any_of(written_.begin(), written_.end(), [cluster](const Clusters& part) {
      return cluster >= part.start && cluster < part.end;
    });
  }

  const TableFile& file_;
  std::string l1_;
  std::vector<Clusters> written_;
  std::uint64_t l2_entry_size_ = entry_size;
  std::uint64_t l2_entries_ = 0;
};

void find_clusters_of(const std::string& table, const TableFile& file, Found& found) {
  for (std::size_t i = 0; i < table.size() / entry_size; ++i)
    if (const std::uint64_t place = entry(table, i) & offset_bits; place != 0)
      found.add({place, file.header().cluster_size});
}

void find_refcounts(const TableFile& file, Found& found) {
  found.add(file.header().refcount_table);
  find_clusters_of(file.read(file.header().refcount_table, "refcount table"), file, found);
}

// QEMU writes them anew, elsewhere, when it closes an image that it has written to.
void find_bitmaps(const TableFile& file, Found& found) {
  found.add(file.header().bitmap_directory);
  const std::string directory = file.read(file.header().bitmap_directory, "bitmap directory");
  constexpr std::size_t fixed_part = 24;
  std::uint64_t total = 0;
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < file.header().bitmaps; ++i) {
    if (at + fixed_part > directory.size()) throw Error("the bitmap directory is cut off");
    const Range bits = {qcow2_number(directory, at, 8),
                        qcow2_number(directory, at + 8, 4) * entry_size};
    total += bits.length;
    if (total > file.size()) throw Error("the bitmaps are larger than the file");
    found.add(bits);
    find_clusters_of(file.read(bits, "bitmap"), file, found);
    const std::uint64_t name_and_extra =
        qcow2_number(directory, at + 18, 2) + qcow2_number(directory, at + 20, 4);
    at += (fixed_part + name_and_extra + 7) / 8 * 8;
  }
}

std::string rest_of(const TableFile& file, const ActiveTables& active) {
  const Qcow2Header& header = file.header();
  Sha256 hash;
  hash.add(fmt::format("{} {} {} {} {}\n", header.disk_size, header.cluster_size,
                       header.l1_table.length, header.snapshots, header.snapshot_table.start));
  active.add_rest_to(hash);
  return hash.hex();
}

}  // namespace

TableUndo undo_for(const Fd& fd, const std::string& path, const std::vector<Range>& written) {
  const TableFile file(fd, path);
  const ActiveTables active(file, written);
  Found tables;
  Found cleared;
  tables.add({0, file.header().cluster_size});
  tables.add(file.header().l1_table);
  active.find_written(tables, cleared);
  find_refcounts(file, tables);
  find_bitmaps(file, tables);
  return {tables.merged(file.size()), cleared.merged(file.size()), rest_of(file, active)};
}

std::string rest_of(const Fd& fd, const std::string& path, const std::vector<Range>& written) {
  const TableFile file(fd, path);
  return rest_of(file, ActiveTables(file, written));
}

}  // namespace kvmnet::disk

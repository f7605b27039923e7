// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/qcow2_tables.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "src/disk/qcow2_header.h"
#include "src/support/error.h"

namespace kvmnet::disk {
namespace {

// The largest table that QEMU takes is an L1 table of 32 MiB (block/qcow2.h).
constexpr std::uint64_t largest_table = 32 << 20;
constexpr std::size_t entry_size = 8;
// In entries of all tables that lead to a cluster; the other bits are flags.
constexpr std::uint64_t offset_bits = 0x00FFFFFFFFFFFE00;

class Tables {
 public:
  Tables(const Fd& fd, const std::string& path) : fd_(fd), path_(path) {
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) throw system_error(path, errno);
    size_ = static_cast<std::uint64_t>(st.st_size);
    header_ = read_qcow2_header(fd, path);
    add_cluster(0);
  }

  void add_l2_tables_of(const std::vector<Range>& written) {
    const std::string l1 = add_table(header_.l1_table, "L1 table");
    const std::uint64_t l2_entries =
        header_.cluster_size / (header_.extended_l2 ? 2 * entry_size : entry_size);
    const std::uint64_t covered = header_.cluster_size * l2_entries;
    for (const Range& range : written) {
      if (range.length == 0) continue;
      const std::uint64_t last = (range.start + range.length - 1) / covered;
      for (std::uint64_t i = range.start / covered; i <= last && i < l1.size() / entry_size; ++i)
        add_cluster_of_entry(l1, i);
    }
  }

  void add_refcounts() {
    const std::string table = add_table(header_.refcount_table, "refcount table");
    for (std::size_t i = 0; i < table.size() / entry_size; ++i) add_cluster_of_entry(table, i);
  }

  // QEMU writes them anew, elsewhere, when it closes an image that it has written to.
  void add_bitmaps() {
    const std::string directory = add_table(header_.bitmap_directory, "bitmap directory");
    constexpr std::size_t fixed_part = 24;
    for (std::size_t at = 0; at + fixed_part <= directory.size();) {
      const Range bits = {qcow2_number(directory, at, 8),
                          qcow2_number(directory, at + 8, 4) * entry_size};
      const std::string table = add_table(bits, "bitmap");
      for (std::size_t i = 0; i < table.size() / entry_size; ++i) add_cluster_of_entry(table, i);
      const std::uint64_t name_and_extra =
          qcow2_number(directory, at + 18, 2) + qcow2_number(directory, at + 20, 4);
      at += (fixed_part + name_and_extra + 7) / 8 * 8;
    }
  }

  std::vector<Range> merged() const {
    std::vector<Range> all;
    for (const auto& [start, end] : found_) {
      const std::uint64_t within = std::min(end, size_);
      if (start >= within) continue;
      if (!all.empty() && start <= all.back().start + all.back().length)
        all.back().length =
            std::max(all.back().start + all.back().length, within) - all.back().start;
      else
        all.push_back({start, within - start});
    }
    return all;
  }

 private:
  // Returns its bytes.
  std::string add_table(const Range& range, const char* name) {
    if (range.length == 0) return {};
    if (range.length > largest_table || range.start > size_ || range.length > size_ - range.start)
      throw Error(fmt::format("{}: the {} of the qcow2 file is not within it", path_, name));
    std::string bytes(range.length, '\0');
    if (::pread(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(range.start)) !=
        static_cast<ssize_t>(bytes.size()))
      throw system_error(path_, EIO);
    found_.insert({range.start, range.start + range.length});
    return bytes;
  }

  void add_cluster(std::uint64_t start) { found_.insert({start, start + header_.cluster_size}); }

  void add_cluster_of_entry(const std::string& table, std::size_t index) {
    const std::uint64_t start = qcow2_number(table, index * entry_size, entry_size) & offset_bits;
    if (start != 0) add_cluster(start);
  }

  const Fd& fd_;
  const std::string& path_;
  std::uint64_t size_ = 0;
  Qcow2Header header_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> found_;  // start, end
};

}  // namespace

std::vector<Range> tables_of(const Fd& fd, const std::string& path,
                             const std::vector<Range>& written) {
  Tables tables(fd, path);
  tables.add_l2_tables_of(written);
  tables.add_refcounts();
  tables.add_bitmaps();
  return tables.merged();
}

}  // namespace kvmnet::disk

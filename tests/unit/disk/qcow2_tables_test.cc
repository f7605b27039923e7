// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/qcow2_tables.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>
#include <span>

#include "src/disk/qcow2_header.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr std::uint64_t MiB = 1 << 20;

void io(const std::string& path, const Words& commands) {
  Words words = {"qemu-io", "-f", "qcow2"};
  for (const std::string& command : commands) words.insert(words.end(), {"-c", command});
  words.push_back(path);
  run_checked(words);
}

struct Layout {
  const char* name;
  const char* options = "compat=v3";
  bool snapshot = false;
  bool bitmap = false;
};
std::ostream& operator<<(std::ostream& out, const Layout& layout) {
  return out << layout.name;
}

class TablesTest : public test::DiskTest {};
class TablesOf : public TablesTest, public testing::WithParamInterface<Layout> {
 protected:
  // 64 MiB with data in both halves.
  std::string make_image() const {
    const std::string path = this->path("disk");
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", GetParam().options, path, "64M"});
    io(path, {"write -q -P 0x11 1M 4M", "write -q -P 0x12 40M 2M"});
    if (GetParam().snapshot) run_checked({"qemu-img", "snapshot", "-c", "one", path});
    if (GetParam().bitmap) {
      run_checked({"qemu-img", "bitmap", "--add", path, "bits"});
      io(path, {"write -q -P 0x13 3M 64k"});
    }
    return path;
  }
};

// Writes that QEMU makes over data, over clusters that a snapshot shares, and where there was
// nothing; in new L2 tables, too, and so many that new reference counts are needed.
const Words writes = {"write -q -P 0x21 2M 1M", "write -q -P 0x22 20M 16M",
                      "write -q -z -u 40M 1M"};
const std::vector<Range> written = {{2 * MiB, MiB}, {20 * MiB, 16 * MiB}, {40 * MiB, MiB}};

TEST_P(TablesOf, UndoWhatQemuHasMadeOfThemAndLeaveTheRest) {
  const std::string path = make_image();
  const std::string before = test::text_of(path);
  const Fd fd = open_file(path, O_RDWR);
  const TableUndo undo = undo_for(fd, path, written);

  io(path, writes);
  ASSERT_NE(test::text_of(path), before);
  EXPECT_EQ(rest_of(fd, path, written), undo.rest);
  EXPECT_TRUE(undo.cleared.empty());
  for (const Range& table : undo.tables)
    write_at(fd, table.start, std::as_bytes(std::span(before).subspan(table.start, table.length)));
  fs::resize_file(path, before.size());

  const Finished check = run({"qemu-img", "check", "-f", "qcow2", path});
  EXPECT_EQ(check.status, 0) << check.output;
  const std::string info = run_checked({"qemu-img", "info", path});
  EXPECT_EQ(info.find("name: bits") != std::string::npos, GetParam().bitmap) << info;
  EXPECT_EQ(info.find("in-use"), std::string::npos) << info;
  io(path, {"read -q -P 0x11 1M 1M", "read -q -P 0x12 41M 1M", "read -q -P 0 6M 14M"});
  if (GetParam().snapshot) {
    if (GetParam().bitmap) run_checked({"qemu-img", "bitmap", "--remove", path, "bits"});
    run_checked({"qemu-img", "snapshot", "-a", "one", path});
    io(path, {"read -q -P 0x11 1M 4M", "read -q -P 0x12 40M 2M", "read -q -P 0 20M 16M"});
  }
}

// 64 MiB in clusters of 4 KiB: an L2 table covers 2 MiB of the disk.
TEST_F(TablesTest, AreNotThoseOfOtherPartsOfTheDisk) {
  const std::string path = this->path("disk");
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", path, "64M"});
  io(path, {"write -q -P 0x11 0 64M"});
  const Fd fd = open_file(path, O_RDONLY);
  const std::uint64_t all = length_of(undo_for(fd, path, {{0, 64 * MiB}}).tables);
  const std::uint64_t few = length_of(undo_for(fd, path, {{3 * MiB, 512}, {40 * MiB, 0}}).tables);
  EXPECT_EQ(all - few, 31U * 4096);
}

TEST_F(TablesTest, OfADamagedFileAreAnError) {
  const std::string path = image("disk", "qcow2");
  const std::string good = test::text_of(path);
  for (const std::size_t field : {40U, 48U}) {  // where the L1 and the refcount table are
    std::string bytes = good;
    bytes.at(field) = '\x40';
    file("disk", bytes);
    EXPECT_THROW(undo_for(open_file(path, O_RDONLY), path, {}), Error) << field;
  }
  std::string bytes = good;
  bytes.at(36) = '\x7f';  // the size of the L1 table: 16 GiB
  file("disk", bytes);
  EXPECT_THROW(undo_for(open_file(path, O_RDONLY), path, {}), Error);
}

TEST_F(TablesTest, ThatLeadOutOfTheFileAreAnError) {
  const std::string path = image("disk", "qcow2");
  std::string bytes = test::text_of(path);
  constexpr std::size_t l1 = 3 * 65536;
  bytes.replace(l1, 8, std::string("\x80\x7f\xff\xff\xff\xff\0\0", 8));
  file("disk", bytes);
  EXPECT_THROW(undo_for(open_file(path, O_RDONLY), path, {{0, MiB}}), Error);
}

// A writer that knows no bitmaps leaves the extension, clears its bit, and uses the space again.
TEST_F(TablesTest, OfBitmapsDoNotCountWhereTheirBitIsCleared) {
  const std::string path = image("disk", "qcow2");
  run_checked({"qemu-img", "bitmap", "--add", path, "bits"});
  std::string bytes = test::text_of(path);
  const Range directory = read_qcow2_header(open_file(path, O_RDONLY), path).bitmap_directory;
  ASSERT_GT(directory.length, 0U);
  bytes.replace(directory.start, directory.length, std::string(directory.length, '\xee'));
  bytes.at(95) = 0;
  file("disk", bytes);
  EXPECT_NO_THROW(undo_for(open_file(path, O_RDONLY), path, {{0, MiB}}));
}

// What is freed when it is overwritten may be something else before the tables say so on disk.
TEST_F(TablesTest, ClearTheEntriesOfCompressedClustersThatAreOverwritten) {
  const std::string path = this->path("disk");
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", path, "4M"});
  io(path, {"write -q -c -P 0x11 0 2M"});
  const Fd fd = open_file(path, O_RDONLY);
  EXPECT_EQ(length_of(undo_for(fd, path, {{MiB, MiB}}).cleared), 16U * 8);
  EXPECT_EQ(length_of(undo_for(fd, path, {{3 * MiB, MiB}}).cleared), 0U);
  // They are in a table that the snapshot has, too.
  run_checked({"qemu-img", "snapshot", "-c", "one", path});
  const Fd anew = open_file(path, O_RDONLY);
  EXPECT_EQ(length_of(undo_for(anew, path, {{MiB, MiB}}).cleared), 0U);
}

TEST_F(TablesTest, ChangeInTheirRestWithWhatSomebodyElseWrites) {
  const std::string path = image("disk", "qcow2");
  const std::vector<Range> elsewhere = {{0, 65536}};
  const auto rest = [&] { return rest_of(open_file(path, O_RDONLY), path, elsewhere); };
  const std::string before = rest();
  io(path, {"write -q -P 0x44 0 4k", "write -q -P 0x44 600k 4k"});  // written, and there already
  EXPECT_EQ(rest(), before);
  run_checked({"qemu-img", "snapshot", "-c", "one", path});
  EXPECT_NE(rest(), before);
  run_checked({"qemu-img", "snapshot", "-d", "one", path});
  EXPECT_EQ(rest(), before);
  io(path, {"write -q -P 0x44 256k 4k"});
  EXPECT_NE(rest(), before);
}

INSTANTIATE_TEST_SUITE_P(
    Layouts, TablesOf,
    testing::Values(Layout{.name = "plain"}, Layout{.name = "version2", .options = "compat=v2"},
                    Layout{.name = "small_clusters", .options = "cluster_size=512"},
                    Layout{.name = "large_clusters", .options = "cluster_size=2M"},
                    Layout{.name = "one_bit_counts",
                           .options = "cluster_size=4096,refcount_bits=1"},
                    Layout{.name = "wide_counts", .options = "cluster_size=4096,refcount_bits=64"},
                    Layout{.name = "subclusters", .options = "extended_l2=on,cluster_size=128k"},
                    Layout{.name = "lazy_refcounts", .options = "lazy_refcounts=on"},
                    Layout{.name = "snapshot", .options = "cluster_size=4096", .snapshot = true},
                    Layout{.name = "bitmap", .bitmap = true},
                    Layout{.name = "all",
                           .options = "cluster_size=4096,extended_l2=off",
                           .snapshot = true,
                           .bitmap = true}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace kvmnet::disk

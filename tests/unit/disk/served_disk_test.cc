// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/served_disk.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "src/disk/qemu_commit.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "tests/unit/direct/volume_file.h"
#include "tests/unit/disk/disk_files.h"

namespace kvmnet::disk {
namespace {

using landlock::Access;
using test::numbered_text;
using Writes = ServedDisk::Writes;

std::string error_of(const std::function<void()>& step) {
  try {
    step();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

std::string text_at(ServedDisk& disk, std::uint64_t offset, std::size_t size) {
  std::string text(size, '\0');
  disk.read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

ServedDisk::Taker append_to(std::string& text) {
  return [&text](std::span<const std::byte> piece) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return true;
  };
}

void put(ServedDisk& disk, std::uint64_t offset, std::string_view text) {
  disk.write(offset, std::as_bytes(std::span(text)));
}

class ServedDiskTest : public test::DiskTest {
 protected:
  std::string qcow2(const std::string& name, const std::vector<std::string>& more) const {
    std::vector<std::string> command = {"qemu-img", "create", "-q", "-f", "qcow2", path(name)};
    command.insert(command.end() - 1, more.begin(), more.end());
    command.emplace_back("1M");
    run_checked(command);
    return path(name);
  }
};

TEST_F(ServedDiskTest, WhatIsWrittenIsReadAndInTheImageAfterwards) {
  const std::string image = qcow2("image", {});
  const std::vector<landlock::Rule> rules = {{image, Access::read_write}};
  ServedDisk disk(image_options(image, Format::qcow2), Writes::kept, rules);
  EXPECT_EQ(disk.size(), 1U << 20);
  const std::string large(3 << 18, 'l');
  put(disk, 512, "written");
  put(disk, 1 << 18, large);
  EXPECT_EQ(text_at(disk, 512, 7), "written");
  disk.finish();
  ServedDisk again(image_options(image, Format::qcow2));
  EXPECT_EQ(text_at(again, 512, 7), "written");
  EXPECT_EQ(text_at(again, 1 << 18, large.size()) == large, true);
}

TEST_F(ServedDiskTest, WhatIsWrittenIsInTheFileWhenTheServerHasEnded) {
  const std::string image = qcow2("image", {});
  const std::vector<landlock::Rule> rules = {{image, Access::read_write}};
  ServedDisk disk(image_options(image, Format::qcow2), Writes::kept, rules);
  put(disk, 512, "written");
  disk.begin_finish();
  EXPECT_EQ(error_of([&] { text_at(disk, 0, 1); }), "using the disk with qemu-nbd: it has ended");
  disk.finish();
  ServedDisk again(image_options(image, Format::qcow2));
  EXPECT_EQ(text_at(again, 512, 7), "written");
}

// Who may write half a gigabyte could take two of the host for each sector.
TEST_F(ServedDiskTest, FewBytesInManyPlacesDoNotFillTheHost) {
  const std::string image = path("image");
  run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", image, "8G"});
  const std::vector<landlock::Rule> rules = {{image, Access::read_write}};
  ServedDisk disk(image_options(image, Format::qcow2), Writes::kept, rules);
  constexpr std::uint64_t cluster = 2 << 20;
  std::uint64_t written = 0;
  EXPECT_NE(error_of([&] {
              for (; written < 4096; ++written) put(disk, written * cluster, "x");
            }),
            "no error");
  EXPECT_GT(written * cluster, ServedDisk::largest_written / 2);
  EXPECT_LE(std::filesystem::file_size(image), ServedDisk::largest_written);
  EXPECT_EQ(text_at(disk, 0, 1), "x");
}

TEST_F(ServedDiskTest, AnErrorOfTheDiskIsNotItsEnd) {
  const std::string image = qcow2("image", {});
  ServedDisk disk(image_options(image, Format::qcow2));
  EXPECT_NE(error_of([&] { put(disk, 0, "x"); }), "no error");
  EXPECT_NE(error_of([&] { text_at(disk, 1 << 20, 1); }), "no error");
  EXPECT_EQ(text_at(disk, 0, 1), std::string(1, '\0'));
}

// Of a large read several parts are on their way at once. QEMU ends the connection of who reads
// what cannot be read.
TEST_F(ServedDiskTest, AnErrorInTheMiddleOfALargeReadIsTold) {
  const std::string content = numbered_text(8 << 20);  // of holes QEMU reads nothing
  write_whole(create_private_file(path("image")), std::string_view(content));
  const std::string options =
      "driver=raw,file.driver=blkdebug,file.inject-error.0.event=read_aio,"
      "file.inject-error.0.sector=5000,file.inject-error.0.errno=5,"
      "file.image.driver=file,file.image.filename=" +
      path("image");
  for (const bool in_pieces : {false, true}) {
    ServedDisk disk(options);
    EXPECT_EQ(text_at(disk, 4 << 20, 4 << 20) == content.substr(4 << 20), true);
    std::string read;
    const std::string error = error_of([&] {
      if (in_pieces)
        disk.read(0, content.size(), append_to(read));
      else
        text_at(disk, 0, 8 << 20);
    });
    EXPECT_NE(error.find("Input/output error"), std::string::npos) << error;
    EXPECT_EQ(content.starts_with(read), true);
    EXPECT_LE(read.size(), 5000U * 512);
    EXPECT_EQ(error_of([&] { text_at(disk, 0, 1); }), "using the disk with qemu-nbd: it has ended");
  }
}

TEST_F(ServedDiskTest, MuchIsReadInPiecesThatComeInOrder) {
  const std::string content = numbered_text((9 << 20) + 512);
  write_whole(create_private_file(path("image")), std::string_view(content));
  ServedDisk disk(image_options(path("image"), Format::raw));
  std::string read;
  disk.read(1024, content.size() - 1024, append_to(read));
  EXPECT_EQ(read == content.substr(1024), true);
  disk.read(0, 0, [](auto /*piece*/) -> bool { throw Error("there is none"); });
}

TEST_F(ServedDiskTest, WhoTakesThePiecesMayEndIt) {
  const std::string content = numbered_text(9 << 20);
  write_whole(create_private_file(path("image")), std::string_view(content));
  ServedDisk disk(image_options(path("image"), Format::raw));
  int pieces = 0;
  disk.read(0, content.size(), [&](auto /*piece*/) { return ++pieces < 3; });
  EXPECT_EQ(pieces, 3);
  EXPECT_EQ(error_of([&] {
              disk.read(0, content.size(), [&](auto /*piece*/) -> bool {
                ++pieces;
                throw Error("no room for it");
              });
            }),
            "no room for it");
  EXPECT_EQ(pieces, 4);
  EXPECT_EQ(text_at(disk, 1 << 20, 3 << 20) == content.substr(1 << 20, 3 << 20), true);
}

TEST_F(ServedDiskTest, AConfinedServerOpensNoFileThatAnImageNamesAsItsData) {
  const std::string host_file = file("host file", std::string(1 << 20, 'h'));
  const std::string image =
      qcow2("image", {"-o", "data_file=" + path("data"), "-o", "data_file_raw=on"});
  std::filesystem::remove(path("data"));
  std::filesystem::rename(host_file, path("data"));  // now it is the data of the image
  const std::vector<landlock::Rule> rules = {{image, Access::read_write}};
  const std::string options = image_options(image, Format::qcow2);
  const std::string problem = error_of([&] { ServedDisk(options, Writes::kept, rules).size(); });
  EXPECT_NE(problem.find("Permission denied"), std::string::npos) << problem;
  EXPECT_EQ(test::text_of(path("data")), std::string(1 << 20, 'h'));
  // Without it would have been written to: that is what the rules are for.
  const auto disk = ServedDisk::unconfined(options, Writes::kept);
  put(*disk, 0, "written");
  disk->finish();
  EXPECT_EQ(test::text_of(path("data")).substr(0, 7), "written");
}

TEST_F(ServedDiskTest, AConfinedServerReadsBackingFilesOnlyThatItMay) {
  const std::string base = file("base", std::string(1 << 20, 'b'));
  const std::string image = qcow2("image", {"-b", base, "-F", "raw"});
  const std::string options = image_options(image, Format::qcow2);
  const std::vector<landlock::Rule> one = {{image, Access::read_write}};
  const std::string problem = error_of([&] { ServedDisk(options, Writes::kept, one).size(); });
  EXPECT_NE(problem.find("Permission denied"), std::string::npos) << problem;
  const std::vector<landlock::Rule> both = {{image, Access::read_write}, {base, Access::read}};
  ServedDisk disk(options, Writes::kept, both);
  EXPECT_EQ(text_at(disk, 0, 4), "bbbb");
}

TEST_F(ServedDiskTest, AConfinedServerStillFindsAnImageThatIsInUse) {
  const std::string image = qcow2("image", {});
  const std::vector<landlock::Rule> rules = {{image, Access::read_write}};
  const std::string options = image_options(image, Format::qcow2);
  ServedDisk disk(options, Writes::kept, rules);
  EXPECT_EQ(disk.size(), 1U << 20);
  const std::string problem = error_of([&] { ServedDisk(options, Writes::kept, rules).size(); });
  EXPECT_NE(problem.find("lock"), std::string::npos) << problem;
}

TEST_F(ServedDiskTest, AFileThatIsNotThereCannotBeAllowed) {
  const std::vector<landlock::Rule> rules = {{path("none"), Access::read}};
  EXPECT_EQ(error_of([&] { ServedDisk("driver=null-co", Writes::none, rules); }),
            path("none") + ": No such file or directory");
}

}  // namespace
}  // namespace kvmnet::disk

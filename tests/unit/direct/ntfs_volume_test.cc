// SPDX-License-Identifier: GPL-2.0-or-later
#include "direct/ntfs_volume.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iomanip>
#include <random>
#include <sstream>
#include <thread>

#include "direct/error.h"
#include "ntfs/security_descriptor.h"
#include "tests/unit/direct/volume_file.h"

namespace kvmnet::direct {
namespace {

using test::numbered_text;
using test::VolumeFile;

std::string text_of(NtfsVolume& volume, const std::string& path) {
  const auto bytes = volume.read_at(path, 0, std::size_t{1} << 30);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string error_of(const std::function<void()>& step) {
  try {
    step();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

// ---- reading

TEST(NtfsVolume, FilesAreReadWhateverTheSizeOfAClusterIs) {
  for (const unsigned cluster : {512U, 1024U, 4096U, 65536U, 131072U}) {
    const VolumeFile file({cluster, 512, 48 << 20});
    const std::string large = numbered_text(700'001);
    file.copy_in("in the record", "/small.txt");
    file.copy_in(large, "/large.txt");
    NtfsVolume volume(file.read_only_device(), Access::read_only);
    EXPECT_EQ(text_of(volume, "/small.txt"), "in the record") << cluster;
    EXPECT_EQ(text_of(volume, "/large.txt") == large, true) << cluster;
    EXPECT_EQ(volume.size("/large.txt"), large.size()) << cluster;
    const auto part = volume.read_at("/large.txt", 699'990, 100);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(part.data()), part.size()),
              large.substr(699'990))
        << cluster;
    EXPECT_TRUE(volume.read_at("/large.txt", 700'001, 1).empty()) << cluster;
    EXPECT_TRUE(volume.read_at("/large.txt", ~0ULL, 1).empty()) << cluster;
  }
}

TEST(NtfsVolume, TheExtentsOfAFileAreWhereItsBytesAre) {
  const VolumeFile file({512, 512, 48 << 20});
  const std::string content = numbered_text(300'001);
  file.copy_in(content, "/plain");
  file.copy_in("in the record", "/small");
  file.make_compressed("/compressed", content);
  NtfsVolume volume(file.device(), Access::read_write);
  volume.write("/sparse", "start");
  volume.write_at("/sparse", 10 << 20, as_bytes("end"));
  volume.write_at("/plain", 300'000, as_bytes(numbered_text(50'000)));  // in more than one piece
  const auto extents = volume.extents("/plain");
  ASSERT_TRUE(extents.has_value());
  std::string found;
  for (const Extent& extent : *extents) found += file.bytes(extent.offset, extent.length);
  EXPECT_EQ(found == text_of(volume, "/plain"), true);
  for (const char* path : {"/small", "/compressed", "/sparse"})
    EXPECT_EQ(volume.extents(path), std::nullopt) << path;
  EXPECT_THROW(volume.extents("/none"), Error);
}

TEST(NtfsVolume, AFileOfLessThanNoBytesIsAnError) {
  const VolumeFile file;
  const std::string content = numbered_text(300'001);
  file.copy_in(content, "/file");
  const auto stored = [](std::int64_t size) {
    return std::string(reinterpret_cast<const char*>(&size), sizeof size);
  };
  const std::string size = stored(300'001);
  file.replace_all(size + size, stored(-300'001) + size);  // the second: as far as it is written
  NtfsVolume volume(file.device(), Access::read_only);
  EXPECT_THROW(volume.size("/file"), Error);
  EXPECT_THROW(volume.read_at("/file", 0, 1), Error);
  EXPECT_EQ(volume.extents("/file"), std::nullopt);
}

TEST(NtfsVolume, ADiskWithSectorsOf4096BytesIsRead) {
  const VolumeFile file({4096, 4096, 48 << 20});
  file.copy_in("4Kn", "/file.txt");
  {
    NtfsVolume volume(file.device(), Access::read_write);
    EXPECT_EQ(text_of(volume, "/file.txt"), "4Kn");
    volume.write("/new.txt", "also");
    volume.close();
  }
  EXPECT_EQ(file.content("/new.txt"), "also");
}

TEST(NtfsVolume, APathIsFoundWhateverItsLetterCase) {
  const VolumeFile file;
  file.make_directory("/Windows");
  file.make_directory("/Windows/System32");
  file.copy_in("x", "/Windows/System32/Config.Sys");
  file.copy_in("y", "/Windows/Gr\u00f6\u00dfe");
  NtfsVolume volume(file.read_only_device(), Access::read_only);
  EXPECT_EQ(volume.resolve("/WINDOWS/system32/CONFIG.sys"), "/Windows/System32/Config.Sys");
  EXPECT_EQ(volume.resolve("/Windows/System32/Config.Sys"), "/Windows/System32/Config.Sys");
  EXPECT_EQ(volume.resolve("/windows/gr\u00f6\u00dfe"), "/Windows/Gr\u00f6\u00dfe");
  EXPECT_EQ(volume.resolve("/"), "/");
  EXPECT_EQ(volume.resolve("/Windows/System33"), std::nullopt);
  EXPECT_EQ(volume.resolve("/Windows/System33/below"), std::nullopt);
  EXPECT_EQ(volume.resolve("/Windows/System32/Config.Sys/below"), std::nullopt)
      << "a file is no directory";
}

TEST(NtfsVolume, OfNamesThatDifferOnlyInCaseTheExactOneIsFound) {
  const VolumeFile file;
  file.copy_in("upper", "/NAME");
  file.copy_in("lower", "/name");
  NtfsVolume volume(file.read_only_device(), Access::read_only);
  EXPECT_EQ(volume.resolve("/NAME"), "/NAME");
  EXPECT_EQ(volume.resolve("/name"), "/name");
  EXPECT_EQ(text_of(volume, "/NAME"), "upper");
  EXPECT_EQ(text_of(volume, "/name"), "lower");
}

TEST(NtfsVolume, OfAFileWithAShortNameTheLongOneIsListedAndBothAreFoundAndKept) {
  const VolumeFile file;
  file.copy_in("x", "/Long name.text");
  file.set_dos_name("/Long name.text", "LONGNA~1.TEX");
  NtfsVolume volume(file.device(), Access::read_write);
  const std::vector<DirectoryEntry> all = {{"Long name.text", FileType::regular}};
  EXPECT_EQ(volume.list("/"), all);
  EXPECT_EQ(volume.resolve("/longna~1.tex"), "/LONGNA~1.TEX");
  volume.write("/Long name.text", "changed");
  volume.close();
  EXPECT_NE(file.info("/Long name.text").find("LONGNA~1.TEX"), std::string::npos);
}

TEST(NtfsVolume, ADirectoryOfThousandsIsListedAndSearched) {
  const VolumeFile file;
  {
    NtfsVolume volume(file.device(), Access::read_write);
    volume.make_directory("/Many");
    for (int i = 0; i < 3000; ++i) volume.make_directory(fmt::format("/Many/Directory {}", i));
    volume.close();
  }
  file.expect_consistent();
  NtfsVolume volume(file.read_only_device(), Access::read_only);
  EXPECT_EQ(volume.list("/Many").size(), 3000U);
  for (int i = 0; i < 3000; i += 100)
    EXPECT_EQ(volume.resolve(fmt::format("/many/DIRECTORY {}", i)),
              fmt::format("/Many/Directory {}", i));
  EXPECT_EQ(volume.resolve("/Many/Directory 3000"), std::nullopt);
}

TEST(NtfsVolume, ItsOwnFilesAreNotListedAndNotForUs) {
  const VolumeFile file;
  file.make_directory("/Directory");
  NtfsVolume volume(file.device(), Access::read_write);
  const std::vector<DirectoryEntry> all = {{"Directory", FileType::directory}};
  EXPECT_EQ(volume.list("/"), all);
  EXPECT_EQ(error_of([&] { volume.write("/$MFT", "x"); }), "/$MFT: is not a regular file");
  EXPECT_EQ(error_of([&] { volume.remove("/$LogFile"); }), "/$LogFile: Operation not permitted");
  EXPECT_EQ(error_of([&] { volume.size("/Directory"); }), "/Directory: is not a regular file");
}

TEST(NtfsVolume, CompressedFilesAreReadAndWritten) {
  const VolumeFile file;
  const std::string zeros(300'000, '\0');
  const std::string content = numbered_text(200'000) + zeros + numbered_text(100'001);
  file.make_compressed("/hive", content);
  ASSERT_NE(file.info("/hive").find("COMPRESSED"), std::string::npos);
  std::string expected = content;
  {
    NtfsVolume volume(file.device(), Access::read_write);
    ASSERT_EQ(text_of(volume, "/hive") == content, true);
    const std::string page(4096, 'p');
    for (const std::size_t offset : {std::size_t{0}, std::size_t{65536}, content.size()}) {
      volume.write_at("/hive", offset, as_bytes(page));
      expected.replace(offset, offset == content.size() ? 0 : page.size(), page);
    }
    volume.close();
  }
  EXPECT_EQ(file.content("/hive") == expected, true);
  NtfsVolume volume(file.read_only_device(), Access::read_only);
  EXPECT_EQ(text_of(volume, "/hive") == expected, true);
  file.expect_consistent();
}

TEST(NtfsVolume, AFileInHundredsOfPiecesIsReadAndWritten) {
  const VolumeFile file({4096, 512, 12 << 20});
  constexpr std::size_t cluster = 4096;
  std::string content = numbered_text(400 * cluster);
  {
    NtfsVolume volume(file.device(), Access::read_write);
    // The volume is full of small files; then one of three goes, and only such holes are left.
    const std::string block(cluster, 'b');
    int files = 0;
    while (error_of([&] { volume.write(fmt::format("/{}", files), block); }) == "no error") ++files;
    volume.write("/rest", "");
    while (error_of([&] { volume.write_at("/rest", volume.size("/rest"), as_bytes(block)); }) ==
           "no error") {
    }
    std::mt19937 random(1);  // two files in a row need not lie side by side
    for (int i = 0; i < files; ++i)
      if (random() % 3 == 0) volume.remove(fmt::format("/{}", i));
    volume.write("/pieces", "");
    for (std::size_t at = 0; at < content.size(); at += cluster)
      volume.write_at("/pieces", at, as_bytes(content.substr(at, cluster)));
    volume.close();
  }
  const std::string info = file.info("/pieces");
  const std::string_view fragments = "fragments: ";
  EXPECT_GT(std::stoi(info.substr(info.find(fragments) + fragments.size())), 200) << info;
  EXPECT_EQ(file.content("/pieces") == content, true);
  NtfsVolume volume(file.device(), Access::read_write);
  EXPECT_EQ(text_of(volume, "/pieces") == content, true);
  content.replace(100'000, 5, "HELLO");
  volume.write_at("/pieces", 100'000, as_bytes("HELLO"));
  volume.close();
  EXPECT_EQ(file.content("/pieces") == content, true);
  file.expect_consistent();
}

TEST(NtfsVolume, TheHolesOfASparseFileAreZerosAndCanBeFilled) {
  const VolumeFile file;
  NtfsVolume volume(file.device(), Access::read_write);
  volume.write("/sparse", "start");
  volume.write_at("/sparse", 30 << 20, as_bytes("end"));
  EXPECT_EQ(volume.size("/sparse"), (30U << 20) + 3);
  std::string expected = "start" + std::string((30U << 20) - 5, '\0') + "end";
  EXPECT_EQ(text_of(volume, "/sparse") == expected, true);
  volume.write_at("/sparse", 10 << 20, as_bytes("middle"));
  volume.close();
  expected.replace(10 << 20, 6, "middle");
  EXPECT_NE(file.info("/sparse").find("SPARSE"), std::string::npos);
  EXPECT_EQ(file.content("/sparse") == expected, true);
  file.expect_consistent();
}

// ---- names that are none

TEST(NtfsVolume, ANameWithANulOrASlashIsDamageAndNotAnotherName) {
  using namespace std::string_view_literals;
  const std::string_view name = "S\0Y\0S\0T\0E\0M\0-\0X\0"sv;
  for (const std::string_view unit : {"\0\0"sv, "/\0"sv}) {
    const VolumeFile file;
    file.copy_in("x", "/SYSTEM-X");
    file.replace_all(
        name, std::string(name.substr(0, 12)) + std::string(unit) + "X" + std::string(1, '\0'));
    NtfsVolume volume(file.read_only_device(), Access::read_only);
    EXPECT_EQ(error_of([&] { volume.list("/"); }), "/: a name has a slash or a NUL in it");
    EXPECT_EQ(error_of([&] { volume.size("/SYSTEM"); }), "/SYSTEM: No such file or directory");
  }
}

// ---- writing

TEST(NtfsVolume, WhatIsWrittenIsReadByOthers) {
  for (const unsigned cluster : {512U, 4096U, 65536U}) {
    const VolumeFile file({cluster, 512, 48 << 20});
    const std::string large = numbered_text(300'000);
    {
      NtfsVolume volume(file.device(), Access::read_write);
      volume.make_directory("/Windows");
      volume.make_directory("/Windows/kvmnet");
      volume.write("/Windows/kvmnet/small.cmd", "@echo off\r\n");
      volume.write("/Windows/kvmnet/large.bin", large);
      volume.write("/Windows/kvmnet/empty", "");
      volume.write("/Windows/kvmnet/shorter", large);
      volume.write("/windows/KVMNET/SHORTER", "short");
      volume.write("/Windows/kvmnet/gone", "gone");
      volume.remove("/Windows/kvmnet/gone");
      volume.close();
    }
    EXPECT_EQ(file.content("/Windows/kvmnet/small.cmd"), "@echo off\r\n");
    EXPECT_EQ(file.content("/Windows/kvmnet/large.bin") == large, true);
    EXPECT_EQ(file.content("/Windows/kvmnet/empty"), "");
    EXPECT_EQ(file.content("/Windows/kvmnet/shorter"), "short");
    file.expect_consistent();
    NtfsVolume volume(file.read_only_device(), Access::read_only);
    EXPECT_EQ(volume.list("/Windows/kvmnet").size(), 4U);
    EXPECT_EQ(volume.resolve("/Windows/kvmnet/gone"), std::nullopt);
  }
}

TEST(NtfsVolume, AFileIsOverwrittenInPlace) {
  const VolumeFile file;
  std::string content = numbered_text(500'000);
  file.copy_in(content, "/hive");
  const auto place_of = [](const std::string& info) { return info.substr(info.find("Runlist:")); };
  const std::string place = place_of(file.info("/hive"));
  NtfsVolume volume(file.device(), Access::read_write);
  volume.write_at("/hive", 4096, as_bytes("in place"));
  volume.close();
  content.replace(4096, 8, "in place");
  EXPECT_EQ(file.content("/hive") == content, true);
  EXPECT_EQ(place_of(file.info("/hive")), place);
}

// The highest ones are beyond those that libntfs-3g knows.
TEST(NtfsVolume, AttributesThatNobodyKnowsAreKept) {
  constexpr std::uint32_t unknown = 0xC0000000;
  constexpr std::uint32_t archive = 0x20;
  const VolumeFile file;
  file.copy_in("x", "/file");
  file.set_attributes("/file", unknown);
  ASSERT_EQ(file.attributes("/file"), unknown);
  NtfsVolume volume(file.device(), Access::read_write);
  EXPECT_EQ(text_of(volume, "/file"), "x");
  volume.write_at("/file", 0, as_bytes("y"));
  volume.close();
  EXPECT_EQ(file.attributes("/file"), unknown | archive);
}

// By its name in what ntfsinfo says; the first is that of the record, which is the one that counts.
std::time_t time_in(const std::string& info, const std::string& name) {
  const std::size_t at = info.find(name + ":");
  std::tm broken_down{};
  const std::string rest = at == std::string::npos ? "" : info.substr(at + name.size() + 1, 40);
  std::istringstream words(rest);
  words >> std::get_time(&broken_down, "%a %b %d %H:%M:%S %Y");
  return words ? ::timegm(&broken_down) : 0;
}

TEST(NtfsVolume, ChangesCarryTheTimeOfNow) {
  constexpr std::time_t a_while = 120;
  const VolumeFile file;
  file.copy_in("old", "/file");
  const std::string past = "File Creation Time";
  const std::time_t created = time_in(file.info("/file"), past);
  ASSERT_GT(created, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  const std::time_t start = std::time(nullptr);
  NtfsVolume volume(file.device(), Access::read_write);
  volume.write_at("/file", 0, as_bytes("new"));
  volume.write("/new", "x");
  volume.make_directory("/directory");
  volume.close();
  const auto is_now = [&](const std::string& path, const std::string& name) {
    const std::time_t time = time_in(file.info(path), name);
    return time >= start && time <= start + a_while;
  };
  EXPECT_EQ(time_in(file.info("/file"), past), created);
  for (const char* name : {"File Altered Time", "MFT Changed Time"})
    for (const char* path : {"/file", "/new", "/directory", "/"})
      EXPECT_TRUE(is_now(path, name)) << path << ' ' << file.info(path);
  for (const char* name : {"File Creation Time", "Last Accessed Time"})
    for (const char* path : {"/new", "/directory"})
      EXPECT_TRUE(is_now(path, name)) << path << ' ' << file.info(path);
}

TEST(NtfsVolume, WhatIsNewHasWhatItsDirectoryHandsDown) {
  const VolumeFile file;
  NtfsVolume volume(file.device(), Access::read_write);
  volume.make_directory("/Private");
  const std::string of_directory = ntfs::private_descriptor(ntfs::Kind::directory);
  volume.set_descriptor("/Private", of_directory);
  EXPECT_EQ(volume.descriptor("/Private"), of_directory);
  volume.write("/Private/file", "x");
  volume.make_directory("/Private/below");
  volume.close();
  NtfsVolume again(file.device(), Access::read_write);
  EXPECT_EQ(again.descriptor("/Private"), of_directory);
  // The same access for the same two, now inherited; nobody else has any.
  const std::string handed_down = again.descriptor("/Private/file");
  const std::string of_file = ntfs::private_descriptor(ntfs::Kind::file);
  const auto entry_of = [](const std::string& descriptor, std::size_t which) {
    constexpr std::size_t first = 28;
    return descriptor.substr(first + which * 20 + 4, which == 0 ? 16 : 20);
  };
  EXPECT_EQ(handed_down.size(), of_file.size());
  for (const std::size_t which : {0U, 1U})
    EXPECT_EQ(entry_of(handed_down, which), entry_of(of_file, which));
  again.set_descriptor("/Private/file", of_file);
  EXPECT_EQ(again.descriptor("/Private/file"), of_file);
  again.close();
  file.expect_consistent();
}

// So that what is written under the name again is a file of its own.
TEST(NtfsVolume, AFileThatHasAnotherNameKeepsIt) {
  const VolumeFile file;
  file.copy_in("theirs", "/theirs.txt");
  file.make_link("/ours.txt", "/theirs.txt");
  {
    NtfsVolume volume(file.device(), Access::read_write);
    EXPECT_EQ(text_of(volume, "/ours.txt"), "theirs");
    volume.remove("/ours.txt");
    EXPECT_EQ(volume.resolve("/ours.txt"), std::nullopt);
    volume.write("/ours.txt", "ours");
    volume.close();
  }
  EXPECT_EQ(file.content("/theirs.txt"), "theirs");
  EXPECT_EQ(file.content("/ours.txt"), "ours");
  file.expect_consistent();
}

TEST(NtfsVolume, WhatCannotBeDoneIsSaid) {
  const VolumeFile file;
  NtfsVolume volume(file.device(), Access::read_write);
  volume.make_directory("/Directory");
  volume.write("/Directory/file", "x");
  EXPECT_EQ(error_of([&] { volume.make_directory("/directory"); }), "/directory: File exists");
  EXPECT_EQ(error_of([&] { volume.remove("/Directory"); }), "/Directory: Directory not empty");
  EXPECT_EQ(error_of([&] { volume.remove("/none"); }), "/none: No such file or directory");
  EXPECT_EQ(error_of([&] { volume.read_at("/none", 0, 1); }), "/none: No such file or directory");
  EXPECT_EQ(error_of([&] { volume.write_at("/none", 0, as_bytes("x")); }),
            "/none: No such file or directory");
  EXPECT_EQ(error_of([&] { volume.list("/Directory/file"); }), "/Directory/file: Not a directory");
  EXPECT_EQ(error_of([&] { volume.write("/no/such", "x"); }), "/no/: No such file or directory");
  EXPECT_EQ(error_of([&] { volume.write("/" + std::string(256, 'n'), "x"); }),
            std::string(256, 'n') + ": File name too long");
  EXPECT_EQ(error_of([&] { volume.resolve("relative"); }), "relative: is no path");
}

TEST(NtfsVolume, AFullVolumeIsAnError) {
  const VolumeFile file({4096, 512, 4 << 20});
  NtfsVolume volume(file.device(), Access::read_write);
  EXPECT_EQ(error_of([&] { volume.write("/large", std::string(8 << 20, 'x')); }),
            "/large: No space left on device");
}

// ---- what must not be written

TEST(NtfsVolume, WhatIsOpenedForReadingIsNotWritten) {
  const VolumeFile file;
  file.copy_in("x", "/file");
  NtfsVolume volume(file.device(), Access::read_only);
  const std::vector<std::function<void()>> steps = {
      [&] { volume.write_at("/file", 0, as_bytes("y")); },
      [&] { volume.write("/file", "y"); },
      [&] { volume.make_directory("/new"); },
      [&] { volume.remove("/file"); },
      [&] { volume.set_descriptor("/file", ntfs::private_descriptor(ntfs::Kind::file)); },
  };
  for (const auto& step : steps)
    EXPECT_NE(error_of(step).find("Read-only file system"), std::string::npos);
  volume.close();
  EXPECT_EQ(file.content("/file"), "x");
}

TEST(NtfsVolume, ACleanVolumeIsClean) {
  EXPECT_EQ(NtfsVolume::state(VolumeFile().device()), NtfsState::clean);
}

TEST(NtfsVolume, AHibernatedVolumeIsNotOpenedForWriting) {
  const auto with_hiberfil = [](const std::string& start, std::size_t size) {
    const VolumeFile file;
    file.copy_in(start + std::string(size - start.size(), '\0'), "/hiberfil.sys");
    const NtfsState state = NtfsVolume::state(file.device());
    EXPECT_EQ(error_of([&] { NtfsVolume(file.device(), Access::read_write); }) == "no error",
              state == NtfsState::clean);
    EXPECT_EQ(NtfsVolume(file.device(), Access::read_only).list("/").size(), 1U);
    return state;
  };
  EXPECT_EQ(with_hiberfil("hibr", 65536), NtfsState::hibernated);
  EXPECT_EQ(with_hiberfil("HIBR", 65536), NtfsState::hibernated);
  EXPECT_EQ(with_hiberfil("hibr", 100), NtfsState::hibernated);
  EXPECT_EQ(with_hiberfil("RSTR", 65536), NtfsState::clean);
  EXPECT_EQ(with_hiberfil("", 65536), NtfsState::clean);
}

TEST(NtfsVolume, AVolumeThatWindowsIsToCheckIsNotOpenedForWriting) {
  constexpr std::uint16_t dirty = 1;
  const VolumeFile file;
  file.set_volume_flags(dirty);
  EXPECT_EQ(NtfsVolume::state(file.device()), NtfsState::unclean);
  EXPECT_EQ(error_of([&] { NtfsVolume(file.device(), Access::read_write); }),
            "opening the NTFS: it is to be checked first");
  NtfsVolume(file.device(), Access::read_only).close();
}

TEST(NtfsVolume, AMirrorThatDiffersIsDamage) {
  const VolumeFile file;
  const std::string boot = file.bytes(0, 512);
  std::uint64_t cluster = 0;
  for (std::size_t i = 8; i-- > 0;)
    cluster = cluster << 8 | static_cast<unsigned char>(boot[0x38 + i]);
  file.overwrite(cluster * 4096 + 0x18, "\x77");
  EXPECT_EQ(NtfsVolume::state(file.device()), NtfsState::damaged);
  EXPECT_EQ(error_of([&] { NtfsVolume(file.device(), Access::read_only); }),
            "opening the NTFS: Input/output error");
}

TEST(NtfsVolume, WhatIsNoNtfsOrEndsTooEarlyIsDamaged) {
  const VolumeFile file;
  BlockDevice shorter = file.device();
  shorter.size /= 2;
  EXPECT_EQ(NtfsVolume::state(shorter), NtfsState::damaged);
  BlockDevice empty = file.device();
  empty.size = 0;
  EXPECT_EQ(NtfsVolume::state(empty), NtfsState::damaged);
  file.overwrite(3, "FAT     ");
  EXPECT_EQ(NtfsVolume::state(file.device()), NtfsState::damaged);
}

TEST(NtfsVolume, AnErrorOfTheDiskIsNotTakenForAMissingFile) {
  const VolumeFile file;
  {
    NtfsVolume volume(file.device(), Access::read_write);
    volume.make_directory("/Many");
    for (int i = 0; i < 200; ++i) volume.make_directory(fmt::format("/Many/Directory {}", i));
    volume.close();
  }
  bool broken = false;
  BlockDevice device = file.read_only_device();
  device.read_at = [&broken, read = device.read_at](std::uint64_t offset,
                                                    std::span<std::byte> into) {
    if (broken) throw Error("the disk is gone");
    read(offset, into);
  };
  NtfsVolume volume(device, Access::read_only);
  broken = true;
  const std::string problem = error_of([&] { volume.resolve("/Many/Directory 77"); });
  EXPECT_NE(problem.find("Input/output error"), std::string::npos) << problem;
}

}  // namespace
}  // namespace kvmnet::direct

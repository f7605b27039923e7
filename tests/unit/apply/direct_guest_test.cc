// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/direct_guest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <set>

#include "direct/error.h"
#include "direct/ntfs_volume.h"
#include "src/apply/find_windows.h"
#include "src/disk/changes.h"
#include "src/disk/qemu_commit.h"
#include "src/support/error.h"
#include "src/support/refusal.h"
#include "src/support/subprocess.h"
#include "src/wall/sandbox.h"
#include "tests/unit/direct/volume_file.h"
#include "tests/unit/disk/disk_files.h"
#include "tests/unit/wall/operations.h"

namespace kvmnet {
namespace {

using guestfs::Access;
using guestfs::FileType;
using test::numbered_text;

constexpr std::uint64_t mebibyte = 1 << 20;

// A raw disk with one NTFS, from the second MiB on, and an overlay over it.
class DirectGuestTest : public test::DiskTest {
 protected:
  DirectGuestTest() {
    run_checked({"sh", "-c",
                 "truncate -s 64M \"$1\" && printf '%s' 'start=1MiB, size=48MiB, type=7' | "
                 "/sbin/sfdisk -q \"$1\"",
                 "sh", image_});
    volume_.make_directory("/Windows");
    volume_.make_directory("/Windows/System32");
    volume_.copy_in(hive_, "/Windows/System32/SYSTEM");
    put_volume();
  }

  // Also after something has been done to it.
  void put_volume() {
    run_checked({"dd", "status=none", "if=" + volume_.path(), "of=" + image_, "bs=1M", "seek=1",
                 "conv=notrunc"});
  }
  void overwrite(std::uint64_t offset, std::string_view bytes) {
    const Fd file = open_file(image_, O_WRONLY);
    write_at(file, offset, std::as_bytes(std::span(bytes)));
  }

  std::unique_ptr<disk::ServedDisk> serve() {
    ::unlink(overlay_.c_str());
    run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image_, overlay_});
    const std::vector<landlock::Rule> rules = {{overlay_, landlock::Access::read_write},
                                               {image_, landlock::Access::read}};
    return std::make_unique<disk::ServedDisk>(
        disk::overlay_options(overlay_, image_, disk::Format::raw), disk::ServedDisk::Writes::kept,
        rules);
  }

  // Found by who has seen none of the writes.
  void expect_all_of_overlay(const std::optional<std::vector<disk::Change>>& changes) const {
    disk::ServedDisk after(disk::overlay_options(overlay_, image_, disk::Format::raw));
    disk::ServedDisk before(disk::image_options(image_, disk::Format::raw));
    const auto expected = disk::compare(after, before);
    ASSERT_TRUE(changes.has_value());
    ASSERT_EQ(changes->size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(changes->at(i).range, expected[i].range);
      EXPECT_EQ(changes->at(i).after, expected[i].after);
      EXPECT_EQ(changes->at(i).sectors, expected[i].sectors);
      EXPECT_EQ(changes->at(i).before, expected[i].before);
    }
  }

  // The volume as the overlay shows it.
  std::string content(const std::string& file) {
    run_checked({"qemu-img", "convert", "-O", "raw", overlay_, path("merged")});
    run_checked({"sh", "-c", "dd status=none bs=1M skip=1 count=48 if=\"$1\" of=\"$2\"", "sh",
                 path("merged"), volume_.path()});
    volume_.expect_consistent();
    return volume_.content(file);
  }

  const std::string hive_ = numbered_text(9'000'000);
  const test::VolumeFile volume_;
  const std::string image_ = path("image");
  const std::string overlay_ = path("overlay");
};

TEST_F(DirectGuestTest, AGuestsFilesAreReadWrittenAndSeenByOthers) {
  DirectGuest guest(serve());
  const std::vector<guestfs::Volume> volumes = {{"/dev/sda1", guestfs::Content::ntfs}};
  ASSERT_EQ(guest.volumes(), volumes);
  EXPECT_FALSE(guest.is_for_appliance(Reason::no_windows, true));
  EXPECT_EQ(guest.ntfs_state("/dev/sda1"), guestfs::NtfsState::clean);
  guest.mount("/dev/sda1", Access::read_write);
  const std::string system = "/Windows/System32/SYSTEM";
  EXPECT_EQ(guest.resolve("/windows/system32/system"), system);
  EXPECT_EQ(guest.resolve("/windows/none"), std::nullopt);
  EXPECT_EQ(guest.size(system), hive_.size());
  const Fd file = make_memory_file("hive");
  guest.download(system, file.get());
  const auto bytes = read_whole(file);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == hive_, true);
  // A host's file may be on a disk that has no room for it.
  const Fd on_disk = open_file(path("hive"), O_RDWR | O_CREAT, 0600);
  guest.download(system, on_disk.get());
  EXPECT_EQ(read_whole(on_disk) == bytes, true);
  const auto bytes_of = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  EXPECT_TRUE(guest.has_content(system, bytes_of(hive_), {}));
  std::string other = hive_;
  other.back() = '!';
  EXPECT_FALSE(guest.has_content(system, bytes_of(other), {{hive_.size() - 1, 1}}));
  EXPECT_FALSE(guest.has_content(system, bytes_of(hive_).first(hive_.size() - 1), {}));
  EXPECT_TRUE(guest.is_writable("/Windows"));
  guest.make_directory("/Windows/kvmnet");
  guest.write("/Windows/kvmnet/firstboot.cmd", "@echo off\r\n");
  EXPECT_TRUE(guest.has_content("/Windows/kvmnet/firstboot.cmd", bytes_of("@echo off\r\n"), {}));
  EXPECT_FALSE(guest.has_content("/Windows/kvmnet/firstboot.cmd", bytes_of("@echo on!\r\n"), {}));
  guest.write("/Windows/kvmnet/gone", std::string(300'000, 'x'));  // past the cache
  guest.remove("/Windows/kvmnet/gone");
  EXPECT_FALSE(guest.is_private("/Windows/kvmnet", FileType::directory));
  guest.set_private("/Windows/kvmnet", FileType::directory);
  guest.set_private("/Windows/kvmnet/firstboot.cmd", FileType::regular);
  guest.write_at(system, 5'000'000, std::as_bytes(std::span(std::string_view("patched"))));
  std::string patched = hive_;
  patched.replace(5'000'000, 7, "patched");
  EXPECT_TRUE(guest.has_content(system, bytes_of(patched), {{5'000'000, 7}})) << "still mounted";
  guest.unmount();
  guest.mount("/dev/sda1", Access::read_only);
  EXPECT_TRUE(guest.is_private("/Windows/kvmnet", FileType::directory));
  EXPECT_TRUE(guest.is_private("/Windows/kvmnet/firstboot.cmd", FileType::regular));
  EXPECT_FALSE(guest.is_private("/Windows/kvmnet/firstboot.cmd", FileType::directory));
  const std::vector<guestfs::DirectoryEntry> entries = {{"firstboot.cmd", FileType::regular}};
  EXPECT_EQ(guest.list("/Windows/kvmnet"), entries);
  EXPECT_THROW(guest.write("/Windows/new", "x"), guestfs::Error);
  EXPECT_TRUE(guest.has_content(system, bytes_of(patched), {{5'000'000, 7}}));
  const auto changes = guest.changes();
  guest.finish();
  expect_all_of_overlay(changes);
  EXPECT_EQ(content(system) == patched, true);
  EXPECT_EQ(content("/Windows/kvmnet/firstboot.cmd"), "@echo off\r\n");
}

// What is not in the overlay is not read again; all that was to be changed has to be in it.
TEST_F(DirectGuestTest, OfAChangedFileWhatIsInTheOverlayIsRead) {
  DirectGuest guest(serve());
  guest.volumes();
  guest.mount("/dev/sda1", Access::read_write);
  const std::string system = "/Windows/System32/SYSTEM";
  const Fd file = make_memory_file("hive");
  guest.download(system, file.get());
  std::string wanted = hive_;
  for (const std::size_t at : {0U, 4'000'000U, 8'999'000U}) wanted.replace(at, 7, "changed");
  wanted += std::string(300'000, 'x');
  const auto bytes = std::as_bytes(std::span(wanted));
  const std::vector<guestfs::FilePart> changed = {{0, 7}, {4'000'000, 7}, {8'999'000, 301'000}};
  for (const guestfs::FilePart& part : changed)
    guest.write_at(system, part.offset, bytes.subspan(part.offset, part.length));
  guest.unmount();
  guest.mount("/dev/sda1", Access::read_only);
  EXPECT_TRUE(guest.has_content(system, bytes, changed));
  for (std::size_t at : {1U, 4'000'001U, 9'100'000U, 9'299'999U}) {
    std::string other = wanted;
    other[at] = '!';
    EXPECT_FALSE(guest.has_content(system, std::as_bytes(std::span(other)), changed)) << at;
  }
  // Far from all that was written.
  EXPECT_FALSE(guest.has_content(system, bytes, {{0, 7}, {2'000'000, 1}}));
  EXPECT_FALSE(guest.has_content(system, bytes, {{6'000'000, 4096}}));
}

// A hive need not lie on its volume as it is, nor in one piece.
TEST_F(DirectGuestTest, HivesThatLieOtherwiseAreReadAndWritten) {
  const std::string directory = "/Windows/System32/";
  volume_.make_compressed(directory + "compressed", hive_.substr(0, 900'000));
  volume_.copy_in("in the record of the file", directory + "resident");
  {
    direct::NtfsVolume volume(volume_.device(), direct::Access::read_write);
    volume.write(directory + "sparse", "start");
    volume.write_at(directory + "sparse", 3 << 20, std::as_bytes(std::span(hive_).first(5000)));
    // Small files, and what fills the rest; then every other of them goes, and only holes are left.
    const std::string_view cluster = std::string_view(hive_).substr(0, 4096);
    const auto small = [](std::size_t number) { return fmt::format("/Windows/{}", number); };
    for (std::size_t number = 0; number < 200; ++number) volume.write(small(number), cluster);
    volume.write("/rest", "");
    const auto fill = [&](std::size_t piece) {
      try {
        const auto bytes = std::as_bytes(std::span(hive_).first(piece));
        while (true) volume.write_at("/rest", volume.size("/rest"), bytes);
      } catch (const direct::Error&) {
      }
    };
    fill(1 << 20);
    fill(cluster.size());
    for (std::size_t number = 0; number < 200; number += 2) volume.remove(small(number));
    volume.write(directory + "fragmented", "");
    for (std::size_t at = 0; at < 40 * cluster.size(); at += cluster.size())
      volume.write_at(directory + "fragmented", at,
                      std::as_bytes(std::span(hive_).subspan(at, cluster.size())));
    volume.remove("/rest");
    volume.close();
  }
  const std::string info = volume_.info(directory + "fragmented");
  const std::string_view fragments = "fragments: ";
  ASSERT_GT(std::stoi(info.substr(info.find(fragments) + fragments.size())), 1) << info;
  put_volume();
  DirectGuest guest(serve());
  guest.volumes();
  const auto round = [&](const std::string& path) {
    guest.mount("/dev/sda1", Access::read_write);
    const Fd file = make_memory_file("hive");
    guest.download(path, file.get());
    auto bytes = read_whole(file);
    EXPECT_EQ(bytes.size(), guest.size(path));
    const std::size_t at = bytes.size() / 2;
    const std::string_view change = "changed";
    std::memcpy(bytes.data() + at, change.data(), change.size());
    guest.write_at(path, at, std::as_bytes(std::span(change)));
    guest.unmount();
    guest.mount("/dev/sda1", Access::read_only);
    EXPECT_TRUE(guest.has_content(path, bytes, {{at, change.size()}}));
    bytes[at] ^= std::byte{1};
    EXPECT_FALSE(guest.has_content(path, bytes, {{at, change.size()}}));
    bytes[at] ^= std::byte{1};
    guest.unmount();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  std::map<std::string, std::string> expected;
  for (const char* name : {"compressed", "resident", "sparse", "fragmented"}) {
    SCOPED_TRACE(name);
    expected[directory + name] = round(directory + name);
  }
  const auto changes = guest.changes();
  guest.finish();
  expect_all_of_overlay(changes);
  for (const auto& [path, content] : expected)
    EXPECT_EQ(this->content(path) == content, true) << path;
}

TEST_F(DirectGuestTest, ErrorsAreOfTheSeamAndTheGuestCanStillBeUsed) {
  DirectGuest guest(serve());
  EXPECT_THROW(guest.mount("/dev/sda1", Access::read_only), guestfs::Error) << "not looked for yet";
  guest.volumes();
  EXPECT_THROW(guest.mount("/dev/sda2", Access::read_only), guestfs::Error);
  EXPECT_THROW(guest.list("/"), guestfs::Error) << "nothing is mounted";
  guest.mount("/dev/sda1", Access::read_only);
  EXPECT_THROW(guest.read_at("/none", 0, 1), guestfs::Error);
  EXPECT_EQ(guest.list("/").size(), 1U);
}

TEST_F(DirectGuestTest, LogicalPartitionsAreFound) {
  run_checked({"sh", "-c",
               "printf '%s\\n' 'start=1MiB, size=48MiB, type=7' 'start=50MiB, size=12MiB, type=5' "
               "'start=51MiB, size=2MiB, type=7' 'start=54MiB, size=2MiB, type=7' | "
               "/sbin/sfdisk -q \"$1\"",
               "sh", image_});
  overwrite(54 * mebibyte + 3, "-FVE-FS-");
  DirectGuest guest(serve());
  const std::vector<guestfs::Volume> volumes = {{"/dev/sda1", guestfs::Content::ntfs},
                                                {"/dev/sda2", guestfs::Content::other},
                                                {"/dev/sda5", guestfs::Content::other},
                                                {"/dev/sda6", guestfs::Content::bitlocker}};
  EXPECT_EQ(guest.volumes(), volumes);
}

// Of all that there are.
std::set<std::string> reasons_for_appliance(const DirectGuest& guest, bool has_keys) {
  std::set<std::string> codes;
  const auto last = static_cast<int>(Reason::changed_since_patch);
  for (int number = 0; number <= last; ++number) {
    const auto reason = static_cast<Reason>(number);
    if (guest.is_for_appliance(reason, has_keys)) codes.emplace(code(reason));
  }
  return codes;
}

TEST_F(DirectGuestTest, LayoutsThatOnlyAnApplianceReadsAreTold) {
  overwrite(mebibyte + 3, std::string_view("ReFS\0\0\0\0", 8));
  DirectGuest guest(serve());
  const std::vector<guestfs::Volume> volumes = {{"/dev/sda1", guestfs::Content::other}};
  EXPECT_EQ(guest.volumes(), volumes);
  for (const bool has_keys : {true, false})
    EXPECT_EQ(reasons_for_appliance(guest, has_keys),
              (std::set<std::string>{"no-windows", "no-such-root", "encrypted-volume"}));
}

void expect_for_appliance(DirectGuest& guest, const std::string& volume) {
  try {
    find_windows(guest, {{volume, "key"}});
    ADD_FAILURE() << volume << ": not refused";
  } catch (const Refused& e) {
    EXPECT_EQ(e.refusal.reason, Reason::encrypted_volume) << volume;
    EXPECT_NE(e.refusal.message.find("only an appliance opens"), std::string::npos);
  }
}

TEST_F(DirectGuestTest, OnlyAnApplianceOpensEncryptedVolumesButOverrulesNoRefusal) {
  overwrite(mebibyte + 3, std::string_view("-FVE-FS-", 8));
  DirectGuest guest(serve());
  const std::vector<guestfs::Volume> volumes = {{"/dev/sda1", guestfs::Content::bitlocker}};
  EXPECT_EQ(guest.volumes(), volumes);
  expect_for_appliance(guest, "all");
  EXPECT_EQ(reasons_for_appliance(guest, true), std::set<std::string>{"encrypted-volume"});
  EXPECT_EQ(reasons_for_appliance(guest, false), std::set<std::string>{});
}

// The Windows that is meant may be the one that only an appliance opens.
TEST_F(DirectGuestTest, AKeyForAnEncryptedVolumeIsNotIgnoredForAWindowsBesideIt) {
  run_checked({"sh", "-c",
               "printf '%s\\n' 'start=1MiB, size=48MiB, type=7' 'start=54MiB, size=2MiB, type=7' | "
               "/sbin/sfdisk -q \"$1\"",
               "sh", image_});
  overwrite(54 * mebibyte + 3, "-FVE-FS-");
  DirectGuest guest(serve());
  ASSERT_EQ(guest.volumes().size(), 2U);
  for (const char* key : {"all", "", "/dev/sda2", "01234567-89ab-cdef-0123-456789abcdef"})
    expect_for_appliance(guest, key);
  EXPECT_NO_THROW(find_windows(guest, {{"/dev/sda1", "key"}}));
  EXPECT_NO_THROW(find_windows(guest));
}

// ---- a child that the disk has got hold of

class HostileDiskTest : public DirectGuestTest {
 protected:
  // What the child does whatever it is asked.
  void bring_to(const std::string& operation) {
    overwrite(0, std::string(test::brings_to) + operation + '\0');
  }
  std::string refusal_of(const std::function<void()>& step) {
    try {
      step();
    } catch (const Refused& e) {
      return std::string(code(e.refusal.reason)) + ": " + e.refusal.message;
    }
    return "no refusal";
  }
};

TEST_F(HostileDiskTest, ACrashIsARefusal) {
  bring_to("abort");
  DirectGuest guest(serve());
  const std::string refusal = refusal_of([&] { guest.volumes(); });
  EXPECT_EQ(refusal.find("damaged-ntfs: the file system crashes the process"), 0U) << refusal;
}

TEST_F(HostileDiskTest, WhatNeedsTooMuchMemoryIsARefusal) {
  if (wall::sanitized) return;  // has no such limit
  bring_to("allocate 2 GiB");
  DirectGuest guest(serve());
  const std::string refusal = refusal_of([&] { guest.volumes(); });
  EXPECT_EQ(refusal.find("damaged-ntfs: "), 0U) << refusal;
  EXPECT_NE(refusal.find("ran out of memory"), std::string::npos) << refusal;
}

TEST_F(HostileDiskTest, ASystemCallThatItMustNotMakeIsARefusal) {
  bring_to("forbidden call");
  DirectGuest guest(serve());
  const std::string refusal = refusal_of([&] { guest.volumes(); });
  EXPECT_NE(refusal.find("made a forbidden system call"), std::string::npos) << refusal;
}

TEST_F(HostileDiskTest, NothingIsTakenFromItThatCannotBe) {
  for (const char* lie : {"volume of no kind", "volume that is cut short", "volumes without end"}) {
    bring_to(lie);
    DirectGuest guest(serve());
    EXPECT_THROW(guest.volumes(), std::exception) << lie;
  }
  for (const char* lie : {"volume behind the disk", "volume that ends before it begins"}) {
    bring_to(std::string(lie) + "|direct volumes");
    DirectGuest guest(serve());
    ASSERT_EQ(guest.volumes().size(), 1U) << lie;
    EXPECT_THROW(guest.ntfs_state("/dev/sda1"), guestfs::Error) << lie;
    EXPECT_THROW(guest.mount("/dev/sda1", Access::read_only), guestfs::Error) << lie;
  }
}

TEST_F(HostileDiskTest, NoFileIsReadFromWhereItCannotLie) {
  for (const char* lie :
       {"file behind its volume", "file far behind its volume", "file without end"}) {
    bring_to(std::string(lie) + "|direct extents");
    DirectGuest guest(serve());
    ASSERT_EQ(guest.volumes().size(), 1U);
    guest.mount("/dev/sda1", Access::read_only);
    const Fd file = make_memory_file("hive");
    EXPECT_THROW(guest.download("/Windows/System32/SYSTEM", file.get()), guestfs::Error) << lie;
  }
}

TEST_F(HostileDiskTest, NothingIsWrittenUnlessAVolumeIsMountedForWriting) {
  bring_to("write everywhere");
  DirectGuest guest(serve());
  EXPECT_ANY_THROW(guest.volumes());
  guest.finish();
  EXPECT_EQ(run({"qemu-img", "compare", "-f", "raw", "-F", "qcow2", image_, overlay_}).status, 0);
}

TEST_F(HostileDiskTest, OnlyTheVolumeThatIsOpenForWritingIsWritten) {
  bring_to("write everywhere|direct state");
  DirectGuest guest(serve());
  ASSERT_EQ(guest.volumes().size(), 1U);
  EXPECT_ANY_THROW(guest.ntfs_state("/dev/sda1"));
  guest.finish();
  constexpr std::uint64_t cluster = 65536;
  const std::vector<disk::Range> written = {{mebibyte, cluster}};
  disk::ServedDisk changed(disk::overlay_options(overlay_, image_, disk::Format::raw));
  EXPECT_EQ(changed.allocated(), written);
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/find_windows.h"

#include <gtest/gtest.h>

#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

using test::FakeGuest;
using Roots = std::vector<WindowsRoot>;

// The search needs names only.
void add_windows(FakeGuest::Volume& volume, const std::string& root,
                 const std::string& config = "/System32/config",
                 const std::string& system = "SYSTEM", const std::string& software = "SOFTWARE") {
  volume.files[root + config + "/" + system] = "";
  volume.files[root + config + "/" + software] = "";
}

// Searches, and checks what every search is to keep to.
Search search(FakeGuest& guest) {
  Search found = find_windows(guest);
  EXPECT_FALSE(guest.is_mounted());
  EXPECT_TRUE(guest.changes().empty());
  return found;
}

std::string word(const std::variant<WindowsRoot, Refusal>& choice) {
  if (const auto* refusal = std::get_if<Refusal>(&choice))
    return std::string(code(refusal->reason));
  const auto& root = std::get<WindowsRoot>(choice);
  return root.device + root.directory;
}

std::string message(const std::variant<WindowsRoot, Refusal>& choice) {
  return std::get<Refusal>(choice).message;
}

TEST(FindWindows, WhateverItsDirectoryIsCalled) {
  const struct {
    const char* root;
    const char* config;
    const char* system;
    const char* software;
  } table[] = {
      {"/Windows", "/System32/config", "SYSTEM", "SOFTWARE"},
      {"/WINDOWS", "/system32/config", "system", "software"},
      {"/windows", "/SYSTEM32/CONFIG", "System", "Software"},
      {"/WINNT", "/system32/config", "SYSTEM", "software"},
      {"/Win 7 (x64)", "/System32/Config", "SYSTEM", "SOFTWARE"},
      {"/W\xC3\xADndows", "/System32/config", "SYSTEM", "SOFTWARE"},
  };
  for (const auto& row : table) {
    FakeGuest guest;
    add_windows(guest.add("/dev/sda2"), row.root, row.config, row.system, row.software);
    EXPECT_EQ(search(guest).roots, (Roots{{"/dev/sda2", row.root}}));
  }
}

TEST(FindWindows, AsksForTheHivesAndNothingElse) {
  // A CompactOS guest, whose cmd.exe and ntoskrnl.exe ntfs-3g does not show.
  FakeGuest guest;
  add_windows(guest.add("/dev/sda1"), "/Windows");
  EXPECT_EQ(search(guest).roots.size(), 1U);
}

TEST(FindWindows, NeedsBothHivesInADirectory) {
  FakeGuest guest;
  auto& volume = guest.add("/dev/sda1");
  volume.files["/Windows/System32/config/SYSTEM"] = "";
  volume.files["/Other/System32/config/SOFTWARE"] = "";
  volume.files["/System32/config/SYSTEM"] = "";
  volume.files["/System32/config/SOFTWARE"] = "";
  volume.files["/backup/Windows/System32/config/SYSTEM"] = "";
  volume.files["/backup/Windows/System32/config/SOFTWARE"] = "";
  volume.files["/pagefile.sys"] = "";
  EXPECT_TRUE(search(guest).roots.empty());
}

TEST(FindWindows, DoesNotFollowJunctions) {
  FakeGuest guest;
  auto& volume = guest.add("/dev/sda1");
  add_windows(volume, "/Windows");
  volume.others.insert("/Documents and Settings");
  add_windows(volume, "/Link");
  volume.others.insert("/Link");
  EXPECT_EQ(search(guest).roots, (Roots{{"/dev/sda1", "/Windows"}}));
}

TEST(FindWindows, LooksIntoNtfsVolumesOnly) {
  FakeGuest guest;
  guest.add("/dev/sda1").content = guestfs::Content::other;
  add_windows(guest.volume("/dev/sda1"), "/Windows");
  guest.add("/dev/sda2").content = guestfs::Content::bitlocker;
  add_windows(guest.volume("/dev/sda2"), "/Windows");
  add_windows(guest.add("/dev/sda3"), "/Windows");
  const Search found = search(guest);
  EXPECT_EQ(found.roots, (Roots{{"/dev/sda3", "/Windows"}}));
  EXPECT_EQ(found.volumes.size(), 3U);
}

TEST(FindWindows, FindsAllInTheOrderOfTheDisk) {
  FakeGuest guest;
  add_windows(guest.add("/dev/sdb1"), "/WINNT");
  add_windows(guest.add("/dev/sda1"), "/Windows");
  add_windows(guest.volume("/dev/sda1"), "/Windows.old");
  EXPECT_EQ(
      search(guest).roots,
      (Roots{{"/dev/sdb1", "/WINNT"}, {"/dev/sda1", "/Windows"}, {"/dev/sda1", "/Windows.old"}}));
}

TEST(FindWindows, IsNotStoppedByADamagedVolume) {
  for (const bool damaged_first : {true, false}) {
    FakeGuest guest;
    if (!damaged_first) add_windows(guest.add("/dev/sda3"), "/Windows");
    guest.add("/dev/sda1").mountable = false;
    if (damaged_first) add_windows(guest.add("/dev/sda3"), "/Windows");
    const Search found = search(guest);
    EXPECT_EQ(found.roots, (Roots{{"/dev/sda3", "/Windows"}}));
    ASSERT_EQ(found.problems.size(), 1U);
    EXPECT_NE(found.problems[0].find("/dev/sda1"), std::string::npos);
  }
}

TEST(FindWindows, LeavesNothingMountedWhenItFails) {
  FakeGuest counting;
  add_windows(counting.add("/dev/sda1"), "/Windows");
  search(counting);
  const std::size_t calls = counting.calls().size();
  for (std::size_t n = 0; n < calls; ++n) {
    FakeGuest guest;
    add_windows(guest.add("/dev/sda1"), "/Windows");
    guest.fail_at(n);
    try {
      const Search found = find_windows(guest);
      EXPECT_EQ(found.problems.size(), 1U) << counting.calls()[n];
      EXPECT_FALSE(guest.is_mounted());
    } catch (const guestfs::Error&) {
      // Without its volumes, or with one that cannot be unmounted, there is nothing to go on with.
      EXPECT_TRUE(n == 0 || counting.calls()[n] == "unmount") << counting.calls()[n];
    }
  }
}

Search found(Roots roots) {
  return {std::move(roots), {}, {}};
}

TEST(ChooseRoot, TakesWhatTheSelectorSays) {
  const WindowsRoot a = {"/dev/sda1", "/WINDOWS"};
  const WindowsRoot b = {"/dev/sda2", "/Windows"};
  const WindowsRoot b2 = {"/dev/sda2", "/Windows.old"};
  const struct {
    Roots roots;
    const char* selector;
    const char* expected;
  } table[] = {
      {{b}, "single", "/dev/sda2/Windows"},
      {{b}, "first", "/dev/sda2/Windows"},
      {{b}, "/dev/sda2", "/dev/sda2/Windows"},
      {{b}, "/dev/sda1", "no-such-root"},
      {{b}, "/dev/sda", "no-such-root"},
      {{a, b}, "single", "several-windows"},
      {{a, b}, "first", "/dev/sda1/WINDOWS"},
      {{a, b}, "/dev/sda2", "/dev/sda2/Windows"},
      {{b, b2}, "single", "several-windows"},
      {{b, b2}, "first", "/dev/sda2/Windows"},
      {{b, b2}, "/dev/sda2", "several-windows"},
      {{a, b, b2}, "/dev/sda1", "/dev/sda1/WINDOWS"},
      {{}, "single", "no-windows"},
      {{}, "first", "no-windows"},
      {{}, "/dev/sda1", "no-windows"},
  };
  for (const auto& row : table)
    EXPECT_EQ(word(choose_root(found(row.roots), row.selector)), row.expected)
        << row.roots.size() << ' ' << row.selector;
}

TEST(ChooseRoot, NamesWhatThereIsToChooseFrom) {
  const Roots roots = {{"/dev/sda1", "/WINDOWS"}, {"/dev/sda2", "/Win\x1B[31m"}};
  for (const char* selector : {"single", "/dev/sdx"}) {
    const std::string text = message(choose_root(found(roots), selector));
    EXPECT_NE(text.find("/dev/sda1 (/WINDOWS)"), std::string::npos) << text;
    EXPECT_NE(text.find("/dev/sda2 (/Win\\x1b[31m)"), std::string::npos) << text;
  }
}

TEST(ChooseRoot, SaysWhyThereIsNoWindows) {
  EXPECT_NE(message(choose_root({}, "single")).find("no volumes"), std::string::npos);
  using guestfs::Content;
  Search data = {{}, {{"/dev/sda1", Content::ntfs}, {"/dev/sda2", Content::other}}, {}};
  const std::string text = message(choose_root(data, "single"));
  for (const char* part : {"/dev/sda1", "/dev/sda2"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  // The Windows may be where nobody could look.
  data.problems = {"/dev/sda1: trouble"};
  EXPECT_EQ(word(choose_root(data, "single")), "damaged-ntfs");
  EXPECT_NE(message(choose_root(data, "single")).find("trouble"), std::string::npos);
  const Search locked = {{},
                         {{"/dev/sda1", Content::ntfs}, {"/dev/sda2", Content::bitlocker}},
                         {},
                         Refusal{Reason::encrypted_volume, "/dev/sda2"}};
  EXPECT_EQ(word(choose_root(locked, "single")), "encrypted-volume");
  // A locked data volume beside a Windows does not matter.
  const Search both = {{{"/dev/sda1", "/Windows"}}, locked.volumes, {}, locked.locked};
  EXPECT_EQ(word(choose_root(both, "single")), "/dev/sda1/Windows");
}

TEST(FindWindows, OpensEncryptedVolumesWithTheKeysThatAreMeantForThem) {
  for (const guestfs::Content content : {guestfs::Content::bitlocker, guestfs::Content::luks}) {
    FakeGuest guest;
    test::install(guest.add_encrypted("/dev/sda2", content, "secret", "/dev/mapper/x"), test::ten);
    guest.volume("/dev/sda2").uuid = "1234";
    const auto reason = [&guest](const std::vector<VolumeKey>& keys) -> std::string {
      const auto root = choose_root(find_windows(guest, keys), "single");
      if (const auto* refusal = std::get_if<Refusal>(&root)) {
        EXPECT_EQ(refusal->message.find("wrong"), std::string::npos) << "the key is in a message";
        return std::string(code(refusal->reason));
      }
      EXPECT_EQ(std::get<WindowsRoot>(root).device, "/dev/mapper/x");
      return "";
    };
    EXPECT_EQ(reason({}), "encrypted-volume");
    EXPECT_EQ(reason({{"/dev/sda1", "secret"}}), "encrypted-volume");
    EXPECT_EQ(reason({{"/dev/sda2", "wrong"}}), "wrong-key");
    EXPECT_EQ(reason({{"/dev/sda2", "wrong"}, {"all", "secret"}}), "");
    EXPECT_EQ(reason({{"1234", "secret"}}), "");
  }
}

}  // namespace
}  // namespace kvmnet

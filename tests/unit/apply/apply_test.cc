// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/apply.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "hive/contents.h"
#include "hive/error.h"
#include "hive/hive.h"
#include "src/apply/hive_client.h"
#include "src/support/error.h"
#include "src/support/temp_dir.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

using hive::dword;
using hive::KeyPath;
using test::FakeGuest;
using test::fixture_hive;
using Calls = std::vector<std::string>;

const KeyPath parameters = KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");

SetValue set_value(const KeyPath& key, std::string name, hive::Value value) {
  return {key, std::move(name), std::nullopt, std::move(value), "test"};
}
WriteFile write_file(std::string path, std::string content) {
  return {std::move(path), std::nullopt, std::move(content), "test", true};
}

Fd memory_file(const hive::Bytes& bytes) {
  Fd fd = make_memory_file("test");
  write_whole(fd, bytes);
  return fd;
}

std::vector<std::string> listing(const hive::Bytes& bytes) {
  const TempDir directory;
  const std::string path = directory.path() + "/hive";
  test::write_file(path, bytes);
  return test::listing(path);
}

TEST(EditHive, MakesEveryEditAndNoOther) {
  const hive::Bytes& before = fixture_hive("nt61.system");
  const Fd file = memory_file(before);
  SystemHive hive({file});
  const EditedHive edited = hive.edit(
      {write_file("kvmnet/a", "x"), set_value(parameters, "EnableWsd", dword(0)),
       set_value(KeyPath::parse("ControlSet001\\Services\\kvmnet-firstboot"), "Type", dword(16)),
       set_value(parameters, "Hostname", hive::sz("other")),
       set_value(KeyPath::parse("CONTROLSET001\\services\\TCPIP\\parameters"), "Third", dword(3)),
       RemoveFile{"kvmnet/b", "test"}});
  EXPECT_EQ(hive.proven().system.condition, hive::Condition::clean);
  EXPECT_EQ(read_whole(file), before);
  const auto after = listing(read_whole(edited.file));
  const std::string services = "/ControlSet001/services/";
  EXPECT_EQ(test::lines_added(listing(before), after),
            (Calls{services + "Tcpip/Parameters/EnableWsd,DWORD,0x00000000",
                   services + "Tcpip/Parameters/Hostname,SZ,other",
                   services + "Tcpip/Parameters/Third,DWORD,0x00000003",
                   services + "kvmnet-firstboot,KEY,",
                   services + "kvmnet-firstboot/Type,DWORD,0x00000010"}));
  EXPECT_EQ(test::lines_added(after, listing(before)),
            Calls{services + "Tcpip/Parameters/Hostname,SZ,guest"});
}

TEST(EditHive, IsForRegistryEdits) {
  EXPECT_FALSE(has_registry_edits({}));
  EXPECT_FALSE(has_registry_edits({write_file("a", "b")}));
  EXPECT_TRUE(has_registry_edits({write_file("a", "b"), set_value(parameters, "x", dword(1))}));
}

TEST(EditHive, RefusesWhatHivexWouldDamageAndLeavesTheFile) {
  const TempDir directory;
  const std::string path = test::fixture_file(directory.path(), "nt61.system");
  test::merge(path, "[\\Select]\n\"Empty\"=hex(1):\n");
  const hive::Bytes before = test::read_file(path);
  const Fd file = memory_file(before);
  // The first key could be edited: all or nothing.
  EXPECT_THROW(SystemHive({file}).edit({set_value(parameters, "EnableWsd", dword(0)),
                                        set_value(KeyPath::parse("Select"), "New", dword(1))}),
               hive::Unsupported);
  EXPECT_EQ(read_whole(file), before);
}

TEST(EditHive, RefusesADirtyHive) {
  const hive::Bytes dirty = test::with_dirty_header(fixture_hive("nt61.system"));
  const Fd file = memory_file(dirty);
  EXPECT_THROW(SystemHive({file}).edit({set_value(parameters, "x", dword(0))}), Error);
  EXPECT_EQ(read_whole(file), dirty);
}

TEST(EditHive, SetsOfTwoEditsOfOneValueTheSecond) {
  const Fd file = memory_file(fixture_hive("nt61.system"));
  SystemHive hive({file});
  const EditedHive edited = hive.edit(
      {set_value(parameters, "EnableWsd", dword(0)), set_value(parameters, "ENABLEWSD", dword(1))});
  hive.proven();
  const auto bytes = read_whole(edited.file);
  EXPECT_EQ(hive::Contents(bytes).value(parameters, "EnableWsd"), dword(1));
}

// A guest with an empty system root on a volume that is mounted read-write.
class ApplyFiles : public testing::Test {
 protected:
  ApplyFiles() {
    volume().directories.insert("/Windows");
    guest.mount("/dev/sda1", guestfs::Access::read_write);
    guest.forget_calls();
  }
  FakeGuest::Volume& volume() { return volume_; }

  FakeGuest guest;

 private:
  FakeGuest::Volume& volume_ = guest.add("/dev/sda1");
};

TEST_F(ApplyFiles, InTheirOrderAndMakesTheDirectoryOnce) {
  apply_files(guest, "/Windows",
              {write_file("kvmnet/a.cmd", "one"), write_file("kvmnet/b", "two"),
               set_value(parameters, "x", dword(0)), write_file("kvmnet/a.cmd", "three")});
  EXPECT_EQ(guest.changes(),
            (Calls{"make_directory /Windows/kvmnet", "set_private /Windows/kvmnet",
                   "write /Windows/kvmnet/a.cmd", "set_private /Windows/kvmnet/a.cmd",
                   "write /Windows/kvmnet/b", "set_private /Windows/kvmnet/b",
                   "remove /Windows/kvmnet/a.cmd", "write /Windows/kvmnet/a.cmd",
                   "set_private /Windows/kvmnet/a.cmd"}));
  EXPECT_EQ(volume().files.at("/Windows/kvmnet/a.cmd"), "three");
  EXPECT_EQ(volume().files.at("/Windows/kvmnet/b"), "two");
}

TEST_F(ApplyFiles, OverThoseThatAreThereInAnyLetterCase) {
  volume().files["/Windows/KVMNET/A.CMD"] = "old";
  apply_files(guest, "/Windows",
              {write_file("kvmnet/a.cmd", "new"), write_file("kvmnet/b", "two")});
  // Removed first: the old one may have another name, too.
  EXPECT_EQ(guest.changes(),
            (Calls{"set_private /Windows/KVMNET", "remove /Windows/KVMNET/A.CMD",
                   "write /Windows/KVMNET/A.CMD", "set_private /Windows/KVMNET/A.CMD",
                   "write /Windows/KVMNET/b", "set_private /Windows/KVMNET/b"}));
  EXPECT_EQ(volume().files.at("/Windows/KVMNET/A.CMD"), "new");
}

// Somebody else's file, to which something is added, keeps its permissions; what is made does not
// get those of a directory that everybody may write to.
TEST_F(ApplyFiles, ArePrivateWhereTheEditSaysSo) {
  volume().files["/Windows/Setup/theirs.cmd"] = "old";
  WriteFile theirs = write_file("Setup/theirs.cmd", "old, and more");
  theirs.old = "old";
  theirs.make_private = false;
  const std::vector<Edit> edits = {theirs, write_file("Setup/Scripts/new.cmd", "x"),
                                   write_file("kvmnet/a", "y")};
  apply_files(guest, "/Windows", edits);
  EXPECT_EQ(volume().private_paths,
            (std::set<std::string>{"/Windows/Setup/Scripts", "/Windows/Setup/Scripts/new.cmd",
                                   "/Windows/kvmnet", "/Windows/kvmnet/a"}));
  EXPECT_TRUE(find_open_files(guest, "/Windows", edits).empty());
  for (const char* path :
       {"/Windows/Setup/Scripts/new.cmd", "/Windows/kvmnet", "/Windows/kvmnet/a"}) {
    volume().private_paths.erase(path);
    EXPECT_EQ(find_open_files(guest, "/Windows", edits), Calls{path});
    volume().private_paths.insert(path);
  }
}

TEST_F(ApplyFiles, RemovesThoseThatAreThere) {
  volume().files["/Windows/kvmnet/Firstboot.Done"] = "x";
  volume().files["/Windows/kvmnet/firstboot.done"] = "in other letters";
  apply_files(guest, "/Windows",
              {RemoveFile{"kvmnet/firstboot.done", "test"}, RemoveFile{"kvmnet/nothing", "test"},
               RemoveFile{"nowhere/nothing", "test"}});
  EXPECT_EQ(guest.changes(), (Calls{"remove /Windows/kvmnet/firstboot.done",
                                    "remove /Windows/kvmnet/Firstboot.Done"}));
}

TEST_F(ApplyFiles, HaveNoPlaceWhereSomethingElseIs) {
  const auto message = [&](const std::string& path) {
    const auto refusal = check_places(guest, "/Windows", {write_file(path, "x")});
    if (!refusal) return std::string();
    EXPECT_EQ(refusal->reason, Reason::path_blocked);
    return refusal->message;
  };
  EXPECT_EQ(message("kvmnet/a.cmd"), "");
  volume().files["/Windows/KvmNet/A.cmd"] = "old";
  EXPECT_EQ(message("kvmnet/a.cmd"), "");
  EXPECT_EQ(message("kvmnet/a.cmd/b"),
            "/Windows/KvmNet/A.cmd in the guest is no directory, which is needed there");
  volume().directories.insert("/Windows/KvmNet/directory");
  volume().others.insert("/Windows/KvmNet/junction");
  for (const char* name : {"directory", "junction"})
    EXPECT_EQ(
        message(std::string("kvmnet/") + name),
        fmt::format("/Windows/KvmNet/{} in the guest is no file, which is needed there", name));
  volume().files["/Windows/KvmNet/a.CMD"] = "other";
  EXPECT_EQ(message("kvmnet/a.cmd"),
            "/Windows/KvmNet in the guest has both A.cmd and a.CMD, one of which is needed there");
  EXPECT_NE(message("kvmnet/junction/b"), "");
  EXPECT_EQ(message("kvmnet/directory/b"), "");
  EXPECT_EQ(guest.changes(), Calls{});
}

TEST_F(ApplyFiles, FailsWhenTheGuestsDiskDoes) {
  const std::vector<Edit> edits = {write_file("kvmnet/a", "x"), RemoveFile{"kvmnet/a", "test"},
                                   write_file("kvmnet/b", "y")};
  apply_files(guest, "/Windows", edits);
  const std::size_t calls = guest.calls().size();
  for (std::size_t n = 0; n < calls; ++n) {
    FakeGuest failing;
    failing.add("/dev/sda1").directories.insert("/Windows");
    failing.mount("/dev/sda1", guestfs::Access::read_write);
    failing.fail_at(n);
    EXPECT_THROW(apply_files(failing, "/Windows", edits), guestfs::Error) << guest.calls()[n];
  }
}

// Pages of one letter each.
hive::Bytes pages(const std::string& letters) {
  hive::Bytes bytes;
  for (const char letter : letters) bytes.insert(bytes.end(), 4096, static_cast<std::byte>(letter));
  return bytes;
}

TEST(UpdateHive, WritesThePagesThatDiffer) {
  const struct {
    const char* before;
    const char* after;
    std::size_t writes;
  } table[] = {{"abc", "abc", 0},         {"abc", "xbc", 1},         {"abc", "abx", 1},
               {"abc", "xyz", 1},         {"abc", "xbz", 2},         {"abc", "abcd", 1},
               {"abc", "abxd", 1},        {"abc", "xbcde", 2},       {"", "ab", 1},
               {"abcdefg", "aXcXeXg", 3}, {"abcdefg", "XbXdXfX", 4}, {"abcdefg", "aXXdXXg", 2}};
  for (const auto& row : table) {
    FakeGuest guest;
    auto& volume = guest.add("/dev/sda1");
    volume.files["/h"] = test::text_of(pages(row.before));
    guest.mount("/dev/sda1", guestfs::Access::read_write);
    guest.forget_calls();
    update_hive(guest, "/h", pages(row.before), pages(row.after));
    EXPECT_EQ(volume.files.at("/h"), test::text_of(pages(row.after))) << row.after;
    EXPECT_EQ(guest.calls(), Calls(row.writes, "write_at /h")) << row.after;
  }
}

TEST(UpdateHive, FindsASingleByteAndAnyEnd) {
  const hive::Bytes before = pages("abc");
  for (const std::size_t at : {0U, 4095U, 4096U, 12287U})
    for (const std::size_t more : {0U, 1U, 4095U, 4097U}) {
      hive::Bytes after = before;
      after[at] = std::byte{1};
      after.resize(after.size() + more, std::byte{2});
      FakeGuest guest;
      auto& volume = guest.add("/dev/sda1");
      volume.files["/h"] = test::text_of(before);
      guest.mount("/dev/sda1", guestfs::Access::read_write);
      update_hive(guest, "/h", before, after);
      EXPECT_EQ(volume.files.at("/h"), test::text_of(after)) << at << ' ' << more;
    }
}

TEST(UpdateHive, NeverShortensAHive) {
  FakeGuest guest;
  EXPECT_THROW(update_hive(guest, "/h", pages("abc"), pages("ab")), Error);
  EXPECT_TRUE(guest.calls().empty());
}

}  // namespace
}  // namespace kvmnet

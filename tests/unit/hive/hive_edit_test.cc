// SPDX-License-Identifier: GPL-2.0-or-later
// Hive::set and Hive::commit.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "hive/error.h"
#include "hive/hive.h"
#include "src/support/fd.h"
#include "tests/unit/hive/crafted_hive.h"
#include "tests/unit/hive/hive_fixture.h"

namespace kvmnet::hive {
namespace {

using test::find_text;
using test::fixture_hive;
using test::lines_added;
using test::listing;
using test::read_file;
using test::write_file;
using Lines = std::vector<std::string>;
using Mode = Hive::Mode;
using HiveEditing = test::HiveTest;

const KeyPath parameters = KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");

// Opens, sets and commits.
void edit(const std::string& path, const KeyPath& key, const std::vector<NamedValue>& values) {
  Hive hive(path, Mode::edit);
  hive.set(key, values);
  hive.commit();
}

TEST_F(HiveEditing, ChangesWhatItIsToldToAndNothingElse) {
  const std::string path = fixture("nt61.system");
  const Lines before = listing(path);
  edit(path, parameters, {{"EnableWsd", dword(0)}, {"hostname", sz("other")}});
  const Lines after = listing(path);
  const std::string prefix = "/ControlSet001/services/Tcpip/Parameters/";
  EXPECT_EQ(lines_added(before, after),
            (Lines{prefix + "EnableWsd,DWORD,0x00000000", prefix + "Hostname,SZ,other"}));
  EXPECT_EQ(lines_added(after, before), Lines{prefix + "Hostname,SZ,guest"});
  const Hive hive(path, Mode::read);
  EXPECT_EQ(hive.value(parameters, "EnableWsd"), dword(0));
  EXPECT_EQ(hive.value(parameters, "Hostname"), sz("other"));
}

TEST_F(HiveEditing, KeepsTheOrderAndTheNamesOfValues) {
  const std::string path = fixture("nt61.system");
  const auto before = Hive(path, Mode::read).values(parameters).value();
  edit(path, parameters, {{"HOSTNAME", sz("other")}});
  const auto after = Hive(path, Mode::read).values(parameters).value();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].name, before[i].name);
    EXPECT_EQ(after[i] == before[i], after[i].name != "Hostname") << after[i].name;
  }
}

TEST_F(HiveEditing, CreatesKeysThatAreMissing) {
  const std::string path = fixture("nt61.system");
  const Lines before = listing(path);
  edit(path, KeyPath::parse("CONTROLSET001\\Services\\kvmnet-firstboot\\Parameters"),
       {{"Type", dword(16)}});
  const Lines after = listing(path);
  const std::string service = "/ControlSet001/services/kvmnet-firstboot";
  EXPECT_EQ(lines_added(before, after), (Lines{service + ",KEY,", service + "/Parameters,KEY,",
                                               service + "/Parameters/Type,DWORD,0x00000010"}));
  EXPECT_TRUE(lines_added(after, before).empty());
}

TEST_F(HiveEditing, CreatesKeysWithoutValues) {
  const std::string path = fixture("nt61.system");
  edit(path, parameters / "New", {});
  EXPECT_EQ(Hive(path, Mode::read).values(parameters / "New"), std::vector<NamedValue>());
}

TEST_F(HiveEditing, StoresEveryTypeAndSizeOfValue) {
  const std::string path = fixture("nt61.system");
  std::vector<NamedValue> values = {{"", sz("default")},
                                    {"multi", multi_sz({"a", "b"})},
                                    {"qword", {Type::qword, Bytes(8, std::byte{7})}},
                                    {"odd type", {static_cast<Type>(0x99), Bytes(3)}}};
  for (const std::size_t size : {1U, 2U, 3U, 4U, 5U, 8U, 4096U, 16344U})
    values.push_back({"binary " + std::to_string(size), {Type::binary, Bytes(size, std::byte{9})}});
  edit(path, KeyPath::parse("New"), values);
  EXPECT_EQ(Hive(path, Mode::read).values(KeyPath::parse("New")), values);
}

TEST_F(HiveEditing, LeavesAHiveThatCanBeEditedAgain) {
  const std::string path = fixture("nt61.system");
  for (std::uint32_t i = 0; i < 20; ++i)
    edit(path, parameters, {{"EnableWsd", dword(i)}, {"Text", sz(std::string(i * 40, 'x'))}});
  EXPECT_EQ(Hive(path, Mode::read).value(parameters, "EnableWsd"), dword(19));
  const BaseBlock block = read_base_block(open_file(path, O_RDONLY).get());
  EXPECT_EQ(block.condition, Condition::clean);
}

TEST_F(HiveEditing, DoesNothingWithoutCommit) {
  const std::string path = fixture("nt61.system");
  const Bytes before = read_file(path);
  {
    Hive hive(path, Mode::edit);
    hive.set(parameters, {{"EnableWsd", dword(0)}});
    EXPECT_EQ(hive.value(parameters, "EnableWsd"), dword(0));
  }
  EXPECT_EQ(read_file(path), before);
}

TEST_F(HiveEditing, NeedsTheModeForIt) {
  const std::string path = fixture("nt61.system");
  Hive hive(path, Mode::read);
  EXPECT_THROW(hive.set(parameters, {{"EnableWsd", dword(0)}}), Error);
  EXPECT_EQ(read_file(path), fixture_hive("nt61.system"));
}

TEST_F(HiveEditing, WritesAFileInMemory) {
  const Fd memory = make_memory_file("SYSTEM");
  write_whole(memory, fixture_hive("nt61.system"));
  edit(proc_path(memory), parameters, {{"EnableWsd", dword(0)}});
  const std::string path = file(read_whole(memory));
  EXPECT_EQ(Hive(path, Mode::read).value(parameters, "EnableWsd"), dword(0));
}

// `reg` has values that hivex damages when it sets another one of the same key.
void expect_unsupported(const std::string& path, const std::string& reg) {
  test::merge(path, "[\\Select]\n" + reg);
  const Bytes before = read_file(path);
  Hive hive(path, Mode::edit);
  EXPECT_THROW(hive.set(KeyPath::parse("Select"), {{"New", dword(0)}}), Unsupported);
  EXPECT_EQ(read_file(path), before);
  // Another key of the same hive may be edited.
  edit(path, parameters, {{"EnableWsd", dword(0)}});
  EXPECT_EQ(Hive(path, Mode::read).value(parameters, "EnableWsd"), dword(0));
}

std::string hex(std::size_t size) {
  std::string text = "hex(3):";
  for (std::size_t i = 0; i < size; ++i) text += i == 0 ? "41" : ",41";
  return text;
}

TEST_F(HiveEditing, RefusesAKeyWithAValueOfMoreThanOneCell) {
  expect_unsupported(fixture("nt61.system"), "\"Large\"=" + hex(16345) + "\n");
}

TEST_F(HiveEditing, RefusesAKeyWithAValueWithoutData) {
  expect_unsupported(fixture("nt61.system"), "\"Empty\"=hex(1):\n");
}

TEST_F(HiveEditing, AcceptsAKeyWithAValueThatJustFitsACell) {
  const std::string path = fixture("nt61.system");
  test::merge(path, "[\\Select]\n\"Large\"=" + hex(16344) + "\n");
  edit(path, KeyPath::parse("Select"), {{"New", dword(0)}});
  const Hive hive(path, Mode::read);
  EXPECT_EQ(hive.value(KeyPath::parse("Select"), "Large"),
            (Value{Type::binary, Bytes(16344, std::byte{0x41})}));
}

TEST_F(HiveEditing, RefusesToSetAValueThatItCouldNotEditLater) {
  const std::string path = fixture("nt61.system");
  for (const std::size_t size : {16345U, 0U}) {
    Hive hive(path, Mode::edit);
    EXPECT_THROW(hive.set(parameters, {{"New", {Type::binary, Bytes(size)}}}), Unsupported) << size;
  }
}

// Answered by our own reader: hivex' interface has no names with a NUL.
std::optional<Value> read_singly(const std::string& path, const char* key, std::string_view name) {
  const Bytes bytes = read_file(path);
  test::MemorySource source{bytes};
  return test::reader(source).value(KeyPath::parse(key), name);
}

TEST_F(HiveEditing, NeverTruncatesTheNameOfAnotherValue) {
  // Windows' own tools cannot show a value with a NUL in its name, and hivex cuts the name there.
  const std::string path = fixture("nt61.system");
  test::merge(path, "[\\Select]\n\"Hidden0Name\"=dword:00000005\n");
  Bytes bytes = read_file(path);
  const auto at = find_text(bytes, "Hidden0Name");
  ASSERT_NE(at, bytes.end());
  *(at + 6) = std::byte{0};
  write_file(path, bytes);
  const std::string_view name("Hidden\0Name", 11);
  ASSERT_EQ(read_singly(path, "Select", name), dword(5));
  try {
    edit(path, KeyPath::parse("Select"), {{"New", dword(0)}});
  } catch (const Unsupported&) {
    EXPECT_EQ(read_file(path), bytes);
    return;
  }
  EXPECT_EQ(read_singly(path, "Select", name), dword(5));
}

TEST_F(HiveEditing, KeepsNamesThatAreNotAscii) {
  const std::string path = fixture("nt61.system");
  for (const char* name : {"Gr\xC3\xB6\xC3\x9F"
                           "e",
                           "\xE4\xB8\xAD", "\xF0\x9F\x98\x80"})
    test::merge(path, std::string("[\\Select]\n\"") + name + "\"=dword:00000005\n");
  const auto before = Hive(path, Mode::read).values(KeyPath::parse("Select")).value();
  edit(path, KeyPath::parse("Select"), {{"Default", dword(2)}});
  const auto after = Hive(path, Mode::read).values(KeyPath::parse("Select")).value();
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_EQ(after[i].name, before[i].name);
}

}  // namespace
}  // namespace kvmnet::hive

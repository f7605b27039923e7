// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/edit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "hive/base_block.h"
#include "hive/check.h"
#include "hive/contents.h"
#include "hive/error.h"
#include "hive/file.h"
#include "hive/hive.h"
#include "hive/record.h"
#include "hive/stored_name.h"
#include "src/support/fd.h"
#include "src/support/temp_dir.h"
#include "tests/support/log_writer.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/hive_files.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using test::load_u32;
using test::store_u32;

class EditTest : public testing::Test {
 protected:
  EditTest() : fd_(::memfd_create("hive", MFD_CLOEXEC)) {}
  EditTest(const EditTest&) = delete;
  EditTest& operator=(const EditTest&) = delete;
  ~EditTest() override { ::close(fd_); }

  // Puts the hive into the file and edits it.
  Bytes edit(const Bytes& hive, const std::vector<KeyEdit>& edits, const std::vector<Bytes>& logs) {
    resize_file(fd_, 0);
    write_file(fd_, 0, hive);
    std::vector<Source> sources;
    for (const Bytes& log : logs) sources.push_back(source_of(log));
    require_sound(hive);
    const Fd edited = make_memory_file("edited hive");
    hive::edit(fd_, edited.get(), edits, sources);
    EXPECT_EQ(read_file(fd_, 0, file_size(fd_)), hive);
    return read_whole(edited);
  }
  static KeyEdit new_value() { return {KeyPath::parse("Select"), {{"New", dword(7)}}}; }

  int fd_;
};

void expect_clean(const Bytes& hive) {
  const BaseBlock base = read_base_block(std::span(hive).first(base_block_size), hive.size());
  EXPECT_EQ(base.condition, Condition::clean) << base.reason;
  EXPECT_EQ(hive.size() % 4096, 0U);
}

// hivex takes a checksum that Windows replaces for a wrong one: it gets the sum itself.
std::optional<Value> read_by_hivex(Bytes hive, const KeyPath& key, const std::string& name) {
  std::uint32_t sum = 0;
  for (std::size_t at = 0; at < 508; at += 4) sum ^= load_u32(hive, at);
  store_u32(hive, 508, sum);
  const Fd file = make_memory_file("test");
  write_whole(file, hive);
  return Hive(fmt::format("/proc/self/fd/{}", file.get()), Hive::Mode::read).value(key, name);
}

// Gives the root a last subkey whose name is one UTF-16 unit that is no character. Windows takes
// it.
Bytes with_lone_surrogate(const Bytes& hive) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, hive);
  test::merge(file, "[\\\u4e00]\n");
  Bytes odd = test::read_file(file);
  const auto find = [&](std::string_view bytes) {
    const auto found = std::ranges::search(odd, std::as_bytes(std::span(bytes)));
    EXPECT_NE(found.begin(), odd.end());
    return static_cast<std::size_t>(found.begin() - odd.begin());
  };
  const std::size_t name = find(std::string_view("\x02\0\0\0\x00\x4e", 6)) + 4;
  store_u32(odd, name, 0xD800);
  const auto cell = static_cast<std::uint32_t>(name - key_fixed_size - 4 - 4096);
  for (std::size_t at = 4096; at + 8 <= odd.size(); at += 4)
    if (load_u32(odd, at) == cell) store_u32(odd, at + 4, 0xD800);  // its hash
  return odd;
}

TEST_F(EditTest, GivesNumbersAboveAllThatAreInTheLogs) {
  Bytes clean = test::fixture_hive("nt61.system");
  test::set_sequence_numbers(clean, 100, 100);
  test::HvleRecorder recorder(clean);
  Bytes next = clean;
  for (const int value : {1, 2, 3}) {
    next[4096 + 20] = static_cast<std::byte>(value);
    recorder.commit(next);
  }
  recorder.reconcile();  // the entries 100 to 102 stay behind
  const Bytes edited = edit(clean, {new_value()}, recorder.files().logs);
  EXPECT_EQ(load_u32(edited, 4), 103U);
  EXPECT_EQ(load_u32(edited, 8), 103U);
  expect_clean(edited);
  EXPECT_EQ(load_u32(edit(clean, {new_value()}, {}), 4), 101U);
}

TEST_F(EditTest, MakesNoHiveThatIsTooLarge) {
  const Bytes hive = test::fixture_hive("nt61.system");
  const Fd from = make_memory_file("hive");
  const Fd to = make_memory_file("edited hive");
  write_whole(from, hive);
  const std::vector<KeyEdit> edits = {
      {KeyPath::parse("Select"), {{"New", {Type::binary, Bytes(10'000)}}}}};
  make_edit(from.get(), to.get(), edits, {});
  const std::uint64_t size = file_size(to.get());
  ASSERT_GT(size, hive.size());
  EXPECT_NO_THROW(make_edit(from.get(), to.get(), edits, {}, size));
  EXPECT_THROW(make_edit(from.get(), to.get(), edits, {}, size - 1), Unsupported);
}

TEST_F(EditTest, CountsNumbersOverTheirEnd) {
  Bytes clean = test::fixture_hive("nt61.system");
  test::set_sequence_numbers(clean, 0xFFFFFFFF, 0xFFFFFFFF);
  const Bytes edited = edit(clean, {new_value()}, {});
  EXPECT_EQ(load_u32(edited, 4), 0U);
  expect_clean(edited);
}

TEST_F(EditTest, IsRefusedWhereNoNumberIsAboveAllInTheLogs) {
  Bytes clean = test::fixture_hive("nt61.system");
  std::vector<Bytes> logs;
  for (const std::uint32_t number : {0x60000000U, 0xA0000000U}) {
    test::set_sequence_numbers(clean, number, number);
    test::HvleRecorder recorder(clean);
    Bytes next = clean;
    next[4096 + 20] ^= std::byte{1};
    recorder.commit(next);
    logs.push_back(recorder.files().logs[0]);
  }
  test::set_sequence_numbers(clean, 1, 1);
  EXPECT_THROW(edit(clean, {new_value()}, logs), Unsupported);
  EXPECT_EQ(read_file(fd_, 0, file_size(fd_)), clean);
}

// Windows stores 1 in the place of the checksum 0, and 0xFFFFFFFE in that of 0xFFFFFFFF.
TEST_F(EditTest, IsMadeInAHiveThatHivexTakesForDamagedByItsChecksum) {
  for (const std::uint32_t wanted : {0U, 0xFFFFFFFFU}) {
    Bytes hive = test::fixture_hive("nt61.system");
    constexpr std::size_t unused = 60;  // in the tail of the path
    store_u32(hive, unused, 0);
    std::uint32_t sum = 0;
    for (std::size_t at = 0; at < 508; at += 4) sum ^= load_u32(hive, at);
    store_u32(hive, unused, sum ^ wanted);
    test::update_checksum(hive);
    ASSERT_NE(load_u32(hive, 508), wanted);
    const Bytes edited = edit(hive, {new_value()}, {});
    expect_clean(edited);
    EXPECT_EQ(load_u32(edited, unused), load_u32(hive, unused));
    EXPECT_EQ(load_u32(edited, 12), load_u32(hive, 12));
    EXPECT_EQ(Contents(edited).value(KeyPath::parse("Select"), "New"), dword(7));
    EXPECT_EQ(read_by_hivex(edited, KeyPath::parse("Select"), "New"), dword(7));
  }
}

// It reads the names of those before a key, and of all where the key is missing.
TEST_F(EditTest, IsRefusedBesideANameThatHivexCannotRead) {
  const Bytes hive = with_lone_surrogate(test::fixture_hive("nt61.system"));
  EXPECT_TRUE(check(hive).sound());
  expect_clean(edit(hive, {new_value()}, {}));
  EXPECT_THROW(edit(hive, {{KeyPath::parse("Zulu"), {{"New", dword(7)}}}}, {}), Unsupported);
  EXPECT_EQ(read_file(fd_, 0, file_size(fd_)), hive);
}

// It takes a name up to its first NUL.
TEST_F(EditTest, IsRefusedForAKeyThatHivexWouldTakeAnotherFor) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, test::fixture_hive("nt61.system"));
  test::merge(file, "[\\Zulu_]\n");
  Bytes odd = test::read_file(file);
  const auto found = std::ranges::search(odd, std::as_bytes(std::span(std::string_view("Zulu_"))));
  ASSERT_NE(found.begin(), odd.end());
  found.back() = std::byte{0};
  const auto name = static_cast<std::size_t>(found.begin() - odd.begin());
  const auto cell = static_cast<std::uint32_t>(name - key_fixed_size - 4 - 4096);
  const auto hash = name_hash({std::span(odd).subspan(name, 5), true});
  ASSERT_TRUE(hash);
  for (std::size_t at = 4096; at + 8 <= odd.size(); at += 4)
    if (load_u32(odd, at) == cell) store_u32(odd, at + 4, *hash);
  ASSERT_TRUE(check(odd).sound());
  EXPECT_THROW(edit(odd, {{KeyPath::parse("zulu\\New"), {{"New", dword(7)}}}}, {}), Unsupported);
  EXPECT_NO_THROW(edit(odd, {{KeyPath::parse("Zul"), {{"New", dword(7)}}}}, {}));
}

TEST_F(EditTest, NamesTheKeyOfWhatIsRefused) {
  test::SoundHive hive = test::sound_hive();
  hive.set_u16(hive.beta, 2, KeyNode::latin1_name | KeyNode::symbolic_link);
  const KeyEdit gamma = {KeyPath::parse("Gamma"), {{"a", dword(1)}}};
  const KeyEdit delta = {KeyPath::parse("Beta\\Delta"), {}, {}, true};
  const KeyEdit absent = {KeyPath::parse("Alpha"), {}, {"absent"}};
  for (const KeyEdit& bad : {delta, absent}) {
    try {
      edit(hive.bytes, {gamma, bad}, {});
      ADD_FAILURE() << bad.key.to_string();
    } catch (const UnsupportedEdit& e) {
      EXPECT_EQ(e.key(), bad.key) << e.what();
    }
  }
}

TEST_F(EditTest, IsRefusedForAKeyNameThatHivexHashesWrongly) {
  const Bytes hive = test::fixture_hive("nt61.system");
  EXPECT_THROW(edit(hive, {{KeyPath::parse("Select\\\u00dcmlaut"), {{"a", dword(1)}}}}, {}),
               Unsupported);
  // A value's name has no hash.
  expect_clean(edit(hive, {{KeyPath::parse("Select"), {{"\u00dcmlaut", dword(1)}}}}, {}));
}

TEST_F(EditTest, IsNotMadeInAHiveThatIsNotSound) {
  Bytes hive = test::fixture_hive("nt61.system");
  store_u32(hive, 4096 + 32 + 4 + 20, 0x7FFFFFFF);  // the root's number of subkeys
  EXPECT_THROW(edit(hive, {new_value()}, {}), Error);
  EXPECT_EQ(read_file(fd_, 0, file_size(fd_)), hive);
}

}  // namespace
}  // namespace kvmnet::hive

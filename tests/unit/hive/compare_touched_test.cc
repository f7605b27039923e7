// SPDX-License-Identifier: GPL-2.0-or-later
// The comparison that looks only at what can differ finds what the one that looks at all finds.
#include <gtest/gtest.h>

#include "hive/check.h"
#include "hive/compare.h"
#include "hive/edit.h"
#include "src/support/fd.h"
#include "tests/unit/hive/hive_files.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using test::fixture_hive;
using test::sound_hive;
using test::SoundHive;
using Lines = std::vector<std::string>;

// A hive before and after an edit, and the edit.
struct Edited {
  Bytes before;
  Bytes after;
  std::vector<KeyEdit> edits;
};

Edited edited(const Bytes& before, const std::vector<KeyEdit>& edits) {
  const Fd from = make_memory_file("hive");
  const Fd to = make_memory_file("edited hive");
  write_whole(from, before);
  edit(from.get(), to.get(), edits, {});
  return {before, read_whole(to), edits};
}

Edited edited_sound_hive() {
  return edited(sound_hive().bytes, {{KeyPath::parse("Gamma"), {{"New", dword(1)}}},
                                     {KeyPath::parse("Beta\\New"), {{"", sz("text")}}}});
}

// With the edited hive as `after` instead: unsound, or what both comparisons find.
enum class Verdict { unsound, same, different };

Verdict verdict(const Edited& edited, const Bytes& after) {
  const CheckResult checked = check(after, ChangedPages(edited.before, after));
  if (!checked.sound()) return Verdict::unsound;
  const Lines all = unexplained_differences(edited.before, after, edited.edits);
  EXPECT_EQ(unexplained_differences(edited.before, after, edited.edits, checked.touched), all);
  return all.empty() ? Verdict::same : Verdict::different;
}

// What is not compared may be changed, e.g. hints and unused bytes; but not the rest.
void expect_all_changes_seen_alike(const Edited& edited, std::size_t step) {
  ASSERT_EQ(verdict(edited, edited.after), Verdict::same);
  std::size_t caught = 0;
  for (std::size_t offset = base_block_size; offset < edited.after.size(); offset += step) {
    Bytes changed = edited.after;
    changed[offset] ^= std::byte{0x11};
    if (verdict(edited, changed) != Verdict::same) ++caught;
    ASSERT_FALSE(testing::Test::HasFailure()) << "byte changed at " << offset;
  }
  EXPECT_GT(caught, 0U);
}

TEST(CompareTouched, SeesChangedBytesOfASmallHiveAsTheWholeComparisonDoes) {
  expect_all_changes_seen_alike(edited_sound_hive(), 7);
}

TEST(CompareTouched, SeesChangedBytesOfALargerHiveAsTheWholeComparisonDoes) {
  expect_all_changes_seen_alike(
      edited(fixture_hive("nt61.system"),
             {{KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters"),
               {{"EnableWsd", dword(0)}, {"Hostname", sz("other")}}}}),
      97);
}

// Keys that use a descriptor need not lie in the page that it lies in.
TEST(CompareTouched, SeesAChangedDescriptorThatAllKeysShare) {
  const Edited edit =
      edited(fixture_hive("nt61.system"), {{KeyPath::parse("Select"), {{"New", dword(1)}}}});
  const Tree tree(edit.after);
  const CellOffset security = tree.key(tree.root()).security;
  Bytes changed = edit.after;
  changed[SoundHive::at(security, 20 + 2)] ^= std::byte{0x01};  // control flags
  EXPECT_EQ(verdict(edit, changed), Verdict::different);
  changed = edit.after;
  test::store_u32(changed, SoundHive::at(security, 12),
                  test::load_u32(changed, SoundHive::at(security, 12)) + 1);  // its users
  EXPECT_EQ(verdict(edit, changed), Verdict::same);
}

TEST(CompareTouched, SeesAChangeInEveryKindOfRecord) {
  const Edited edit = edited_sound_hive();
  const SoundHive hive = sound_hive();
  const std::vector<std::size_t> places = {
      SoundHive::at(hive.delta, 76),          // a key's name
      SoundHive::at(hive.alpha, 4),           // its time
      SoundHive::at(hive.class_name, 0),      // its class
      SoundHive::at(hive.inline_value, 8),    // data in the value's record
      SoundHive::at(hive.plain_value, 12),    // a type
      SoundHive::at(hive.plain_value, 20),    // a value's name
      SoundHive::at(hive.plain_data, 0),      // data in a cell
      SoundHive::at(hive.last_segment, 1),    // data in several
      SoundHive::at(hive.root_security, 20),  // a descriptor that one key has
      SoundHive::at(hive.security, 20)};      // one that several have
  for (const std::size_t place : places) {
    Bytes changed = edit.after;
    changed[place] ^= std::byte{0x01};
    EXPECT_NE(verdict(edit, changed), Verdict::same) << "byte changed at " << place;
  }
}

TEST(CompareTouched, SeesThatAnEditWasNotMade) {
  const Edited edit = edited_sound_hive();
  EXPECT_EQ(verdict(edit, edit.before), Verdict::different);
}

TEST(CompareTouched, SeesAKeyThatWasMovedToAnotherCell) {
  // Not what hivex does, but the same to whoever reads it: such a key is compared whole.
  SoundHive hive = sound_hive();
  Bytes moved = hive.bytes;
  const std::uint32_t unused = static_cast<std::uint32_t>(moved.size() - base_block_size);
  moved.resize(moved.size() + 4096);
  test::store_u32(moved, base_block_size + unused, 0x6E696268);
  test::store_u32(moved, base_block_size + unused + 4, unused);
  test::store_u32(moved, base_block_size + unused + 8, 4096);
  const std::size_t from = base_block_size + hive.echo;
  const std::uint32_t size = 0U - test::load_u32(moved, from);
  const std::size_t to = base_block_size + unused + 32;
  std::copy_n(moved.begin() + static_cast<std::ptrdiff_t>(from), size,
              moved.begin() + static_cast<std::ptrdiff_t>(to));
  test::store_u32(moved, to + size, 4096 - 32 - size);
  test::store_u32(moved, from, size);
  test::store_u32(moved, SoundHive::at(hive.plain_leaf, 4), unused + 32);
  test::store_u32(moved, 40, unused + 4096);
  test::update_checksum(moved);
  EXPECT_EQ(verdict({hive.bytes, moved, {}}, moved), Verdict::same);
  moved[to + 4 + 4] ^= std::byte{1};  // its time
  EXPECT_EQ(verdict({hive.bytes, moved, {}}, moved), Verdict::different);
}

}  // namespace
}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// Hives that hive::edit() must refuse although their structure is sound; found by fuzzing.
#include <gtest/gtest.h>

#include "hive/edit.h"
#include "hive/error.h"
#include "src/support/fd.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using test::sound_hive;
using test::SoundHive;

// Sets a value in the key, in a copy of the hive.
void edit_copy(const SoundHive& hive, std::string_view key) {
  const Fd file = make_memory_file("hive");
  write_whole(file, hive.bytes);
  edit(file.get(), make_memory_file("edited hive").get(),
       {{KeyPath::parse(key), {{"New", dword(1)}}}}, {});
}

TEST(HostileEdit, RefusesAKeyThatHasAPredefinedHandleInThePlaceOfValues) {
  SoundHive hive = sound_hive();
  hive.set_u16(hive.beta, 2, KeyNode::latin1_name | KeyNode::predefined_handle);
  EXPECT_THROW(edit_copy(hive, "Beta"), Unsupported);
  EXPECT_THROW(edit_copy(hive, "bETA"), Unsupported);
  EXPECT_NO_THROW(edit_copy(hive, "Gamma"));
  EXPECT_NO_THROW(edit_copy(hive, "Beta\\Delta"));
  EXPECT_NO_THROW(edit_copy(hive, "Beta\\New"));
}

TEST(HostileEdit, RefusesWhatLeadsThroughASymbolicLink) {
  SoundHive hive = sound_hive();
  hive.set_u16(hive.beta, 2, KeyNode::latin1_name | KeyNode::symbolic_link);
  EXPECT_THROW(edit_copy(hive, "Beta"), UnsupportedEdit);
  EXPECT_THROW(edit_copy(hive, "bETA\\Delta"), UnsupportedEdit);
  EXPECT_THROW(edit_copy(hive, "Beta\\New"), UnsupportedEdit);
  EXPECT_NO_THROW(edit_copy(hive, "Gamma"));
}

TEST(HostileEdit, RefusesANewKeyThatMakesTheNumberOfUsersOfItsSecurityWrap) {
  SoundHive hive = sound_hive();
  hive.set_u32(hive.security, 12, 0xFFFFFFFF);
  EXPECT_THROW(edit_copy(hive, "Beta\\New"), Unsupported);
  EXPECT_NO_THROW(edit_copy(hive, "Beta"));
  EXPECT_NO_THROW(edit_copy(hive, "New"));
  hive.set_u32(hive.security, 12, 0x80000000);
  EXPECT_NO_THROW(edit_copy(hive, "Beta\\New"));
}

TEST(HostileEdit, RefusesAKeyWithAValueThatHidesAnother) {
  SoundHive hive = sound_hive();
  hive.set_u32(hive.alpha, 36, 2);  // without the one that is too large
  edit_copy(hive, "Alpha");
  hive.set_u16(hive.plain_value, 16, 3);
  EXPECT_THROW(edit_copy(hive, "Alpha"), Unsupported);
  EXPECT_NO_THROW(edit_copy(hive, "Gamma"));
}

}  // namespace
}  // namespace kvmnet::hive

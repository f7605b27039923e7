// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/tree.h"

#include <gtest/gtest.h>

#include <functional>

#include "hive/error.h"
#include "tests/unit/hive/hive_fixture.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using test::CraftedHive;
using test::sound_hive;
using test::SoundHive;
using Offsets = std::vector<CellOffset>;

std::string text(std::span<const std::byte> name) {
  return from_latin1(name);
}

TEST(Tree, ReadsKeys) {
  SoundHive hive = sound_hive();
  hive.set_u32(hive.alpha, 4, 0x11223344);
  hive.set_u32(hive.alpha, 8, 0x55667788);
  hive.set_u8(hive.alpha, 13, 1);
  hive.set_u8(hive.alpha, 54, 2);
  const Tree tree(hive.bytes);
  EXPECT_EQ(tree.root(), hive.root);
  const KeyRecord key = tree.key(hive.alpha);
  EXPECT_EQ(text(key.name), "Alpha");
  EXPECT_TRUE(key.latin1_name);
  EXPECT_EQ(key.flags, 0x20);
  EXPECT_EQ(key.control_flags, 2);
  EXPECT_EQ(key.access_bits, 0x100);
  EXPECT_EQ(key.last_written, 0x5566778811223344);
  EXPECT_EQ(key.parent, hive.root);
  EXPECT_EQ(key.security, hive.security);
  EXPECT_EQ(text(key.class_name), "cccccccccc");
  EXPECT_TRUE(tree.key(hive.beta).class_name.empty());
  EXPECT_EQ(text(tree.security_descriptor(hive.security)), std::string(20, 's'));
}

TEST(Tree, FollowsEveryKindOfSubkeyList) {
  const SoundHive hive = sound_hive();
  const Tree tree(hive.bytes);
  EXPECT_EQ(tree.subkeys(hive.root), (Offsets{hive.alpha, hive.beta, hive.gamma}));  // ri, lh
  EXPECT_EQ(tree.subkeys(hive.beta), Offsets{hive.delta});                           // lf
  EXPECT_EQ(tree.subkeys(hive.delta), Offsets{hive.echo});                           // li
  EXPECT_EQ(tree.subkeys(hive.echo), Offsets());
}

TEST(Tree, KnowsTheLongestOfAKeysLists) {
  const SoundHive hive = sound_hive();
  const Tree tree(hive.bytes);
  EXPECT_EQ(tree.longest_list(hive.root), 2U);  // of two
  EXPECT_EQ(tree.longest_list(hive.delta), 1U);
  EXPECT_EQ(tree.longest_list(hive.echo), 0U);
}

TEST(Tree, ReadsValues) {
  const SoundHive hive = sound_hive();
  const Tree tree(hive.bytes);
  EXPECT_EQ(tree.values(hive.alpha),
            (Offsets{hive.inline_value, hive.plain_value, hive.big_value}));
  EXPECT_EQ(tree.values(hive.beta), Offsets());
  const ValueRecord big = tree.value(hive.big_value);
  EXPECT_EQ(text(big.name), "Big");
  EXPECT_EQ(big.type, 3);
  EXPECT_EQ(big.size, 40'000);
  EXPECT_TRUE(big.is_big_data);
  EXPECT_FALSE(tree.value(hive.plain_value).is_big_data);
  EXPECT_EQ(tree.value_data(hive.inline_value), dword(7).data);
  EXPECT_EQ(tree.value_data(hive.plain_value), Bytes(100, std::byte{'P'}));
  EXPECT_EQ(tree.value_data(hive.big_value), Bytes(40'000, std::byte{'B'}));
}

TEST(Tree, HasNoBigDataBeforeVersion4) {
  CraftedHive crafted;
  const auto data = crafted.cell(Bytes(20'000, std::byte{'x'}));
  const auto value = crafted.value("v", 3, 20'000, data);
  Bytes hive = crafted.finish(crafted.key("root", 0, no_cell));
  test::store_u32(hive, 24, 3);
  EXPECT_FALSE(Tree(hive).value(value).is_big_data);
  EXPECT_EQ(Tree(hive).value_data(value), Bytes(20'000, std::byte{'x'}));
}

TEST(Tree, RefusesWhatIsNoHive) {
  EXPECT_THROW(Tree{Bytes()}, Error);
  EXPECT_THROW(Tree{Bytes(4096)}, Error);
  const Bytes hive = sound_hive().bytes;
  EXPECT_THROW(Tree{std::span(hive).first(8192)}, Error);
}

TEST(Tree, RefusesCellsThatAreNotThere) {
  const SoundHive hive = sound_hive();
  const Tree tree(hive.bytes);
  for (const CellOffset offset : {0U, 4U, 0x7FFFFFF8U, 0xFFFFFFF8U, 0xFFFFFFFFU, hive.plain_value})
    EXPECT_THROW(tree.key(offset), Error) << offset;
  EXPECT_THROW(tree.value(hive.alpha), Error);
  EXPECT_THROW(tree.security_descriptor(hive.alpha), Error);
}

TEST(Tree, RefusesRecordsThatPointOutsideOrAreCutShort) {
  const std::vector<std::function<void(SoundHive&, const Tree&)>> attempts = {
      [](SoundHive& h, const Tree& t) { h.set_u16(h.alpha, 72, 999), t.key(h.alpha); },
      [](SoundHive& h, const Tree& t) { h.set_u16(h.alpha, 74, 999), t.key(h.alpha); },
      [](SoundHive& h, const Tree& t) { h.set_u32(h.alpha, 48, 4), t.key(h.alpha); },
      [](SoundHive& h, const Tree& t) { h.set_u32(h.root, 20, 0x10000000), t.subkeys(h.root); },
      [](SoundHive& h, const Tree& t) { h.set_u32(h.root, 20, 2), t.subkeys(h.root); },
      [](SoundHive& h, const Tree& t) { h.set_u32(h.root, 20, 4), t.subkeys(h.root); },
      [](SoundHive& h, const Tree& t) { h.set_u32(h.index, 4, h.index), t.subkeys(h.root); },
      [](SoundHive& h, const Tree& t) { h.set_u16(h.index, 2, 99), t.subkeys(h.root); },
      [](SoundHive& h, const Tree& t) { h.set_u32(h.alpha, 36, 99), t.values(h.alpha); },
      [](SoundHive& h, const Tree& t) { h.set_u32(h.alpha, 36, 0x40000000), t.values(h.alpha); },
      [](SoundHive& h, const Tree& t) {
        h.set_u32(h.inline_value, 4, 0x80000005), t.value_data(h.inline_value);
      },
      [](SoundHive& h, const Tree& t) {
        h.set_u32(h.plain_value, 4, 200), t.value_data(h.plain_value);
      },
      [](SoundHive& h, const Tree& t) {
        h.set_u32(h.big_value, 4, 0x7FFFFFFF), t.value_data(h.big_value);
      },
      [](SoundHive& h, const Tree& t) {
        h.set_u16(h.big_data, 2, 0xFFFF), t.value_data(h.big_value);
      },
      [](SoundHive& h, const Tree& t) { h.set_u16(h.big_data, 2, 2), t.value_data(h.big_value); },
      [](SoundHive& h, const Tree& t) {
        h.set_u32(h.segment_list, 0, h.last_segment), t.value_data(h.big_value);
      },
      [](SoundHive& h, const Tree& t) {
        h.set_u32(h.security, 16, 999), t.security_descriptor(h.security);
      },
  };
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    SoundHive hive = sound_hive();
    const Tree tree(hive.bytes);  // sees what is changed later
    EXPECT_THROW(attempts[i](hive, tree), Error) << i;
  }
}

TEST(Tree, BoundsWhatListsThatRepeatEachOtherCost) {
  CraftedHive crafted;
  const std::vector<CellOffset> keys(60'000, crafted.key("key", 0, no_cell));
  const std::vector<CellOffset> lists(60'000, crafted.list("li", keys));
  const CellOffset root = crafted.key("root", 0xFFFFFFFF, crafted.list("ri", lists));
  Bytes hive = crafted.finish(root);
  EXPECT_THROW(Tree(hive).subkeys(root), Error);
  test::store_u32(hive, SoundHive::at(root, 20), 60'000);  // possible in a hive of that size
  EXPECT_THROW(Tree(hive).subkeys(root), Error);
}

}  // namespace
}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/check.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "tests/unit/hive/hive_fixture.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using test::CraftedHive;
using test::fixture_hive;
using test::real_hive;
using test::sound_hive;
using test::SoundHive;

std::string listed(const CheckResult& result) {
  std::string text;
  for (const Finding& f : result.findings)
    text += (f.severity == Severity::fatal ? "fatal: " : "harmless: ") + f.message + "\n";
  return text;
}

testing::AssertionResult has(const CheckResult& result, std::string_view message) {
  const std::string text = listed(result);
  if (text.find(message) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "only found:\n" << text;
}

TEST(Check, FindsNothingInASoundHive) {
  for (const Bytes& hive : {test::minimal_hive(), sound_hive().bytes, fixture_hive("nt61.system"),
                            fixture_hive("nt100-19045.software")}) {
    const CheckResult result = check(hive);
    EXPECT_TRUE(result.sound());
    EXPECT_EQ(listed(result), "");
  }
}

TEST(Check, CountsKeysAndValues) {
  const CheckResult result = check(sound_hive().bytes);
  EXPECT_EQ(result.keys, 6);
  EXPECT_EQ(result.values, 3);
}

TEST(Check, TakesAHiveThatIsCutShortForDamaged) {
  const Bytes hive = sound_hive().bytes;
  for (std::size_t size = 0; size < 6000; size += size < 600 ? 1 : 97)
    EXPECT_FALSE(check(std::span(hive).first(size)).sound()) << size;
  for (std::size_t size = 0; size < hive.size(); size += 4096)
    EXPECT_FALSE(check(std::span(hive).first(size)).sound()) << size;
}

struct Damage {
  const char* name;
  std::function<void(SoundHive&)> apply;
  const char* message;  // that check() has for it, or a part
};

// Each is a single defect. What it would do: see check.cc and hostile-hives.md.
const std::vector<Damage>& fatal_damages() {
  static const std::vector<Damage> damages = {
      {"bin signature", [](SoundHive& h) { test::store_u32(h.bytes, 4096, 0); }, "bin is damaged"},
      {"bin offset", [](SoundHive& h) { test::store_u32(h.bytes, 4100, 4096); }, "bin is damaged"},
      {"bin size", [](SoundHive& h) { test::store_u32(h.bytes, 4104, 0); }, "bin is damaged"},
      {"bin beyond the end",
       [](SoundHive& h) { test::store_u32(h.bytes, 4104, test::load_u32(h.bytes, 4104) + 4096); },
       "bin is damaged"},
      {"cell of no size", [](SoundHive& h) { test::store_u32(h.bytes, 4096 + 32, 0); },
       "cell has the size"},
      {"cell of impossible size",
       [](SoundHive& h) { test::store_u32(h.bytes, 4096 + 32, 0x80000000); }, "cell has the size"},
      {"cell size unaligned", [](SoundHive& h) { test::store_u32(h.bytes, 4096 + 32, 0U - 28U); },
       "cell has the size"},
      {"version", [](SoundHive& h) { test::store_u32(h.bytes, 24, 1); }, "unknown hive version"},
      {"root", [](SoundHive& h) { test::store_u32(h.bytes, 36, h.alpha + 8); }, "root key"},
      {"root is no key", [](SoundHive& h) { h.set_u16(h.root, 0, 0); }, "not a key"},
      {"free cell in use",
       [](SoundHive& h) { h.set_u32(h.gamma, static_cast<std::size_t>(-4), 88); }, "its subkey"},
      {"key name too long", [](SoundHive& h) { h.set_u16(h.alpha, 72, 100); }, "not a key"},
      {"key is a value", [](SoundHive& h) { h.set_u16(h.alpha, 0, 0x6B76); }, "not a key"},
      {"parent", [](SoundHive& h) { h.set_u32(h.delta, 16, h.alpha); }, "names another parent"},
      {"class name outside", [](SoundHive& h) { h.set_u32(h.alpha, 48, 0x7FFFFFF8); },
       "its class name"},
      {"class name too long", [](SoundHive& h) { h.set_u16(h.alpha, 74, 100); },
       "class name is longer"},
      {"class name shared", [](SoundHive& h) { h.set_u32(h.alpha, 48, h.plain_data); },
       "in use for something else"},
      {"subkey count too small", [](SoundHive& h) { h.set_u32(h.root, 20, 2); }, "has 2 subkeys"},
      {"subkey count too large", [](SoundHive& h) { h.set_u32(h.beta, 20, 0x80000000); },
       "has 2147483648 subkeys"},
      {"list missing", [](SoundHive& h) { h.set_u32(h.root, 28, 0xFFFFFFFF); },
       "its list of subkeys"},
      {"list mid-cell", [](SoundHive& h) { h.set_u32(h.root, 28, h.index + 4); },
       "its list of subkeys"},
      {"list of an unknown kind", [](SoundHive& h) { h.set_u16(h.fast_leaf, 0, 0x7878); },
       "not a list of subkeys"},
      {"list cut short", [](SoundHive& h) { h.set_u16(h.fast_leaf, 2, 1000); },
       "not a list of subkeys"},
      {"index of an index", [](SoundHive& h) { h.set_u16(h.second_leaf, 0, 0x6972); },
       "not a list of subkeys"},
      {"index of itself", [](SoundHive& h) { h.set_u32(h.index, 4, h.index); },
       "in use for something else"},
      {"empty list", [](SoundHive& h) { h.set_u16(h.second_leaf, 2, 0); }, "is empty"},
      {"key cycle", [](SoundHive& h) { h.set_u32(h.plain_leaf, 4, h.beta); },
       "in use for something else"},
      {"key twice in a list", [](SoundHive& h) { h.set_u32(h.first_leaf, 12, h.alpha); },
       "in use for something else"},
      {"order within a list",
       [](SoundHive& h) {
         h.set_u32(h.first_leaf, 4, h.beta);
         h.set_u32(h.first_leaf, 12, h.alpha);
       },
       "is listed behind"},
      {"order of lists",
       [](SoundHive& h) {
         h.set_u32(h.index, 4, h.second_leaf);
         h.set_u32(h.index, 8, h.first_leaf);
       },
       "'Alpha' is listed behind 'Gamma'"},
      {"two keys of a name, in other letter case",
       [](SoundHive& h) {
         for (std::size_t i = 0; i < 5; ++i)
           h.set_u8(h.gamma, 76 + i, static_cast<std::uint8_t>("bETA\0"[i]));
         h.set_u16(h.gamma, 72, 4);
       },
       "two keys are named 'bETA'"},
      {"hash", [](SoundHive& h) { h.set_u32(h.first_leaf, 8, 1); }, "hash of key 'Alpha'"},
      {"hint", [](SoundHive& h) { h.set_u8(h.fast_leaf, 9, 'x'); }, "hint for key 'Delta'"},
      {"value list missing", [](SoundHive& h) { h.set_u32(h.alpha, 40, 0xFFFFFFFF); },
       "its list of values"},
      {"value count", [](SoundHive& h) { h.set_u32(h.alpha, 36, 0x40000001); },
       "more values than its list"},
      {"value twice", [](SoundHive& h) { h.set_u32(h.value_list, 4, h.inline_value); },
       "in use for something else"},
      {"value is no value", [](SoundHive& h) { h.set_u32(h.value_list, 4, h.plain_data); },
       "not a value"},
      {"value name too long", [](SoundHive& h) { h.set_u16(h.plain_value, 2, 100); },
       "not a value"},
      {"inline size", [](SoundHive& h) { h.set_u32(h.inline_value, 4, 0x80000005); },
       "impossible size"},
      {"data too large", [](SoundHive& h) { h.set_u32(h.plain_value, 4, 109); },
       "does not fit its cell"},
      {"data outside", [](SoundHive& h) { h.set_u32(h.plain_value, 8, 0xFFFFFFFF); }, "its data"},
      {"data shared", [](SoundHive& h) { h.set_u32(h.plain_value, 8, h.big_data); },
       "in use for something else"},
      {"data are the own key", [](SoundHive& h) { h.set_u32(h.plain_value, 8, h.alpha); },
       "in use for something else"},
      {"data of no size are a key",
       [](SoundHive& h) {
         h.set_u32(h.plain_value, 4, 0);
         h.set_u32(h.plain_value, 8, h.alpha);
       },
       "in use for something else"},
      {"big data in one cell", [](SoundHive& h) { h.set_u16(h.big_data, 0, 0); },
       "not a big data record"},
      {"too few segments", [](SoundHive& h) { h.set_u16(h.big_data, 2, 2); }, "2 data segments"},
      {"too many segments", [](SoundHive& h) { h.set_u16(h.big_data, 2, 0xFFFF); },
       "65535 data segments"},
      {"segment list", [](SoundHive& h) { h.set_u32(h.big_data, 4, 0); }, "list of data segments"},
      {"segment list is the record", [](SoundHive& h) { h.set_u32(h.big_data, 4, h.big_data); },
       "in use for something else"},
      {"segment shared", [](SoundHive& h) { h.set_u32(h.segment_list, 4, h.last_segment); },
       "in use for something else"},
      {"segment too small", [](SoundHive& h) { h.set_u32(h.big_value, 4, 40100); },
       "data segment 2 of value 'Big' is cut short"},
      {"security missing", [](SoundHive& h) { h.set_u32(h.gamma, 44, 0xFFFFFFFF); },
       "not in the list of all"},
      {"security is a key", [](SoundHive& h) { h.set_u32(h.gamma, 44, h.alpha); },
       "not in the list of all"},
      {"security size", [](SoundHive& h) { h.set_u32(h.security, 16, 0xFFFFFFF0); },
       "not a security descriptor"},
      {"security next outside", [](SoundHive& h) { h.set_u32(h.security, 4, 0x7FFFFFF8); },
       "not a security descriptor"},
      {"security next zero", [](SoundHive& h) { h.set_u32(h.root_security, 4, 0); },
       "not a security descriptor"},
      {"security previous", [](SoundHive& h) { h.set_u32(h.security, 8, h.security); },
       "links between security descriptors disagree"},
      {"security ring without its start",
       [](SoundHive& h) { h.set_u32(h.security, 4, h.security); }, "in use for something else"},
      {"too few references", [](SoundHive& h) { h.set_u32(h.security, 12, 4); },
       "5 keys use this security descriptor, which has 4"},
  };
  return damages;
}

TEST(Check, FindsEveryDefectThatDoesDamage) {
  for (const Damage& damage : fatal_damages()) {
    SoundHive hive = sound_hive();
    damage.apply(hive);
    test::update_checksum(hive.bytes);
    const CheckResult result = check(hive.bytes);
    EXPECT_FALSE(result.sound()) << damage.name;
    EXPECT_TRUE(has(result, damage.message)) << damage.name;
  }
}

TEST(Check, ReportsAndToleratesWhatDoesNone) {
  const std::vector<Damage> damages = {
      {"too many references", [](SoundHive& h) { h.set_u32(h.security, 12, 6); },
       "harmless: 5 keys use this"},
      {"lost cells", [](SoundHive& h) { h.set_u32(h.alpha, 36, 1); },
       "harmless: nothing refers to this and other used cells"},
      {"name with NUL", [](SoundHive& h) { h.set_u8(h.echo, 78, 0); },
       "harmless: key has the odd name 'Ec\\x00o'"},
      {"two values of a name",
       [](SoundHive& h) {
         h.set_u16(h.plain_value, 2, 3);
         for (std::size_t i = 0; i < 3; ++i)
           h.set_u8(h.plain_value, 20 + i, static_cast<std::uint8_t>("bIG"[i]));
       },
       "harmless: two values are named"},
      {"wrong hash of a name that is not ASCII", [](SoundHive& h) { h.set_u8(h.gamma, 80, 0xE4); },
       "harmless: the hash of key"},
  };
  for (const Damage& damage : damages) {
    SoundHive hive = sound_hive();
    damage.apply(hive);
    const CheckResult result = check(hive.bytes);
    EXPECT_TRUE(result.sound()) << damage.name << '\n' << listed(result);
    EXPECT_TRUE(has(result, damage.message)) << damage.name;
  }
}

TEST(Check, IgnoresWhatHasNoMeaning) {
  const std::vector<std::function<void(SoundHive&)>> changes = {
      [](SoundHive& h) { h.set_u32(h.root, 16, 0x12345678); },  // the root's parent
      [](SoundHive& h) { h.set_u32(h.alpha, 24, 7); },          // volatile subkeys
      [](SoundHive& h) { h.set_u32(h.alpha, 32, 0x12345678); },
      [](SoundHive& h) { h.set_u32(h.gamma, 48, 0); },  // class name of no length
      [](SoundHive& h) { h.set_u32(h.fast_leaf, 8, 0); },
      [](SoundHive& h) {  // a name that has the hash of another value's, "Big"
        h.set_u16(h.plain_value, 2, 3);
        for (std::size_t i = 0; i < 3; ++i)
          h.set_u8(h.plain_value, 20 + i, static_cast<std::uint8_t>("BJ\""[i]));
      },
      [](SoundHive& h) { h.set_u8(h.gamma, 80, 0xFF); },  // a letter of unknown upper case
      [](SoundHive& h) {                                  // a predefined handle
        h.set_u16(h.gamma, 2, 0x60);
        h.set_u32(h.gamma, 36, 0x80000002);
      },
      [](SoundHive& h) { test::set_sequence_numbers(h.bytes, 7, 6); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SoundHive hive = sound_hive();
    changes[i](hive);
    EXPECT_EQ(listed(check(hive.bytes)), "") << i;
  }
}

TEST(Check, WantsBigDataOnlyFromVersion4On) {
  SoundHive hive = sound_hive();
  test::store_u32(hive.bytes, 24, 3);
  const CheckResult result = check(hive.bytes);
  EXPECT_FALSE(result.sound());  // the cell of the `db` record is too small for 40,000 bytes
  EXPECT_TRUE(has(result, "'Big' of 40000 bytes does not fit its cell"));
}

TEST(Check, AcceptsTheLevelsThatWindowsHasAndNoMore) {
  EXPECT_EQ(listed(check(test::chain_of_keys(512))), "");
  const CheckResult result = check(test::chain_of_keys(513));
  EXPECT_EQ(result.fatal, 1);
  EXPECT_TRUE(has(result, "deeper than Windows allows"));
}

TEST(Check, DoesNotRecurse) {
  EXPECT_FALSE(check(test::chain_of_keys(100'000)).sound());
}

TEST(Check, TakesNoLongerForListsThatRepeatEachOther) {
  CraftedHive crafted;
  const std::vector<std::uint32_t> keys(60'000, crafted.key("key", 0, CraftedHive::none));
  const std::vector<std::uint32_t> lists(60'000, crafted.list("li", keys));
  const Bytes hive = crafted.finish(crafted.key("root", 0xFFFFFFFF, crafted.list("ri", lists)));
  EXPECT_GT(check(hive).fatal, 100'000);  // 3,600,000,000 if each list were read each time
}

TEST(Check, KeepsTheFirstFindingsAndCountsAll) {
  CraftedHive crafted;
  const std::vector<std::uint32_t> keys(5000, 0x7FFFFFF8);
  const CheckResult result =
      check(crafted.finish(crafted.key("root", 5000, crafted.list("li", keys))));
  EXPECT_GE(result.fatal, 5000);
  EXPECT_LE(result.findings.size(), 101);
}

TEST(Check, EscapesNames) {
  SoundHive hive = sound_hive();
  hive.set_u8(hive.delta, 77, 0x1B);
  hive.set_u32(hive.delta, 16, hive.alpha);
  const CheckResult result = check(hive.bytes);
  EXPECT_TRUE(has(result, "D\\x1blta"));
  EXPECT_EQ(listed(result).find('\x1B'), std::string::npos);
}

TEST(Check, SaysWhereInTheFileTheRecordIs) {
  SoundHive hive = sound_hive();
  hive.set_u32(hive.inline_value, 4, 0x80000005);
  const CheckResult result = check(hive.bytes);
  ASSERT_FALSE(result.findings.empty());
  EXPECT_EQ(result.findings.front().offset, 4096 + hive.inline_value);
}

// Reads everything that the interface gives.
void read_whole(const Tree& tree) {
  test::visit_keys(tree, [&](const std::string&, CellOffset key) {
    tree.security_descriptor(tree.key(key).security);
    for (const CellOffset value : tree.values(key)) {
      tree.value(value);
      tree.value_data(value);
    }
  });
}

TEST(Check, NeverThrowsAndWhatItFindsSoundCanBeReadWhole) {
  std::minstd_rand random(20240611);
  std::size_t sound = 0;
  for (unsigned round = 0; round < 2000; ++round) {
    Bytes hive = sound_hive().bytes;
    // The records; the middle is the data of one value.
    for (unsigned i = 0; i < 1 + round % 3; ++i) {
      const std::size_t offset = random() % 2 == 0 ? random() % 4500 : 44'000 + random() % 3000;
      hive.at(offset % hive.size()) = static_cast<std::byte>(random());
    }
    test::update_checksum(hive);
    const CheckResult result = check(hive);
    if (!result.sound()) continue;
    ++sound;
    EXPECT_NO_THROW(read_whole(Tree(hive)));
  }
  EXPECT_GT(sound, 100);
  EXPECT_LT(sound, 1900);
}

TEST(CheckOfRealHives, FindsNothingFatal) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  // Two of them are dirty: Windows had written what they lack, or what they have, as a whole.
  for (const std::string& name : test::names_of_real_hives()) {
    const Bytes hive = real_hive(name);
    const CheckResult result = check(hive);
    EXPECT_TRUE(result.sound()) << name << '\n' << listed(result);
    EXPECT_NO_THROW(read_whole(Tree(hive))) << name;
  }
  for (const char* name : {"NewDirtyHive1/NewDirtyHive", "OldDirtyHive/OldDirtyHive"})
    EXPECT_TRUE(check(real_hive(name)).sound()) << name;
}

struct OddHive {
  const char* name;
  const char* fatal;  // nullptr: sound
};

TEST(CheckOfOddHives, TellsTheDamagedFromTheUnusual) {
  if (!test::real_hives()) GTEST_SKIP() << test::no_real_hives;
  const std::vector<OddHive> hives = {
      {"BadListHive", "is in use for something else"},    // two keys share a list of subkeys
      {"BadSubkeyHive", "is in use for something else"},  // a key with two parents
      {"BigDataHive", nullptr},
      {"BogusKeyNamesHive", nullptr},  // line break, NUL: Windows lets programs create these
      {"DeletedDataHive", nullptr},    // in free cells
      {"DupNameHive", nullptr},        // the second name is in a free cell
      {"DuplicateSubkeysHive", "two keys are named '4500'"},
      {"EffectiveSizeHive", "no cell at"},  // bins size covers a part of the hive only
      {"EmptyHive", nullptr},
      {"ExtendedASCIIHive", nullptr},
      {"GarbageHive", "not a multiple of 4096"},  // hivex reads beyond such a file in memory
      {"InvalidParentHive", "names another parent"},
      {"ManySubkeysHive", nullptr},
      {"MultiSzHive", nullptr},
      {"NewFlagsHive", nullptr},
      {"OffHive", nullptr},       // written by offreg.dll
      {"RemnantsHive", nullptr},  // behind the bins
      {"SlackHive", nullptr},
      {"StringValuesHive", nullptr},
      {"TruncatedDirtyHive", "truncated"},
      {"TruncatedHive", "truncated"},
      {"TruncatedNameHive", "its name is cut short"},
      {"UnicodeHive", nullptr},
      {"UpcaseHive", nullptr},  // sorted by upper case: right
      {"ValuesOrderHive", nullptr},
      {"WrongOrderHive", "'1' is listed behind '2'"},
  };
  for (const OddHive& odd : hives) {
    const CheckResult result = check(real_hive(std::string("odd/") + odd.name));
    EXPECT_EQ(result.sound(), odd.fatal == nullptr) << odd.name << '\n' << listed(result);
    if (odd.fatal != nullptr) {
      EXPECT_TRUE(has(result, odd.fatal)) << odd.name;
    }
  }
}

}  // namespace
}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/contents.h"

#include <gtest/gtest.h>

#include "hive/error.h"
#include "tests/unit/hive/hive_fixture.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::hive {
namespace {

using ContentsTest = test::HiveTest;

// All keys, from the root on.
std::vector<KeyPath> all_keys(const Contents& contents) {
  std::vector<KeyPath> keys = {KeyPath()};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const KeyPath key = keys[i];
    for (const std::string& name : contents.subkeys(key)) keys.push_back(key / name);
  }
  return keys;
}

TEST_F(ContentsTest, AreWhatHivexFinds) {
  for (const char* name : {"nt52.system", "nt61.system", "nt100.system"}) {
    const std::string path = fixture(name);
    const Bytes bytes = test::read_file(path);
    const Contents contents(bytes);
    const Hive hive(path, Hive::Mode::read);
    const std::vector<KeyPath> keys = all_keys(contents);
    EXPECT_GT(keys.size(), 10U);
    for (const KeyPath& key : keys) {
      EXPECT_EQ(contents.values(key), hive.values(key)) << key.to_string();
      EXPECT_EQ(contents.subkeys(key), hive.subkeys(key)) << key.to_string();
    }
  }
}

TEST_F(ContentsTest, AreFoundWhateverTheLetterCase) {
  const Bytes bytes = test::fixture_hive("nt61.system");
  const Contents contents(bytes);
  const KeyPath key = KeyPath::parse("CONTROLSET001\\services\\TCPIP\\parameters");
  EXPECT_TRUE(contents.has_key(key));
  EXPECT_EQ(contents.value(key, "HOSTNAME"), sz("guest"));
  EXPECT_EQ(contents.value(key, "missing"), std::nullopt);
}

TEST_F(ContentsTest, HaveNothingWhereAKeyIsMissing) {
  const Bytes bytes = test::fixture_hive("nt61.system");
  const Contents contents(bytes);
  const KeyPath missing = KeyPath::parse("Select\\None\\Below");
  EXPECT_FALSE(contents.has_key(missing));
  EXPECT_EQ(contents.values(missing), std::nullopt);
  EXPECT_EQ(contents.value(missing, ""), std::nullopt);
  EXPECT_TRUE(contents.subkeys(missing).empty());
}

TEST_F(ContentsTest, TellWhichSubkeysHaveAValue) {
  const Bytes bytes = test::fixture_hive("nt52-per-interface.system");
  const Contents contents(bytes);
  const KeyPath key = KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters\\Interfaces");
  const std::vector<std::string> found = {"{8718928D-CBEB-45EA-A621-800A9249001D}"};
  EXPECT_EQ(contents.subkeys_with_value(key, "tcpwindowsize"), found);
  EXPECT_TRUE(contents.subkeys_with_value(key, "TcpWindow").empty());
  EXPECT_TRUE(contents.subkeys_with_value(key / "None", "TcpWindowSize").empty());
}

TEST_F(ContentsTest, IncludeDataOfSeveralCells) {
  const test::SoundHive hive = test::sound_hive();
  const auto value = Contents(hive.bytes).value(KeyPath::parse("Alpha"), "Big");
  ASSERT_TRUE(value);
  EXPECT_GT(value->data.size(), std::size_t{2} * largest_plain_value);
}

TEST_F(ContentsTest, OfADamagedHiveAreAnError) {
  test::SoundHive hive = test::sound_hive();
  hive.set_u16(hive.beta, 0, 0);  // not a key any more
  EXPECT_THROW(static_cast<void>(Contents(hive.bytes).has_key(KeyPath::parse("Beta"))), Error);
}

}  // namespace
}  // namespace kvmnet::hive

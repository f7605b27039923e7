// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/hive.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "hive/error.h"
#include "src/support/fd.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/hive/crafted_hive.h"
#include "tests/unit/hive/hive_fixture.h"

namespace kvmnet::hive {
namespace {

using test::find_text;
using test::fixture_hive;
using test::read_file;
using Lines = std::vector<std::string>;
using Mode = Hive::Mode;
using HiveReading = test::HiveTest;

const KeyPath parameters = KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");

TEST_F(HiveReading, FindsKeysAndValues) {
  const Hive hive(fixture("nt52-per-interface.system"), Mode::read);
  EXPECT_TRUE(hive.has_key(KeyPath()));
  EXPECT_TRUE(hive.has_key(parameters));
  EXPECT_EQ(hive.value(parameters, "GlobalMaxTcpWindowSize"), dword(0xFFFF));
  EXPECT_EQ(hive.value(parameters, "Hostname"), sz("guest"));
  EXPECT_EQ(hive.value(parameters, "Domain"), sz(""));
  EXPECT_EQ(hive.value(parameters, "DataBasePath"),
            expand_sz("%SystemRoot%\\System32\\drivers\\etc"));
  EXPECT_EQ(hive.value(KeyPath::parse("ControlSet001\\Services\\Tcpip"), "DependOnService"),
            multi_sz({"IPSec"}));
}

TEST_F(HiveReading, DoesNotCareAboutLetterCase) {
  const Hive hive(fixture("nt61.system"), Mode::read);
  const auto key = KeyPath::parse("controlset001\\SERVICES\\tcpIP\\PARAMETERS");
  EXPECT_TRUE(hive.has_key(key));
  EXPECT_EQ(hive.value(key, "HOSTNAME"), hive.value(parameters, "Hostname"));
  EXPECT_NE(hive.value(key, "hostname"), std::nullopt);
}

TEST_F(HiveReading, SaysWhatIsAbsent) {
  const Hive hive(fixture("nt61.system"), Mode::read);
  EXPECT_EQ(hive.value(parameters, "EnableWsd"), std::nullopt);
  EXPECT_EQ(hive.value(parameters, ""), std::nullopt);
  for (const char* absent : {"Nothing", "ControlSet001\\Services\\Tcpip\\Parameters\\x",
                             "ControlSet001\\Services\\Tcpi", "ControlSet001\\Services\\Tcpip2"}) {
    const auto key = KeyPath::parse(absent);
    EXPECT_FALSE(hive.has_key(key));
    EXPECT_EQ(hive.value(key, "Hostname"), std::nullopt);
    EXPECT_EQ(hive.values(key), std::nullopt);
    EXPECT_TRUE(hive.subkeys(key).empty());
  }
}

TEST_F(HiveReading, ListsValuesAndSubkeys) {
  const Hive hive(fixture("nt52-per-interface.system"), Mode::read);
  const std::vector<NamedValue> select = {{"Current", dword(1)},
                                          {"Default", dword(1)},
                                          {"Failed", dword(0)},
                                          {"LastKnownGood", dword(2)}};
  EXPECT_EQ(hive.values(KeyPath::parse("Select")), select);
  EXPECT_EQ(
      hive.subkeys(parameters / "Interfaces"),
      (Lines{"{8718928D-CBEB-45EA-A621-800A9249001D}", "{B0E24C4B-50F2-4B60-BCB3-EF2C3FF3394E}"}));
  EXPECT_EQ(hive.values(KeyPath::parse("MountedDevices")), std::vector<NamedValue>());
  EXPECT_TRUE(hive.subkeys(KeyPath::parse("MountedDevices")).empty());
}

TEST_F(HiveReading, FindsTheDefaultValueAndValuesWithoutData) {
  const std::string path = file(test::minimal_hive());
  test::merge(path, "[\\Key]\n@=\"default\"\n\"Empty\"=hex(3):\n\"Odd\"=hex(99):01\n");
  const Hive hive(path, Mode::read);
  const auto key = KeyPath::parse("Key");
  EXPECT_EQ(hive.value(key, ""), sz("default"));
  EXPECT_EQ(hive.value(key, "Empty"), (Value{Type::binary, {}}));
  EXPECT_EQ(hive.value(key, "Odd"), (Value{static_cast<Type>(0x99), {std::byte{1}}}));
}

TEST_F(HiveReading, FindsNothingBesideNamesThatAreNotAscii) {
  const std::string path = file(test::minimal_hive());
  test::merge(path,
              "[\\Key]\n\n[\\Key\\Xrger]\n\"Gr\xC3\xB6\xC3\x9F"
              "e\"=dword:00000007\n");
  Bytes bytes = read_file(path);
  const auto at = find_text(bytes, "Xrger");  // made Latin-1, as drivers' keys are
  ASSERT_NE(at, bytes.end());
  *at = std::byte{0xC4};
  const Hive hive(file(bytes), Mode::read);
  EXPECT_EQ(hive.subkeys(KeyPath::parse("Key")), Lines{"\xC3\x84rger"});
  EXPECT_FALSE(hive.has_key(KeyPath::parse("Key\\kvmnet-firstboot")));
  EXPECT_EQ(hive.value(KeyPath::parse("Key\\\xC3\x84rger"),
                       "Gr\xC3\xB6\xC3\x9F"
                       "e"),
            dword(7));
}

TEST_F(HiveReading, WorksOnAFileInMemory) {
  const Fd memory = make_memory_file("SYSTEM");
  write_whole(memory, fixture_hive("nt61.system"));
  const Hive hive(proc_path(memory), Mode::read);
  EXPECT_EQ(hive.value(parameters, "Hostname"), sz("guest"));
}

TEST_F(HiveReading, OfABaseBlockLeavesTheFilePositionAlone) {
  const Fd fd = open_file(fixture("nt61.system"), O_RDONLY);
  ASSERT_EQ(::lseek(fd.get(), 7, SEEK_SET), 7);
  EXPECT_EQ(read_base_block(fd.get()).condition, Condition::clean);
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_CUR), 7);
  EXPECT_THROW(read_base_block(-1), Error);
}

TEST_F(HiveReading, FailsOnWhatIsNotThere) {
  EXPECT_THROW(Hive(directory() + "/nothing", Mode::read), Error);
  EXPECT_THROW(Hive(directory(), Mode::read), Error);
}

TEST_F(HiveReading, RefusesWhatIsNotCleanInBothModes) {
  const Bytes good = fixture_hive("nt61.system");
  Bytes bad_checksum = good;
  bad_checksum[100] ^= std::byte{1};
  Bytes truncated = good;
  truncated.resize(good.size() - 4096);
  Bytes odd_size = good;
  odd_size.resize(good.size() + 1);
  const std::pair<const char*, Bytes> table[] = {{"dirty", test::with_dirty_header(good)},
                                                 {"checksum", bad_checksum},
                                                 {"truncated", truncated},
                                                 {"odd size", odd_size},
                                                 {"empty", {}},
                                                 {"no hive", Bytes(8192)}};
  for (const auto& [what, bytes] : table) {
    const std::string path = file(bytes);
    for (const Mode mode : {Mode::read, Mode::edit}) EXPECT_THROW(Hive(path, mode), Error) << what;
    EXPECT_EQ(read_file(path), bytes) << what;
  }
}

TEST_F(HiveReading, RefusesBinsThatDoNotCoverTheHive) {
  const Bytes good = fixture_hive("nt61.system");
  ASSERT_GE(good.size(), 4096U * 3);
  const std::uint32_t first_size = test::load_u32(good, 4096 + 8);
  const std::size_t second = 4096 + first_size;
  ASSERT_LT(second, good.size());
  const auto bins_size = static_cast<std::uint32_t>(good.size() - 4096);
  const struct {
    const char* what;
    std::size_t offset;
    std::uint32_t value;
  } table[] = {
      {"no signature", 4096, 0},
      {"no signature in the second", second, 0x6E696269},
      {"wrong own offset", second + 4, 0},
      {"size 0", 4096 + 8, 0},
      {"size unaligned", second + 8, 4097},
      {"size beyond the hive", 4096 + 8, bins_size + 4096},
      {"size negative", second + 8, 0xFFFFF000},
      {"first swallows the second, which hivex then allots again", 40, bins_size - 4096},
  };
  for (const auto& row : table) {
    Bytes bytes = good;
    test::store_u32(bytes, row.offset, row.value);
    test::update_checksum(bytes);
    if (row.offset == 40) test::store_u32(bytes, 4096 + 8, bins_size);
    const std::string path = file(bytes);
    for (const Mode mode : {Mode::read, Mode::edit})
      EXPECT_THROW(Hive(path, mode), Error) << row.what;
    EXPECT_EQ(read_file(path), bytes) << row.what;
  }
}

TEST_F(HiveReading, RefusesABinThatReachesBeyondTheSizeInTheHeader) {
  // hivex would put its next bin into the middle of this one.
  test::CraftedHive crafted;
  const auto root = crafted.key("root", 0, test::CraftedHive::none);
  crafted.cell(Bytes(9000));
  Bytes bytes = crafted.finish(root);
  ASSERT_EQ(bytes.size(), 4096U + 12288U);
  EXPECT_NO_THROW(Hive(file(bytes), Mode::edit));
  for (const std::uint32_t size : {4096U, 8192U}) {
    test::store_u32(bytes, 40, size);
    test::update_checksum(bytes);
    for (const Mode mode : {Mode::read, Mode::edit})
      EXPECT_THROW(Hive(file(bytes), mode), Error) << size;
  }
}

// Reads what can be read below `key`; a damaged key ends its own branch only.
void walk(const Hive& hive, const KeyPath& key, std::size_t& budget) {
  if (budget == 0 || key.elements().size() == 64) return;
  --budget;
  try {
    hive.values(key);
    for (const std::string& name : hive.subkeys(key))
      if (!name.empty() && name.find('\\') == std::string::npos) walk(hive, key / name, budget);
  } catch (const Error&) {
  }
}

TEST_F(HiveReading, OfOddHivesEndsInAnswersOrErrors) {
  const auto real = test::real_hives();
  if (!real) GTEST_SKIP() << test::no_real_hives;
  constexpr std::size_t most_keys = 300;  // some hives have thousands, all alike
  std::size_t hives = 0;
  std::size_t keys = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*real + "/odd")) {
    SCOPED_TRACE(entry.path());
    const std::string path = file(test::real_hive("odd/" + entry.path().stem().string()));
    std::size_t budget = most_keys;
    try {
      walk(Hive(path, Mode::read), KeyPath(), budget);
    } catch (const Error&) {
    }
    ++hives;
    keys += most_keys - budget;
  }
  EXPECT_GE(hives, 20U);
  EXPECT_GE(keys, 100U);
}

}  // namespace
}  // namespace kvmnet::hive

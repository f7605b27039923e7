// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/windows.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "src/support/error.h"

namespace kvmnet {
namespace {

TEST(Windows, ReadsVersionsWithAndWithoutBuild) {
  const std::vector<std::pair<std::string_view, WindowsVersion>> cases = {
      {"5.1", {5, 1, 0}},
      {"6.1", {6, 1, 0}},
      {"6.1.7601", {6, 1, 7601}},
      {"10.0", {10, 0, 0}},
      {"10.0.26100", {10, 0, 26100}},
      {"0.0.0", {0, 0, 0}},
      {"2147483647.0.2147483647", {2147483647, 0, 2147483647}}};
  for (const auto& [text, version] : cases) EXPECT_EQ(parse_windows_version(text), version) << text;
}

TEST(Windows, RefusesWhatIsNotAVersionAndQuotesIt) {
  const std::vector<std::string> cases = {"",
                                          "6",
                                          "6.",
                                          ".1",
                                          "6..1",
                                          "6.1.",
                                          "6.1.7601.1",
                                          "6,1",
                                          " 6.1",
                                          "6.1 ",
                                          "v6.1",
                                          "6.1.x",
                                          "0x6.1",
                                          "+6.1",
                                          "-6.1",
                                          "6.-1",
                                          "6.1.-1",
                                          "6.1\n",
                                          "6.1.1e3",
                                          "\xff\xfe",
                                          "Windows 10",
                                          "6.99999999999999999999",
                                          "2147483648.0",
                                          "six.one",
                                          "6.1\xC2\xA0"};
  for (const std::string& text : cases) {
    try {
      parse_windows_version(text);
      ADD_FAILURE() << "accepted '" << text << "'";
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find("'" + text + "'"), std::string::npos) << e.what();
    }
  }
}

TEST(Windows, RefusesAMinusBeforeZero) {
  EXPECT_THROW(parse_windows_version("6.-0"), UsageError);
  EXPECT_THROW(parse_windows_version("10.0.-0"), UsageError);
}

TEST(Windows, RefusesVeryLongTextsAndNulCharacters) {
  std::string text = "6";
  for (int i = 0; i < 10000; ++i) text += ".1";
  EXPECT_THROW(parse_windows_version(text), UsageError);
  EXPECT_THROW(parse_windows_version(std::string(100000, '9')), UsageError);
  EXPECT_THROW(parse_windows_version(std::string_view("6.1\0", 4)), UsageError);
}

TEST(Windows, VersionsReadWellWithAndWithoutBuild) {
  EXPECT_EQ(to_string(WindowsVersion{6, 1, 0}), "6.1");
  EXPECT_EQ(to_string(WindowsVersion{10, 0, 19045}), "10.0 build 19045");
}

TEST(Windows, VersionsOrderByMajorThenMinorThenBuild) {
  const std::vector<WindowsVersion> ascending = {{5, 2, 3790}, {6, 0, 0},      {6, 0, 6002},
                                                 {6, 3, 9600}, {10, 0, 10240}, {10, 0, 26100}};
  for (std::size_t i = 1; i < ascending.size(); ++i)
    EXPECT_LT(ascending[i - 1], ascending[i]) << to_string(ascending[i]);
}

TEST(Windows, SupportsWhatThereAreFactsAbout) {
  for (const WindowsVersion& version :
       {WindowsVersion{5, 1, 2600}, WindowsVersion{5, 2, 3790}, WindowsVersion{6, 0, 6002},
        WindowsVersion{6, 1, 7601}, WindowsVersion{6, 2, 9200}, WindowsVersion{6, 3, 9600},
        WindowsVersion{5, 1, 0}, WindowsVersion{6, 3, 0}, WindowsVersion{10, 0, 10240},
        WindowsVersion{10, 0, 26100}})
    EXPECT_TRUE(is_supported(version)) << to_string(version);
  for (const WindowsVersion& version :
       {WindowsVersion{}, WindowsVersion{4, 0, 1381}, WindowsVersion{5, 0, 2195},
        WindowsVersion{5, 3, 0}, WindowsVersion{6, 4, 9841}, WindowsVersion{6, -1, 0},
        WindowsVersion{7, 0, 0}, WindowsVersion{10, 0, 0}, WindowsVersion{10, 0, -1},
        WindowsVersion{10, 1, 19045}, WindowsVersion{11, 0, 22000}})
    EXPECT_FALSE(is_supported(version)) << to_string(version);
}

TEST(Windows, LegacyIsXpAndServer2003) {
  EXPECT_TRUE(is_legacy({5, 1, 2600}));
  EXPECT_TRUE(is_legacy({5, 2, 3790}));
  EXPECT_FALSE(is_legacy({6, 0, 6002}));
  EXPECT_FALSE(is_legacy({10, 0, 19045}));
}

TEST(Windows, KnowsArchitecturesInAnyLetterCase) {
  const std::vector<std::pair<std::string_view, Architecture>> cases = {
      {"x86", Architecture::x86},     {"X86", Architecture::x86},
      {"AMD64", Architecture::amd64}, {"amd64", Architecture::amd64},
      {"ARM64", Architecture::arm64}, {"Arm64", Architecture::arm64},
      {"IA64", Architecture::ia64},   {"ia64", Architecture::ia64},
      {"ARM", Architecture::arm},     {"arm", Architecture::arm}};
  for (const auto& [text, architecture] : cases)
    EXPECT_EQ(parse_architecture(text), architecture) << text;
  for (const std::string_view text : {"", "x64", "AMD64 ", "AMD", "amd640", "\xff"})
    EXPECT_EQ(parse_architecture(text), std::nullopt) << text;
}

TEST(Windows, ArchitectureNamesReadBack) {
  for (const Architecture architecture :
       {Architecture::x86, Architecture::amd64, Architecture::arm64, Architecture::ia64,
        Architecture::arm})
    EXPECT_EQ(parse_architecture(to_string(architecture)), architecture);
}

TEST(Windows, KnowsProductTypesInAnyLetterCase) {
  const std::vector<std::pair<std::string_view, ProductType>> cases = {
      {"WinNT", ProductType::client},
      {"WINNT", ProductType::client},
      {"ServerNT", ProductType::server},
      {"servernt", ProductType::server},
      {"LanmanNT", ProductType::domain_controller},
      {"LANMANNT", ProductType::domain_controller}};
  for (const auto& [text, type] : cases) EXPECT_EQ(parse_product_type(text), type) << text;
  for (const std::string_view text : {"", "NT", "Server", "WinNT\n", "client"})
    EXPECT_EQ(parse_product_type(text), std::nullopt) << text;
}

TEST(Windows, ProductTypesHaveWordsForPeople) {
  EXPECT_EQ(to_string(ProductType::client), "client");
  EXPECT_EQ(to_string(ProductType::server), "server");
  EXPECT_EQ(to_string(ProductType::domain_controller), "domain controller");
}

}  // namespace
}  // namespace kvmnet

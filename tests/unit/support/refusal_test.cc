// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/refusal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "src/support/reasons_manual.h"

namespace kvmnet {
namespace {

// The compiler's name of an enumerator, with hyphens: "image-in-use". For a number that is none it
// writes a cast, "(kvmnet::Reason)99", and this is empty.
template <Reason reason>
std::string code_by_name() {
  const std::string_view function = __PRETTY_FUNCTION__;
  const std::string_view marker = "reason = kvmnet::Reason::";
  const std::size_t begin = function.find(marker);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = function.substr(begin + marker.size());
  std::string name(rest.substr(0, rest.find_first_of(";]")));
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

template <int... numbers>
std::array<std::string, sizeof...(numbers)> codes(std::integer_sequence<int, numbers...>) {
  return {code_by_name<static_cast<Reason>(numbers)>()...};
}

// The expected code of every Reason, by its number.
std::vector<std::string> all_codes() {
  const auto some = codes(std::make_integer_sequence<int, 100>());
  const auto end = std::find(some.begin(), some.end(), "");
  return {some.begin(), end};
}

TEST(Refusal, EveryReasonHasTheCodeOfItsName) {
  const std::vector<std::string> expected = all_codes();
  ASSERT_GT(expected.size(), static_cast<std::size_t>(Reason::option_unsupported));
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(code(static_cast<Reason>(i)), expected[i]);
}

TEST(Refusal, CodesAreUniqueKebabCaseWords) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < all_codes().size(); ++i) {
    const std::string_view text = code(static_cast<Reason>(i));
    EXPECT_TRUE(seen.insert(text).second) << text << " is there twice";
    EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), std::string_view::npos);
    EXPECT_FALSE(text.starts_with('-') || text.ends_with('-')) << text;
  }
}

TEST(Refusal, EveryReasonSaysWhatToDo) {
  for (std::size_t i = 0; i < all_codes().size(); ++i) {
    const auto reason = static_cast<Reason>(i);
    EXPECT_GT(remedy(reason).size(), 20U) << code(reason);
    EXPECT_FALSE(remedy(reason).ends_with('.')) << code(reason) << ": reports go on behind it";
  }
}

TEST(Refusal, TheManualIsMadeOfTheTable) {
  const auto path = std::filesystem::path(KVMNET_FIXTURES).parent_path() / "docs" / "reasons.md";
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  file.close();
  const std::size_t table = text.find("| code |");
  ASSERT_NE(table, std::string::npos);
  if (std::getenv("KVMNET_UPDATE_GOLDEN") != nullptr)
    std::ofstream(path) << text.substr(0, table) + manual_of_reasons();
  else
    EXPECT_EQ(text.substr(table), manual_of_reasons());
}

TEST(Refusal, EveryCodeIsInTheDocumentForPrograms) {
  std::ifstream file(std::filesystem::path(KVMNET_FIXTURES).parent_path() / "docs" / "json.md");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const std::string_view word : all_codes())
    EXPECT_NE(text.find(fmt::format("`{}`", word)), std::string::npos) << word;
}

TEST(Refusal, AValuePassesAndARefusalEndsTheWork) {
  using Result = std::variant<int, Refusal>;
  EXPECT_EQ(value_or_refuse(Result(7)), 7);
  const Refusal refusal = {Reason::hibernated, "the volume is hibernated"};
  try {
    value_or_refuse(Result(refusal));
    ADD_FAILURE() << "went on";
  } catch (const Refused& e) {
    EXPECT_EQ(e.refusal, refusal);
  }
}

}  // namespace
}  // namespace kvmnet

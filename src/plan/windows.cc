// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/windows.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

#include "hive/key_path.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

template <typename T>
struct Name {
  std::string_view text;
  T value;
};

template <typename T, std::size_t N>
std::optional<T> find(const std::array<Name<T>, N>& names, std::string_view text) {
  for (const Name<T>& name : names)
    if (hive::same_name(name.text, text)) return name.value;
  return std::nullopt;
}

constexpr std::array<Name<Architecture>, 5> architectures = {{{"x86", Architecture::x86},
                                                              {"AMD64", Architecture::amd64},
                                                              {"ARM64", Architecture::arm64},
                                                              {"IA64", Architecture::ia64},
                                                              {"ARM", Architecture::arm}}};
constexpr std::array<Name<ProductType>, 3> product_types = {
    {{"WinNT", ProductType::client},
     {"ServerNT", ProductType::server},
     {"LanmanNT", ProductType::domain_controller}}};

// The numbers of "a.b.c"; empty where anything else is in it.
std::vector<int> dotted_numbers(std::string_view text) {
  std::vector<int> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    int number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{} || *at == '-') return {};
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != '.') return {};
    at = next + 1;
  }
}

}  // namespace

WindowsVersion parse_windows_version(std::string_view text) {
  const std::vector<int> numbers = dotted_numbers(text);
  if (numbers.size() != 2 && numbers.size() != 3)
    throw UsageError(fmt::format(
        "'{}' is not a Windows version: give MAJOR.MINOR or MAJOR.MINOR.BUILD, e.g. 6.1 or "
        "10.0.19045",
        text));
  return {numbers[0], numbers[1], numbers.size() == 3 ? numbers[2] : 0};
}

std::string to_string(const WindowsVersion& version) {
  if (version.build == 0) return fmt::format("{}.{}", version.major, version.minor);
  return fmt::format("{}.{} build {}", version.major, version.minor, version.build);
}

bool is_supported(const WindowsVersion& version) {
  const auto [major, minor, build] = version;
  if (major == 5) return minor == 1 || minor == 2;
  if (major == 6) return minor >= 0 && minor <= 3;
  return major == 10 && minor == 0 && build > 0;
}

std::optional<Architecture> parse_architecture(std::string_view text) {
  return find(architectures, text);
}

std::string_view to_string(Architecture architecture) {
  switch (architecture) {
    case Architecture::x86:
      return "x86";
    case Architecture::amd64:
      return "amd64";
    case Architecture::arm64:
      return "arm64";
    case Architecture::ia64:
      return "ia64";
    case Architecture::arm:
      return "arm";
  }
  return "unknown";
}

std::optional<ProductType> parse_product_type(std::string_view text) {
  return find(product_types, text);
}

std::string_view to_string(ProductType type) {
  switch (type) {
    case ProductType::client:
      return "client";
    case ProductType::server:
      return "server";
    case ProductType::domain_controller:
      return "domain controller";
  }
  return "unknown";
}

}  // namespace kvmnet

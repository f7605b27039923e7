// SPDX-License-Identifier: GPL-2.0-or-later
// Which Windows a guest runs: the part of the facts that the tables of settings are keyed by.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace kvmnet {

// The NT version; from 10.0 on the build tells the releases apart.
struct WindowsVersion {
  int major = 0;
  int minor = 0;
  int build = 0;  // 0: not known
  auto operator<=>(const WindowsVersion&) const = default;
};

// "6.1", "10.0", or with the build "10.0.19045". Throws UsageError on anything else.
WindowsVersion parse_windows_version(std::string_view text);
std::string to_string(const WindowsVersion& version);

// True for the versions that kvmnet has facts about: 5.1, 5.2, 6.0 to 6.3 and 10.0 with its build.
bool is_supported(const WindowsVersion& version);

// XP and Server 2003: TCP settings are registry values only.
inline bool is_legacy(const WindowsVersion& version) {
  return version.major == 5;
}

enum class Architecture { x86, amd64, arm64, ia64, arm };
// From Control\Session Manager\Environment\PROCESSOR_ARCHITECTURE.
std::optional<Architecture> parse_architecture(std::string_view text);
std::string_view to_string(Architecture architecture);

enum class ProductType { client, server, domain_controller };
// From Control\ProductOptions\ProductType: WinNT, ServerNT, LanmanNT (MSDN, "ProductOptions").
std::optional<ProductType> parse_product_type(std::string_view text);
std::string_view to_string(ProductType type);

}  // namespace kvmnet

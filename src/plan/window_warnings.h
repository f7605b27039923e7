// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/plan/facts.h"
#include "src/plan/settings.h"

namespace kvmnet {

inline constexpr std::string_view tcpip_parameters = "Services\\Tcpip\\Parameters";

// What wins over TcpWindowSize = `window` (bytes) in that control set of a Windows 5.x, in words: a
// window per interface wins over the global one, and GlobalMaxTcpWindowSize caps it (learn
// cc938219, cc757802).
std::vector<std::string> window_warnings(const ControlSet& set,
                                         std::optional<std::uint32_t> window);

// Why Windows may not take `value` as it is: for .reg files, which can have anything. Nothing: its
// type and its number are as documented (see known_values()).
std::optional<std::string> objection(const KnownValue& known, const hive::Value& value);

// Windows scales windows above 65535 bytes only if bit 0 of Tcp1323Opts is set (KB263088); nothing:
// it does, or need not. `options`: nothing where Tcp1323Opts is not set.
std::optional<std::string> scaling_objection(std::optional<std::uint32_t> window,
                                             std::optional<std::uint32_t> options);

}  // namespace kvmnet

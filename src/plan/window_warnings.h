// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/plan/facts.h"

namespace kvmnet {

inline constexpr std::string_view tcpip_parameters = "Services\\Tcpip\\Parameters";

// What wins over TcpWindowSize = `window` (bytes) in that control set of a Windows 5.x, in words: a
// window per interface wins over the global one, and GlobalMaxTcpWindowSize caps it (learn
// cc938219, cc757802).
std::vector<std::string> window_warnings(const ControlSet& set,
                                         std::optional<std::uint32_t> window);

}  // namespace kvmnet

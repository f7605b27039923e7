// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/window_warnings.h"

#include <fmt/format.h>

#include "hive/value.h"

namespace kvmnet {

std::vector<std::string> window_warnings(const ControlSet& set,
                                         std::optional<std::uint32_t> window) {
  constexpr std::size_t most = 16;
  std::vector<std::string> warnings;
  for (const std::string& name : set.interfaces_with_window) {
    if (warnings.size() == most) {
      warnings.push_back(fmt::format("{}: {} more interfaces have a TcpWindowSize of their own",
                                     set.name, set.interfaces_with_window.size() - most));
      break;
    }
    warnings.push_back(fmt::format("{}: interface {} has a TcpWindowSize of its own, which wins",
                                   set.name, hive::escaped(name)));
  }
  const auto cap = value_of(set, tcpip_parameters, "GlobalMaxTcpWindowSize");
  const auto limit = cap ? hive::as_dword(*cap) : std::nullopt;
  if (limit && window && *limit < *window)
    warnings.push_back(
        fmt::format("{}: GlobalMaxTcpWindowSize={:#x} limits TcpWindowSize", set.name, *limit));
  return warnings;
}

std::optional<std::string> objection(const KnownValue& known, const hive::Value& value) {
  const auto number = hive::as_dword(value);
  if (number && *number >= known.smallest && *number <= known.largest) return std::nullopt;
  return fmt::format("{}={}: Windows documents a dword of {} to {:#x}, and may ignore others",
                     known.name, hive::describe(value), known.smallest, known.largest);
}

std::optional<std::string> scaling_objection(std::optional<std::uint32_t> window,
                                             std::optional<std::uint32_t> options) {
  if (!window || *window <= 0xFFFF || (options.value_or(0) & 1U) != 0) return std::nullopt;
  return fmt::format(
      "TcpWindowSize={:#x} needs window scaling: Tcp1323Opts must be 1 or 3, and will {}", *window,
      options ? fmt::format("be {}", *options) : "not be set");
}

}  // namespace kvmnet

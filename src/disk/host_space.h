// SPDX-License-Identifier: GPL-2.0-or-later
// Whether the host's disk has room for what we are going to write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/support/refusal.h"

namespace kvmnet::disk {

// Bytes that an ordinary user can still write to the file system of `path`. Throws Error if it
// cannot be asked.
std::uint64_t free_space(const std::string& path);

// Refused: fewer than `needed` bytes free. `what_for` ends "64 MiB needed for ...".
std::optional<Refusal> check_space(const std::string& directory, std::uint64_t needed,
                                   std::string_view what_for);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// Text for a guest.
#pragma once

#include <string>
#include <string_view>

namespace kvmnet {

// Each newline becomes CRLF. There are no carriage returns in `text`.
std::string with_crlf(std::string_view text);

// 16 hexadecimal digits that stay the same for the same text (FNV-1a, 64 bits): a name, no
// protection.
std::string hash_of(std::string_view text);

}  // namespace kvmnet

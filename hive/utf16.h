// SPDX-License-Identifier: GPL-2.0-or-later
// UTF-8 to and from the UTF-16LE that the registry stores.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvmnet::hive {

using Bytes = std::vector<std::byte>;

// UTF-16LE bytes of `text`, without a terminating NUL. Throws hive::Error if `text` is not UTF-8.
Bytes to_utf16le(std::string_view text);

// The length in bytes of the UTF-8 character at the start of `text`, which is not empty; 0 if there
// is none that RFC 3629 allows.
std::size_t utf8_character_length(std::string_view text);

// UTF-8 of the given UTF-16LE bytes. Guests may hold anything: unpaired surrogates and a trailing
// odd byte become U+FFFD.
std::string from_utf16le(std::span<const std::byte> bytes);

// UTF-8 of Latin-1 bytes, the form of "compressed" key and value names in a hive.
std::string from_latin1(std::span<const std::byte> bytes);

}  // namespace kvmnet::hive

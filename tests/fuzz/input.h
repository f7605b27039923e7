// SPDX-License-Identifier: GPL-2.0-or-later
// What the fuzz targets take: a primary file and its logs, in one run of bytes. Each file is its
// length (32 bits, little-endian) and its bytes; a length beyond the end means up to the end, so
// that any bytes are an input.
#pragma once

#include <span>
#include <vector>

#include "hive/source.h"
#include "tests/support/log_writer.h"

namespace kvmnet::fuzz {

using hive::Bytes;
using test::HiveFiles;

inline constexpr std::size_t most_logs = 3;  // one more than Windows writes

HiveFiles unpack(std::span<const std::byte> input);
Bytes pack(const HiveFiles& files);

// What libFuzzer hands over.
inline HiveFiles unpack(const std::uint8_t* data, std::size_t size) {
  return unpack(std::as_bytes(std::span(data, size)));
}

// The logs must outlive the sources.
std::vector<hive::Source> sources_of(const std::vector<Bytes>& logs);

}  // namespace kvmnet::fuzz

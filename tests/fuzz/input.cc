// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/input.h"

#include <algorithm>

#include "hive/base_block.h"

namespace kvmnet::fuzz {
namespace {

constexpr std::size_t length_size = 4;

// Takes the next file out of `input`.
Bytes take_file(std::span<const std::byte>& input) {
  const std::size_t length = hive::read_u32(input, 0);
  input = input.subspan(length_size);
  const auto file = input.first(std::min(length, input.size()));
  input = input.subspan(file.size());
  return {file.begin(), file.end()};
}

void add_file(Bytes& input, const Bytes& file) {
  const std::size_t at = input.size();
  input.resize(at + length_size);
  hive::write_u32(input, at, static_cast<std::uint32_t>(file.size()));
  input.insert(input.end(), file.begin(), file.end());
}

}  // namespace

HiveFiles unpack(std::span<const std::byte> input) {
  HiveFiles files;
  if (input.size() >= length_size) files.primary = take_file(input);
  while (input.size() >= length_size && files.logs.size() < most_logs)
    files.logs.push_back(take_file(input));
  return files;
}

Bytes pack(const HiveFiles& files) {
  Bytes input;
  add_file(input, files.primary);
  for (const Bytes& log : files.logs) add_file(input, log);
  return input;
}

std::vector<hive::Source> sources_of(const std::vector<Bytes>& logs) {
  std::vector<hive::Source> sources;
  for (const Bytes& log : logs) sources.push_back(hive::source_of(log));
  return sources;
}

}  // namespace kvmnet::fuzz

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/sha256.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace kvmnet::disk {

void Sha256::add(std::span<const std::byte> bytes) {
  sha256_update(&context_, bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
}

std::string Sha256::hex() {
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context_, digest.size(), digest.data());
  std::string text;
  for (const std::uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.add(bytes);
  return hash.hex();
}

}  // namespace kvmnet::disk

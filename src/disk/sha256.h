// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nettle/sha2.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace kvmnet::disk {

class Sha256 {
 public:
  Sha256() { sha256_init(&context_); }
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  std::string hex();  // of all that was added; begins anew then

 private:
  sha256_ctx context_{};
};

std::string sha256(std::span<const std::byte> bytes);  // hexadecimal

}  // namespace kvmnet::disk

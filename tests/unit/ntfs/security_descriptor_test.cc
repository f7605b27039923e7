// SPDX-License-Identifier: GPL-2.0-or-later
#include "ntfs/security_descriptor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <span>

namespace kvmnet::ntfs {
namespace {

std::string hex(const std::string& bytes) {
  std::string text;
  for (const std::byte byte : std::as_bytes(std::span(bytes)))
    text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return text;
}

// Written by hand from [MS-DTYP] 2.4.
std::string by_hand(const std::string& entry_flags) {
  const std::string system = "010100000000000512000000";                  // S-1-5-18
  const std::string administrators = "01020000000000052000000020020000";  // S-1-5-32-544
  const std::string header = "0100049048000000580000000000000014000000";
  const std::string acl_header = "0200340002000000";
  const std::string all_to_system = "00" + entry_flags + "1400ff011f00" + system;
  const std::string all_to_administrators = "00" + entry_flags + "1800ff011f00" + administrators;
  return header + acl_header + all_to_system + all_to_administrators + administrators +
         administrators;
}

TEST(SecurityDescriptor, OfAPrivateFileIsWhatTheSpecificationSays) {
  EXPECT_EQ(hex(private_descriptor(Kind::file)), by_hand("00"));
}

TEST(SecurityDescriptor, OfAPrivateDirectoryIsHandedDown) {
  EXPECT_EQ(hex(private_descriptor(Kind::directory)), by_hand("03"));
}

}  // namespace
}  // namespace kvmnet::ntfs

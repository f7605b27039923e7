// SPDX-License-Identifier: GPL-2.0-or-later
#include "ntfs/security_descriptor.h"

#include <cstdint>
#include <initializer_list>

namespace kvmnet::ntfs {
namespace {

// All numbers but a SID's authority are little-endian.
std::string number(std::uint32_t value, std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>((value >> (8 * i)) & 0xFF);
  return bytes;
}

// S-1-5-A-B... ([MS-DTYP] 2.4.2.2).
std::string sid(std::initializer_list<std::uint32_t> sub_authorities) {
  std::string bytes = {1, static_cast<char>(sub_authorities.size()), 0, 0, 0, 0, 0, 5};
  for (const std::uint32_t part : sub_authorities) bytes += number(part, 4);
  return bytes;
}

// [MS-DTYP] 2.4.4.2.
std::string allow_everything(const std::string& who, Kind kind) {
  constexpr std::uint32_t access_allowed = 0;
  constexpr std::uint32_t object_and_container_inherit = 1 | 2;
  constexpr std::uint32_t file_all_access = 0x001F01FF;
  const std::uint32_t flags = kind == Kind::directory ? object_and_container_inherit : 0;
  const std::uint32_t size = 8 + static_cast<std::uint32_t>(who.size());
  return number(access_allowed, 1) + number(flags, 1) + number(size, 2) +
         number(file_all_access, 4) + who;
}

}  // namespace

std::string private_descriptor(Kind kind) {
  const std::string system = sid({18});
  const std::string administrators = sid({32, 544});
  const std::string entries =
      allow_everything(system, kind) + allow_everything(administrators, kind);
  constexpr std::uint32_t acl_header = 8;
  const std::string acl = number(2, 2) +  // revision
                          number(acl_header + static_cast<std::uint32_t>(entries.size()), 2) +
                          number(2, 4) +  // entries
                          entries;
  constexpr std::uint32_t header = 20;
  constexpr std::uint32_t self_relative = 0x8000;
  constexpr std::uint32_t dacl_protected = 0x1000;
  constexpr std::uint32_t dacl_present = 0x0004;
  const std::uint32_t owner = header + static_cast<std::uint32_t>(acl.size());
  const std::uint32_t group = owner + static_cast<std::uint32_t>(administrators.size());
  return number(1, 2) +  // revision
         number(self_relative | dacl_protected | dacl_present, 2) + number(owner, 4) +
         number(group, 4) + number(0, 4) +  // no SACL
         number(header, 4) + acl + administrators + administrators;
}

}  // namespace kvmnet::ntfs

// SPDX-License-Identifier: GPL-2.0-or-later
// Writes the hive field by field; offsets are those of the regf format 1.5.
#include "tests/support/minimal_hive.h"

#include <algorithm>
#include <initializer_list>
#include <stdexcept>
#include <string_view>

namespace kvmnet::test {
namespace {

constexpr std::size_t base_block_size = 4096;
constexpr std::size_t bin_size = 4096;
constexpr std::size_t bin_header_size = 32;
constexpr std::size_t checksum_offset = 508;
constexpr std::uint32_t none = 0xFFFFFFFF;

// 2012-04-06 20:34:43 UTC. A fixed time, so that the hive is always the same bytes.
constexpr std::uint32_t timestamp_low = 0x127D2D9E;
constexpr std::uint32_t timestamp_high = 0x01CD14BF;

// Appends little-endian fields to a block of bytes.
class Bytes {
 public:
  Bytes& u8(unsigned value) {
    bytes_.push_back(static_cast<std::byte>(value & 0xFF));
    return *this;
  }
  Bytes& u16(unsigned value) { return u8(value).u8(value >> 8); }
  Bytes& u32(std::uint32_t value) { return u16(value & 0xFFFF).u16(value >> 16); }
  Bytes& text(std::string_view ascii) {
    for (const char c : ascii) u8(static_cast<unsigned char>(c));
    return *this;
  }
  Bytes& utf16(std::string_view ascii) {
    for (const char c : ascii) u16(static_cast<unsigned char>(c));
    return *this;
  }
  Bytes& append(const Bytes& other) {
    bytes_.insert(bytes_.end(), other.bytes_.begin(), other.bytes_.end());
    return *this;
  }
  Bytes& pad_to(std::size_t size) {
    bytes_.resize(std::max(size, bytes_.size()));
    return *this;
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(bytes_.size()); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

// A SID of the NT authority (S-1-5-...) or, for authority 3, of the creator (S-1-3-...).
Bytes sid(unsigned authority, std::initializer_list<std::uint32_t> sub_authorities) {
  Bytes out;
  out.u8(1).u8(static_cast<unsigned>(sub_authorities.size()));
  out.u32(0).u8(0).u8(authority);
  for (const std::uint32_t id : sub_authorities) out.u32(id);
  return out;
}

Bytes allow(std::uint32_t access, const Bytes& who) {
  constexpr unsigned access_allowed = 0;
  constexpr unsigned inherited_by_subkeys = 2;
  Bytes out;
  out.u8(access_allowed).u8(inherited_by_subkeys).u16(8 + who.size()).u32(access).append(who);
  return out;
}

// Self-relative, as the root of SYSTEM has it: full access for SYSTEM, administrators and the
// creator, read access for users; owned by the administrators.
Bytes security_descriptor() {
  constexpr unsigned dacl_present = 0x0004;
  constexpr unsigned self_relative = 0x8000;
  constexpr std::uint32_t key_all_access = 0x000F003F;
  constexpr std::uint32_t key_read = 0x00020019;
  constexpr std::uint32_t header_size = 20;
  constexpr std::uint32_t acl_header_size = 8;
  const Bytes system = sid(5, {18});
  const Bytes administrators = sid(5, {32, 544});
  const Bytes users = sid(5, {32, 545});
  const Bytes creator_owner = sid(3, {0});

  Bytes entries;
  entries.append(allow(key_read, users))
      .append(allow(key_all_access, administrators))
      .append(allow(key_all_access, system))
      .append(allow(key_all_access, creator_owner));
  const std::uint32_t acl_size = acl_header_size + entries.size();
  const std::uint32_t owner = header_size + acl_size;

  Bytes out;
  out.u8(1).u8(0).u16(self_relative | dacl_present);
  out.u32(owner).u32(owner + administrators.size()).u32(0).u32(header_size);
  out.u8(2).u8(0).u16(acl_size).u16(4).u16(0).append(entries);
  return out.append(administrators).append(system);
}

// A cell in use: its negative size, the contents, padding to a multiple of 8.
Bytes cell(const Bytes& contents) {
  const std::uint32_t size = (4 + contents.size() + 7) & ~7U;
  Bytes out;
  return out.u32(0U - size).append(contents).pad_to(size);
}

Bytes root_key(std::uint32_t security_cell) {
  constexpr unsigned hive_entry_no_delete_compressed_name = 0x2C;
  constexpr std::string_view name = "CMI-CreateHive{7C9F6C22-3A5E-4B0B-9C1D-5A0E6B1F42D7}";
  Bytes out;
  out.text("nk").u16(hive_entry_no_delete_compressed_name);
  out.u32(timestamp_low).u32(timestamp_high);
  out.u32(0).u32(0);                      // access bits, parent
  out.u32(0).u32(0).u32(none).u32(none);  // subkeys: stable, volatile, their lists
  out.u32(0).u32(none);                   // values, their list
  out.u32(security_cell).u32(none);       // security, class name
  out.u32(0).u32(0).u32(0).u32(0);        // longest names, class names and values below
  out.u32(0).u16(static_cast<unsigned>(name.size())).u16(0);
  return out.text(name);
}

Bytes security_cell(std::uint32_t own_offset) {
  const Bytes descriptor = security_descriptor();
  Bytes out;
  out.text("sk").u16(0).u32(own_offset).u32(own_offset);
  return out.u32(1).u32(descriptor.size()).append(descriptor);
}

Bytes bin() {
  Bytes out;
  out.text("hbin").u32(0).u32(bin_size).u32(0).u32(0);
  out.u32(timestamp_low).u32(timestamp_high).u32(0);
  const std::uint32_t security_offset = out.size() + cell(root_key(0)).size();
  out.append(cell(root_key(security_offset))).append(cell(security_cell(security_offset)));
  return out.u32(static_cast<std::uint32_t>(bin_size) - out.size()).pad_to(bin_size);
}

Bytes base_block() {
  Bytes out;
  out.text("regf").u32(1).u32(1).u32(timestamp_low).u32(timestamp_high);
  out.u32(1).u32(5);                              // version 1.5
  out.u32(0).u32(1);                              // a primary file, of the usual format
  out.u32(bin_header_size).u32(bin_size).u32(1);  // root key, size of the bins, clustering
  return out.utf16(R"(\System32\Config\MINIMAL)").pad_to(base_block_size);
}

}  // namespace

std::vector<std::byte> minimal_hive() {
  std::vector<std::byte> hive = base_block().append(bin()).bytes();
  update_checksum(hive);
  return hive;
}

std::uint32_t load_u32(const std::vector<std::byte>& hive, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint32_t>(hive.at(offset + i));
  }
  return value;
}

void store_u32(std::vector<std::byte>& hive, std::size_t offset, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) {
    hive.at(offset + i) = static_cast<std::byte>(value >> (8 * i) & 0xFF);
  }
}

void store_u64(std::vector<std::byte>& hive, std::size_t offset, std::uint64_t value) {
  store_u32(hive, offset, static_cast<std::uint32_t>(value));
  store_u32(hive, offset + 4, static_cast<std::uint32_t>(value >> 32));
}

void update_checksum(std::vector<std::byte>& hive) {
  std::uint32_t sum = 0;
  for (std::size_t offset = 0; offset < checksum_offset; offset += 4) sum ^= load_u32(hive, offset);
  if (sum == 0xFFFFFFFF) sum = 0xFFFFFFFE;
  if (sum == 0) sum = 1;
  store_u32(hive, checksum_offset, sum);
}

void set_sequence_numbers(std::vector<std::byte>& hive, std::uint32_t primary,
                          std::uint32_t secondary) {
  store_u32(hive, 4, primary);
  store_u32(hive, 8, secondary);
  update_checksum(hive);
}

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/hive/sound_hive.h"

#include <utility>

namespace kvmnet::test {
namespace {

constexpr std::uint32_t none = CraftedHive::none;

namespace field {
constexpr std::size_t parent = 16;
constexpr std::size_t security = 44;
constexpr std::size_t class_name = 48;
constexpr std::size_t class_size = 74;
}  // namespace field

std::uint32_t security_cell(CraftedHive& hive, std::byte filler) {
  Bytes bytes(40, filler);
  store_u32(bytes, 0, 0x6B73);  // "sk"
  store_u32(bytes, 16, 20);
  return hive.cell(bytes);
}

void link(SoundHive& hive, std::uint32_t security, std::uint32_t neighbour, std::uint32_t users) {
  hive.set_u32(security, 4, neighbour);
  hive.set_u32(security, 8, neighbour);
  hive.set_u32(security, 12, users);
}

std::uint32_t hash(std::string_view name) {
  std::uint32_t hash = 0;
  for (const char c : name)
    hash = hash * 37 + static_cast<std::uint32_t>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return hash;
}

std::uint32_t big_value(CraftedHive& crafted, SoundHive& hive) {
  constexpr std::uint32_t size = 40000;
  std::vector<std::uint32_t> segments;
  for (std::uint32_t left = size; left > 0;) {
    const std::uint32_t part = std::min<std::uint32_t>(left, 16344);
    segments.push_back(crafted.cell(Bytes(part + 4, std::byte{'B'})));
    left -= part;
  }
  hive.last_segment = segments.back();
  hive.segment_list = crafted.value_list(segments);
  Bytes record(8);
  store_u32(record, 0, 0x00036264);  // "db", three segments
  store_u32(record, 4, hive.segment_list);
  hive.big_data = crafted.cell(record);
  return crafted.value("Big", 3, size, hive.big_data);
}

void add_values(CraftedHive& crafted, SoundHive& hive) {
  hive.inline_value = crafted.value("Inline", 7);
  hive.plain_data = crafted.cell(Bytes(100, std::byte{'P'}));
  hive.plain_value = crafted.value("Plain", 3, 100, hive.plain_data);
  hive.big_value = big_value(crafted, hive);
  hive.value_list = crafted.value_list({hive.inline_value, hive.plain_value, hive.big_value});
}

void add_keys(CraftedHive& crafted, SoundHive& hive) {
  hive.alpha = crafted.key("Alpha", 0, none, 3, hive.value_list);
  hive.echo = crafted.key("Echo", 0, none);
  hive.plain_leaf = crafted.list("li", {hive.echo});
  hive.delta = crafted.key("Delta", 1, hive.plain_leaf);
  hive.fast_leaf = crafted.list("lf", {hive.delta}, 0x746C6544);  // "Delt"
  hive.beta = crafted.key("Beta", 1, hive.fast_leaf);
  hive.gamma = crafted.key("Gamma", 0, none);
  hive.first_leaf = crafted.list("lh", {hive.alpha, hive.beta}, hash("Alpha"));
  hive.second_leaf = crafted.list("lh", {hive.gamma}, hash("Gamma"));
  hive.index = crafted.list("ri", {hive.first_leaf, hive.second_leaf});
  hive.root = crafted.key("root", 3, hive.index);
}

}  // namespace

SoundHive sound_hive() {
  CraftedHive crafted;
  SoundHive hive{};
  add_values(crafted, hive);
  add_keys(crafted, hive);
  hive.class_name = crafted.cell(Bytes(10, std::byte{'c'}));
  hive.root_security = security_cell(crafted, std::byte{'r'});
  hive.security = security_cell(crafted, std::byte{'s'});
  hive.bytes = crafted.finish(hive.root);
  hive.set_u32(hive.first_leaf, 16, hash("Beta"));
  for (const auto& [key, parent] : {std::pair{hive.alpha, hive.root},
                                    {hive.beta, hive.root},
                                    {hive.gamma, hive.root},
                                    {hive.delta, hive.beta},
                                    {hive.echo, hive.delta},
                                    {hive.root, none}}) {
    hive.set_u32(key, field::parent, parent);
    hive.set_u32(key, field::security, key == hive.root ? hive.root_security : hive.security);
    hive.set_u32(key, field::class_name, none);
  }
  hive.set_u32(hive.alpha, field::class_name, hive.class_name);
  hive.set_u16(hive.alpha, field::class_size, 10);
  link(hive, hive.root_security, hive.security, 1);
  link(hive, hive.security, hive.root_security, 5);
  return hive;
}

Bytes chain_of_keys(unsigned depth) {
  CraftedHive crafted;
  SoundHive hive{};
  std::vector<std::uint32_t> keys = {crafted.key("k", 0, none)};
  while (keys.size() <= depth)
    keys.push_back(crafted.key("k", 1, crafted.list("lh", {keys.back()}, 'K')));
  const std::uint32_t security = security_cell(crafted, std::byte{'s'});
  hive.bytes = crafted.finish(keys.back());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    hive.set_u32(keys[i], field::security, security);
    if (i + 1 < keys.size()) hive.set_u32(keys[i], field::parent, keys[i + 1]);
  }
  link(hive, security, security, depth + 1);
  return hive.bytes;
}

void visit_keys(const hive::Tree& tree,
                const std::function<void(const std::string& path, hive::CellOffset key)>& visit) {
  std::vector<std::pair<std::string, hive::CellOffset>> pending = {{"", tree.root()}};
  while (!pending.empty()) {
    const auto [path, key] = std::move(pending.back());
    pending.pop_back();
    visit(path, key);
    for (const hive::CellOffset child : tree.subkeys(key)) {
      const hive::KeyRecord record = tree.key(child);
      const hive::StoredName name{record.name, record.latin1_name};
      pending.emplace_back(path + "\\" + name.text(), child);
    }
  }
}

std::vector<std::string> names_of_real_hives() {
  return {"BCD",
          "NewDirtyHive1/RecoveredHive_Windows10",
          "OldDirtyHive/RecoveredHive_Windows7",
          "win7-x86.SYSTEM",
          "win8.SYSTEM",
          "win10-1709.SYSTEM"};
}

}  // namespace kvmnet::test

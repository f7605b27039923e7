// SPDX-License-Identifier: GPL-2.0-or-later
// hive::edit() of a hive that hive::check() finds sound either refuses it, or makes of it a sound
// hive with nothing changed but what was to be changed. That it has damaged a hive, which it finds
// out itself, is a finding, too: check() has let through what hivex cannot edit.
#include <cstdint>
#include <string>

#include "hive/base_block.h"
#include "hive/check.h"
#include "hive/edit.h"
#include "hive/error.h"
#include "src/support/fd.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/input.h"

namespace kvmnet::fuzz {
namespace {

using hive::KeyEdit;
using hive::KeyPath;
using Edits = std::vector<KeyEdit>;

// Keys that the seeds have, and new ones beside and below them.
const std::vector<Edits>& all_edits() {
  static const Edits in_crafted_hive = {
      {KeyPath::parse("Alpha"),
       {{"Inline", hive::dword(8)}, {"Plain", hive::sz(std::string(300, 'x'))}}},
      {KeyPath::parse("Beta\\Between\\New"), {{"", hive::sz("default")}}},
      {KeyPath::parse("Gamma"),
       {{"New", hive::sz("text")}, {"Large", {hive::Type::binary, Bytes(9000, std::byte{'L'})}}}},
  };
  static const Edits in_system_hive = {
      {KeyPath(), {{"Root", hive::dword(1)}}},
      {KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters"),
       {{"EnableWsd", hive::dword(0)}, {"hostname", hive::sz("other")}}},
      {KeyPath::parse("ControlSet001\\Services\\kvmnet"),
       {{"ImagePath", hive::expand_sz("%SystemRoot%\\x")}, {"Start", hive::dword(2)}}},
  };
  static const Edits takes_out = {
      {KeyPath::parse("Alpha"), {}, {"Big", "Inline"}},
      {KeyPath::parse("Beta"), {}, {}, true},
      {KeyPath::parse("Gamma"), {{"New", hive::dword(1)}}},
  };
  static const std::vector<Edits> all = {in_crafted_hive, in_system_hive, takes_out};
  return all;
}

bool is_damage(const std::string& message) {
  return message.find("has damaged") != std::string::npos ||
         message.find("changed more than") != std::string::npos ||
         message.find("edited hive is not clean") != std::string::npos;
}

void expect_edited(const Bytes& before, const Bytes& after, const Edits& edits) {
  expect(after.size() % 4096 == 0, "the size is a multiple of 4096");
  expect(hive::read_base_block(after, after.size()).condition == hive::Condition::clean,
         "the edited hive is clean");
  expect(hive::check(after).sound(), "the edited hive is sound");
  expect(hive::unexplained_differences(before, after, edits).empty(), "nothing else has changed");
}

// The number is above the hive's and those in its logs.
void expect_numbers(const HiveFiles& files, const Bytes& after) {
  const std::uint32_t number = hive::read_u32(after, 4);
  const auto logs = sources_of(files.logs);
  expect(hive::highest_sequence(hive::read_u32(files.primary, 4), logs) + 1 == number,
         "the sequence number is above all others");
}

void test_edit(const HiveFiles& files, const Edits& edits) {
  const Fd file = make_memory_file("hive");
  write_whole(file, files.primary);
  const Fd edited = make_memory_file("edited hive");
  try {
    hive::edit(file.get(), edited.get(), edits, sources_of(files.logs));
  } catch (const hive::Error& error) {
    expect(!is_damage(error.what()), error.what());
    return;
  }
  const Bytes after = read_whole(edited);
  expect_edited(files.primary, after, edits);
  expect_numbers(files, after);
}

void test_all_edits(const HiveFiles& files) {
  const Bytes& primary = files.primary;
  const bool clean =
      hive::read_base_block(primary, primary.size()).condition == hive::Condition::clean;
  if (!clean || !hive::check(primary).sound()) return;
  for (const Edits& edits : all_edits()) test_edit(files, edits);
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kvmnet::fuzz::test_all_edits(kvmnet::fuzz::unpack(data, size));
  return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
// hive::Reader, through the replay, finds what there is or says that it does not; it reads nothing
// outside of the hive and not more than it may. Of a sound hive it gives what hive::Tree gives.
#include <array>
#include <cstdint>

#include "hive/check.h"
#include "hive/error.h"
#include "hive/reader.h"
#include "hive/replay.h"
#include "hive/tree.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/input.h"

namespace kvmnet::fuzz {
namespace {

using hive::CellOffset;
using hive::KeyPath;
using hive::Value;

struct Wanted {
  const char* key;
  const char* value;
};

// What the seeds have, and what they do not.
constexpr std::array<Wanted, 7> all_wanted = {{
    {"Alpha", "Plain"},
    {"Alpha", "Big"},
    {"Beta\\Delta\\Echo", "Nothing"},
    {"Select", "Current"},
    {"ControlSet001\\Services\\Tcpip\\Parameters", "Hostname"},
    {"Microsoft\\Windows NT\\CurrentVersion", "CurrentBuildNumber"},
    {"Gamma", ""},
}};

std::string text(std::span<const std::byte> name, bool latin1) {
  return hive::StoredName{name, latin1}.text();
}

std::optional<Value> value_in_tree(const hive::Tree& tree, const Wanted& wanted) {
  CellOffset key = tree.root();
  const KeyPath path = KeyPath::parse(wanted.key);
  for (const std::string& element : path.elements()) {
    std::optional<CellOffset> found;
    for (const CellOffset child : tree.subkeys(key)) {
      const hive::KeyRecord record = tree.key(child);
      if (!found && hive::same_name(text(record.name, record.latin1_name), element)) found = child;
    }
    if (!found) return std::nullopt;
    key = *found;
  }
  for (const CellOffset offset : tree.values(key)) {
    const hive::ValueRecord record = tree.value(offset);
    if (hive::same_name(text(record.name, record.latin1_name), wanted.value))
      return Value{static_cast<hive::Type>(record.type), tree.value_data(offset)};
  }
  return std::nullopt;
}

void test_value(const hive::Source& source, const Wanted& wanted, const hive::Tree* sound) {
  constexpr std::uint64_t most_read = 4096 * 4096;  // pages, bytes
  std::uint64_t transferred = 0;
  const auto read_at = [&](std::uint64_t offset, std::size_t size) {
    Bytes bytes = source.read_at(offset, size);
    transferred += bytes.size();
    return bytes;
  };
  hive::Reader reader(read_at, source.size);
  std::optional<Value> value;
  try {
    value = reader.value(KeyPath::parse(wanted.key), wanted.value);
  } catch (const hive::Error&) {
    expect(transferred <= most_read, "a lookup reads no more than it may");
    return;
  }
  expect(transferred <= most_read, "a lookup reads no more than it may");
  if (sound != nullptr)
    expect(value == value_in_tree(*sound, wanted), "a sound hive's value is what the tree has");
}

void test_reader(const HiveFiles& files) {
  const hive::Source primary = hive::source_of(files.primary);
  const auto logs = sources_of(files.logs);
  hive::Replay replay;
  try {
    replay = hive::plan_replay(primary, logs);
  } catch (const hive::Error&) {
    return;
  }
  const hive::Source source = hive::recovered(replay, primary, logs);
  const Bytes whole = source.read_at(0, source.size);
  std::optional<hive::Tree> tree;
  if (hive::check(whole).sound()) tree.emplace(whole);
  for (const Wanted& wanted : all_wanted) test_value(source, wanted, tree ? &*tree : nullptr);
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kvmnet::fuzz::test_reader(kvmnet::fuzz::unpack(data, size));
  return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
// hive::check() throws on no hive, and what it finds sound can be read whole and equals itself.
#include <cstdint>

#include "hive/check.h"
#include "hive/compare.h"
#include "hive/tree.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/input.h"

namespace kvmnet::fuzz {
namespace {

struct Counts {
  std::size_t keys = 0;
  std::size_t values = 0;
};

// Reads all there is of a sound hive.
Counts walk(const hive::Tree& tree) {
  Counts counts;
  std::vector<hive::CellOffset> pending = {tree.root()};
  while (!pending.empty()) {
    const hive::CellOffset key = pending.back();
    pending.pop_back();
    ++counts.keys;
    const hive::KeyRecord record = tree.key(key);
    tree.security_descriptor(record.security);
    for (const hive::CellOffset value : tree.values(key)) {
      ++counts.values;
      expect(tree.value_data(value).size() == tree.value(value).size, "a value has its size");
    }
    for (const hive::CellOffset child : tree.subkeys(key)) {
      expect(tree.key(child).parent == key, "a key has its parent");
      pending.push_back(child);
    }
  }
  return counts;
}

void test_check(const Bytes& bytes) {
  const hive::CheckResult result = hive::check(bytes);
  std::size_t fatal = 0;
  for (const hive::Finding& finding : result.findings) {
    expect(!finding.message.empty(), "a finding has a message");
    expect(finding.offset <= std::uint64_t{bytes.size()} + 0xFFFFFFFF, "a finding has a place");
    if (finding.severity == hive::Severity::fatal) ++fatal;
  }
  expect((fatal == 0) == result.sound(), "fatal findings are listed");
  if (!result.sound()) return;
  const Counts counts = walk(hive::Tree(bytes));
  expect(counts.keys == result.keys && counts.values == result.values, "all is counted");
  expect(hive::unexplained_differences(bytes, bytes, {}).empty(), "a sound hive equals itself");
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kvmnet::fuzz::test_check(kvmnet::fuzz::unpack(data, size).primary);
  return 0;
}

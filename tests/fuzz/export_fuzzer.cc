// SPDX-License-Identifier: GPL-2.0-or-later
// What a sound hive holds, as a .reg file, is read back as just that: in both encodings, with no
// control characters in the one for people, and without what is said to be left out.
#include <algorithm>
#include <cstdint>
#include <string>

#include "hive/check.h"
#include "hive/reg_export.h"
#include "hive/reg_file.h"
#include "hive/stored_name.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/input.h"

namespace kvmnet::fuzz {
namespace {

using hive::CellOffset;
using hive::RegEncoding;
using hive::StoredName;

struct Exported {
  Bytes file;
  std::vector<std::string> left_out;
};

Exported exported(const hive::Tree& tree, RegEncoding encoding) {
  Exported result;
  result.left_out = export_reg(
      tree, tree.root(), "HKEY_LOCAL_MACHINE\\SYSTEM", encoding,
      [&](auto piece) { result.file.insert(result.file.end(), piece.begin(), piece.end()); });
  return result;
}

void expect_fit_for_terminals(const Bytes& file) {
  const std::string text(reinterpret_cast<const char*>(file.data()), file.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    expect((c >= 0x20 || c == '\n' || c == '\t') && c != 0x7F && !c1, "no control characters");
  }
}

// The values of a section are those of the key that it names, in their order.
void expect_same(const hive::Tree& tree, CellOffset key, const hive::RegSection& section) {
  auto read = section.values.begin();
  for (const CellOffset offset : tree.values(key)) {
    const hive::ValueRecord value = tree.value(offset);
    expect(read != section.values.end(), "no value is missing");
    expect(read->name == StoredName{value.name, value.latin1_name}.text(), "a value has its name");
    expect(read->value == hive::Value{static_cast<hive::Type>(value.type), tree.value_data(offset)},
           "a value has its type and data");
    ++read;
  }
  expect(read == section.values.end(), "no value is added");
}

// Key by key, in the order of the tree.
void expect_same(const hive::Tree& tree, const std::vector<hive::RegSection>& sections) {
  auto section = sections.begin();
  std::vector<CellOffset> pending = {tree.root()};
  while (!pending.empty()) {
    const CellOffset key = pending.back();
    pending.pop_back();
    expect(section != sections.end(), "no key is missing");
    if (key != tree.root()) {
      const hive::KeyRecord record = tree.key(key);
      expect(section->key.back() == StoredName{record.name, record.latin1_name}.text(),
             "a key has its name");
    }
    expect_same(tree, key, *section++);
    const auto subkeys = tree.subkeys(key);
    pending.insert(pending.end(), subkeys.rbegin(), subkeys.rend());
  }
  expect(section == sections.end(), "no key is added");
}

void test_export(const Bytes& bytes) {
  if (!hive::check(bytes).sound()) return;
  const hive::Tree tree(bytes);
  for (const RegEncoding encoding : {RegEncoding::utf16, RegEncoding::utf8}) {
    const Exported result = exported(tree, encoding);
    if (encoding == RegEncoding::utf8) expect_fit_for_terminals(result.file);
    const auto sections = hive::read_reg(result.file, std::nullopt);
    expect(!sections.empty(), "the root is there");
    if (result.left_out.empty()) expect_same(tree, sections);
  }
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kvmnet::fuzz::test_export(kvmnet::fuzz::unpack(data, size).primary);
  return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes are a .reg file or an error with a line. What such a file comes to in a hive is
// refused, or is edited so that the file changes nothing when it is merged again.
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "hive/edit.h"
#include "hive/error.h"
#include "hive/merge.h"
#include "src/support/fd.h"
#include "tests/fuzz/expect.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::fuzz {
namespace {

using hive::Bytes;
using hive::RegSection;
using hive::Tree;
using Sections = std::vector<RegSection>;

std::optional<Sections> read(std::span<const std::byte> file, std::optional<unsigned> code_page) {
  try {
    return hive::read_reg(file, code_page);
  } catch (const hive::Error& error) {
    expect(std::string(error.what()).find("line ") != std::string::npos, "an error names the line");
    return std::nullopt;
  }
}

Bytes edited(const Bytes& hive, const std::vector<hive::KeyEdit>& edits) {
  if (edits.empty()) return hive;
  const Fd from = make_memory_file("hive");
  const Fd to = make_memory_file("edited hive");
  write_whole(from, hive);
  hive::edit(from.get(), to.get(), edits, {});
  return read_whole(to);
}

// Whatever the root is called.
Sections below_a_root(Sections sections) {
  for (RegSection& section : sections) section.key.erase(section.key.begin());
  return sections;
}

void test_merge(const Sections& sections) {
  static const Bytes hive = test::sound_hive().bytes;
  Bytes after;
  try {
    const hive::Merge merge = hive::merge(Tree(hive), sections);
    expect(merge.changes.empty() == (merge.first.empty() && merge.second.empty()),
           "there are changes if and only if there are edits");
    after = edited(edited(hive, merge.first), merge.second);
  } catch (const hive::Unsupported&) {
    return;
  }
  expect(hive::merge(Tree(after), sections).changes.empty(), "what is merged is there afterwards");
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kvmnet::fuzz;
  if (size == 0) return 0;
  // The first byte chooses how text that is not Unicode is read.
  constexpr std::array<std::optional<unsigned>, 3> code_pages = {std::nullopt, 1252, 932};
  const auto file = std::as_bytes(std::span(data, size)).subspan(1);
  if (const auto sections = read(file, code_pages.at(data[0] % code_pages.size())))
    test_merge(below_a_root(*sections));
  return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
// Any text is a record or an error. What is taken for a record is written as itself, is answered by
// a hive, and leads to no edit that a record must not lead to.
#include <cstdint>
#include <optional>

#include "src/apply/read_reg.h"
#include "src/apply/reg_messages.h"
#include "src/plan/plan_reg.h"
#include "src/support/error.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/guest_facts.h"
#include "tests/unit/hive/sound_hive.h"

namespace kvmnet::fuzz {
namespace {

std::optional<Record> read(std::string_view text) {
  try {
    return parse_record(text);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// What the hive says of the keys that the record names.
void ask(Facts& facts) {
  static const hive::Bytes hive = test::sound_hive().bytes;
  const RegQuestion question = reg_question(facts, {});
  facts.reg = decode_reg_facts(encode(read_reg(hive, question)), question);
}

void test_record(std::string_view text) {
  Facts facts = guest_facts();
  facts.record = read(text);
  if (!facts.record) return;
  for (const RecordedRegValue& value : all_values(*facts.record))
    expect(!chooses_control_set(value.key), "a record has no value that chooses what boots");
  for (const hive::KeyPath& key : facts.record->reg_keys)
    expect(!chooses_control_set(key), "a record has no key that chooses what boots");
  expect(read(record_text(*facts.record)) == facts.record, "a record is written as itself");
  ask(facts);
  decide(facts, {});
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kvmnet::fuzz::test_record({reinterpret_cast<const char*>(data), size});
  return 0;
}

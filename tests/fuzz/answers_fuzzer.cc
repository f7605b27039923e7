// SPDX-License-Identifier: GPL-2.0-or-later
// The process behind the wall may have been taken over: any bytes are an answer, or one error. What
// is taken for an answer is carried over the wall as itself, leads to no edit that kvmnet must not
// make, and of .reg files to none that they do not say.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "src/apply/direct_messages.h"
#include "src/apply/reg_messages.h"
#include "src/plan/plan_reg.h"
#include "src/support/error.h"
#include "tests/fuzz/answers.h"
#include "tests/fuzz/expect.h"
#include "tests/fuzz/guest_facts.h"

namespace kvmnet::fuzz {
namespace {

template <typename Decode>
auto decoded(std::string_view message, Decode decode) -> std::optional<decltype(decode(message))> {
  std::optional<decltype(decode(message))> answer;
  try {
    answer = decode(message);
  } catch (const Error&) {
    return std::nullopt;
  }
  const std::string again = encode(*answer);
  expect(encode(decode(again)) == again, "an answer is carried as itself");
  return answer;
}

// Whether some line of the files is about that key, or one below it.
bool is_said(const hive::KeyPath& key, const std::vector<hive::RegSection>& sections) {
  return std::any_of(sections.begin(), sections.end(), [&](const hive::RegSection& section) {
    return section.key.size() >= key.elements().size() &&
           std::equal(key.elements().begin(), key.elements().end(), section.key.begin(),
                      hive::same_name);
  });
}

void test_facts(std::string_view message) {
  const auto answer = decoded(message, decode_facts);
  if (!answer) return;
  Facts facts = guest_facts();
  facts.system = answer->system;
  facts.architecture = answer->architecture;
  facts.product_type = answer->product_type;
  facts.setup_unfinished = answer->setup_unfinished;
  facts.select = answer->select;
  facts.control_sets = answer->control_sets;
  facts.other_sets = answer->other_sets;
  decide(facts, {});
}

void test_record(std::string_view message) {
  const auto answer = decoded(message, decode_record);
  if (!answer) return;
  Facts facts = guest_facts();
  facts.record = answer->record;
  facts.record_damage = answer->damage;
  facts.record_is_newer = answer->is_newer;
  reg_question(facts, {});
  decide(facts, {});
}

void test_software(std::string_view message) {
  const auto answer = decoded(message, decode_software);
  if (!answer) return;
  Facts facts = guest_facts();
  facts.software = answer->condition;
  facts.version = answer->version;
  facts.product_name = answer->product_name;
  facts.setup_unfinished = answer->is_generalised;
  facts.is_complete = answer->is_complete;
  facts.is_windows_pe = answer->is_windows_pe;
  facts.setup_in_progress = answer->is_undeployable;
  decide(facts, {});
}

void test_reg_facts(std::string_view message) {
  static const RegInput input = guest_reg();
  Facts facts = guest_facts();
  const RegQuestion question = reg_question(facts, input.sections());
  const auto answer =
      decoded(message, [&](std::string_view bytes) { return decode_reg_facts(bytes, question); });
  if (!answer) return;
  for (const hive::Change& change : answer->changes)
    expect(is_said(change.key, question.sections), "a line says what is changed");
  for (const hive::KeyPath& key : answer->missing)
    expect(is_said(key, question.sections), "a line wants what is made");
  facts.reg = *answer;
  decide(facts, input);
}

void test_merged(std::string_view message) {
  static const RegInput input = guest_reg();
  const auto answer = decoded(
      message, [&](std::string_view bytes) { return decode_merged(bytes, input.sections()); });
  if (!answer) return;
  for (const hive::Change& change : answer->changes)
    expect(is_said(change.key, input.sections()), "a line says what is changed");
}

// Nothing but numbers and texts: these have to lie inside the message.
void test_direct(std::string_view message) {
  MessageReader reader(message);
  try {
    for (bool text = false; !reader.at_end(); text = !text) {
      if (!text) {
        reader.number();
        continue;
      }
      const std::string_view taken = reader.text();
      expect(taken.data() >= message.data() &&
                 taken.data() + taken.size() <= message.data() + message.size(),
             "a text lies in its message");
    }
  } catch (const Error&) {
  }
}

void test_answer(Answered kind, std::string_view message) {
  switch (kind) {
    case Answered::facts:
      return test_facts(message);
    case Answered::software:
      return test_software(message);
    case Answered::record:
      return test_record(message);
    case Answered::check:
      return void(decoded(message, decode_check));
    case Answered::edited:
      return void(decoded(message, decode_edited));
    case Answered::merged:
      return test_merged(message);
    case Answered::reg_facts:
      return test_reg_facts(message);
    case Answered::exported:
      return void(decoded(message, decode_exported));
    case Answered::direct:
      return test_direct(message);
  }
}

}  // namespace
}  // namespace kvmnet::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kvmnet::fuzz;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  test_answer(static_cast<Answered>(data[0] % answer_kinds), input.substr(1));
  return 0;
}

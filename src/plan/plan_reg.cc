// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/plan_reg.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "hive/record.h"
#include "hive/reg_path.h"
#include "src/plan/plan_record.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

hive::KeyPath path_of(const std::vector<std::string>& key) {
  hive::KeyPath path;
  for (const std::string& name : key) path = path / name;
  return path;
}

[[noreturn]] void fail(const RegInput& input, unsigned line, std::string_view what) {
  throw UsageError(input.place_before(line, what));
}

void require_revertible(const RegInput& input, const hive::RegValue& value) {
  if (!value.value) return;
  const std::size_t size = value.value->data.size();
  if (size == 0 || size > hive::largest_plain_value)
    fail(input, value.line,
         fmt::format("a value of {} bytes: hivex can write 1 to {}", size,
                     hive::largest_plain_value));
  if (!can_be_recorded(*value.value))
    fail(
        input, value.line,
        fmt::format("a value of type {}, which Windows does not name: revert could not put it back",
                    static_cast<std::uint32_t>(value.value->type)));
}

void require_revertible(const RegInput& input, const hive::RegSection& section) {
  if (section.remove)
    fail(input, section.line,
         "a key cannot be removed as a whole, because revert could not put it back: remove its "
         "values by name (\"NAME\"=-), or use 'kvmnet hive import' on the hive file");
  if (is_off_limits(path_of(section.key)))
    fail(input, section.line,
         fmt::format("{} is left alone: which control set boots, and how kvmnet's own service "
                     "starts, is not for .reg files to say",
                     hive::escaped(fmt::format("{}", fmt::join(section.key, "\\")))));
  if (section.key.empty() && !section.values.empty())
    fail(
        input, section.values.front().line,
        "a value of the hive's root itself, which no record holds: use 'kvmnet hive import' on the "
        "hive file");
  for (const std::string& name : section.key)
    if (hive::escaped(name) != name)
      fail(input, section.line,
           "a key with control characters in its name, which no record holds: revert could not put "
           "back what is in it");
  for (const hive::RegValue& value : section.values) require_revertible(input, value);
}

// Each key once. A guest's record may name thousands.
class AskedKeys {
 public:
  explicit AskedKeys(std::vector<AskedKey>& keys) : keys_(keys) {}

  AskedKey& at(const hive::KeyPath& key) {
    const auto [place, is_new] = places_.try_emplace(hive::folded(key.to_string()), keys_.size());
    return is_new ? keys_.emplace_back(AskedKey{key, {}}) : keys_[place->second];
  }

 private:
  std::vector<AskedKey>& keys_;
  std::map<std::string, std::size_t> places_;
};

// A record that knows nothing of .reg files has asked all that it needs by asked_keys().
void ask_for_record(const Record& record, AskedKeys& asked) {
  if (record.reg_values.empty() && record.reg_keys.empty()) return;
  for (const RecordedRegValue& value : record.reg_values)
    asked.at(value.key).values.push_back(value.name);
  for (const hive::KeyPath& key : record.reg_keys) asked.at(key);
  for (const RecordedKey& key : record.keys) asked.at(hive::KeyPath::parse(key.set) / key.key);
}

// The first section that is in CurrentControlSet; null: none is.
const hive::RegSection* in_current_control_set(const std::vector<hive::RegSection>& sections) {
  for (const hive::RegSection& section : sections)
    if (hive::is_in_current_control_set(section.key)) return &section;
  return nullptr;
}

std::optional<Refusal> check_current_control_set(const Facts& facts, const RegInput& input) {
  const hive::RegSection* section = in_current_control_set(input.sections());
  if (section == nullptr ||
      !state_of(facts, hive::KeyPath::parse(hive::current_control_set)).is_there)
    return std::nullopt;
  return Refusal{Reason::hive_not_editable,
                 fmt::format("--reg: {}",
                             input.place_before(section->line, hive::stored_current_control_set))};
}

Edit edit_of(const hive::Change& change, const RegInput& input) {
  using What = hive::Change::What;
  std::string why = input.place(change.line);
  if (change.what == What::set_value)
    return SetValue{change.key, change.name, change.old, change.value.value(), std::move(why)};
  if (change.what == What::delete_value)
    return DeleteValue{change.key, change.name, change.old.value(), std::move(why)};
  return CreateKey{change.key, std::move(why)};
}

// Where a file first names something in the key.
std::string place_of(const hive::KeyPath& key, const RegFacts& facts, const RegInput& input) {
  for (const hive::Change& change : facts.changes)
    if (hive::same_name(change.key.elements().front(), key.elements().front()))
      return input.place(change.line);
  return "--reg";
}

// Also of one that Windows would not name so: it can only be a mistake.
bool is_like_control_set(std::string_view name) {
  return hive::same_name(name.substr(0, control_set_prefix.size()), control_set_prefix);
}

}  // namespace

void require_revertible(const RegInput& input) {
  for (const hive::RegSection& section : input.sections()) require_revertible(input, section);
}

std::vector<hive::RegSection> resolved(const std::vector<hive::RegSection>& sections,
                                       const std::vector<ControlSet>& sets) {
  std::vector<hive::RegSection> all;
  for (const hive::RegSection& section : sections) {
    if (!hive::is_in_current_control_set(section.key)) {
      all.push_back(section);
      continue;
    }
    for (const ControlSet& set : sets) {
      all.push_back(section);
      all.back().key.front() = set.name;
    }
  }
  return all;
}

const hive::RegValue* wanted_value(const std::vector<hive::RegSection>& sections,
                                   const hive::KeyPath& key, std::string_view name) {
  const hive::RegValue* wanted = nullptr;
  for (const hive::RegSection& section : sections) {
    if (!std::equal(section.key.begin(), section.key.end(), key.elements().begin(),
                    key.elements().end(), hive::same_name))
      continue;
    for (const hive::RegValue& value : section.values)
      if (hive::same_name(value.name, name)) wanted = &value;
  }
  return wanted;
}

RegQuestion reg_question(const Facts& facts, const std::vector<hive::RegSection>& sections) {
  RegQuestion question = {resolved(sections, facts.control_sets), {}};
  AskedKeys asked(question.keys);
  if (facts.record) ask_for_record(with_possible_copies(*facts.record, facts), asked);
  if (in_current_control_set(sections) != nullptr)
    asked.at(hive::KeyPath::parse(hive::current_control_set));
  return question;
}

std::variant<std::vector<Edit>, Refusal> plan_reg(const Facts& facts, const RegInput& input) {
  if (auto refusal = check_current_control_set(facts, input)) return *refusal;
  if (!facts.reg.unsupported.empty())
    return Refusal{Reason::hive_not_editable,
                   fmt::format("--reg: {}", input.place_before(facts.reg.unsupported_line,
                                                               facts.reg.unsupported))};
  for (const hive::KeyPath& key : facts.reg.missing)
    if (key.elements().size() == 1 && is_like_control_set(key.elements().front()))
      return Refusal{
          Reason::option_unsupported,
          fmt::format("{}: the guest has no {}", place_of(key, facts.reg, input), key.to_string())};
  std::vector<Edit> edits;
  for (const hive::Change& change : facts.reg.changes) edits.push_back(edit_of(change, input));
  return edits;
}

}  // namespace kvmnet

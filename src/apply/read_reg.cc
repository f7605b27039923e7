// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/read_reg.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/contents.h"
#include "hive/edit.h"
#include "hive/error.h"
#include "hive/merge.h"
#include "hive/reg_path.h"
#include "src/apply/reg_messages.h"
#include "src/plan/record.h"

namespace kvmnet {
namespace {

using hive::Contents;
using hive::KeyPath;

void add_missing(const Contents& hive, const KeyPath& key, std::vector<KeyPath>& missing) {
  KeyPath way;
  for (const std::string& name : key.elements()) {
    way = way / name;
    if (hive.has_key(way) || std::find(missing.begin(), missing.end(), way) != missing.end())
      continue;
    missing.push_back(way);
  }
}

void require_way_back(std::span<const std::byte> bytes, const hive::Change& removal) {
  try {
    hive::require_rewritable(bytes, removal.key);
  } catch (const hive::Unsupported& e) {
    throw hive::UnsupportedInLine(
        fmt::format("revert could not put back '{}': {}", hive::escaped(removal.name), e.what()),
        removal.line);
  }
}

// What revert would have to do one day is to be possible now.
void require_way_back(std::span<const std::byte> bytes, const std::vector<hive::Change>& changes) {
  if (changes.size() > most_recorded)
    throw hive::UnsupportedInLine(
        fmt::format("{} changes, and a record holds {} for revert", changes.size(), most_recorded),
        changes[most_recorded].line);
  for (const hive::Change& change : changes)
    if (change.what == hive::Change::What::delete_value) require_way_back(bytes, change);
}

void read_changes(std::span<const std::byte> bytes, const RegQuestion& question, RegFacts& facts) {
  if (question.sections.empty()) return;
  try {
    for (const hive::RegSection& section : question.sections)
      hive::in_line(section.line, [&] { hive::refuse_link_of_windows(section.key); });
    hive::Merge merge =
        hive::merge(hive::Tree(bytes), question.sections, hive::RightValues::listed);
    require_way_back(bytes, merge.changes);
    const Contents hive(bytes);
    for (const hive::KeyEdit& edit : merge.second) add_missing(hive, edit.key, facts.missing);
    facts.changes = std::move(merge.changes);
    facts.right = std::move(merge.right);
    facts.right.resize(std::min(facts.right.size(), most_changes));
  } catch (const hive::UnsupportedInLine& e) {
    facts.unsupported = e.what();
    facts.unsupported_line = e.line();
  } catch (const hive::Unsupported& e) {
    facts.unsupported = e.what();
  }
}

KeyState read_key(const Contents& hive, const AskedKey& asked) {
  KeyState state = {asked.key, false, 0, 0, {}};
  const auto values = hive.values(asked.key);
  if (!values) return state;
  state.is_there = true;
  state.values = values->size();
  state.subkeys = hive.subkeys(asked.key).size();
  for (const std::string& name : asked.values)
    for (const hive::NamedValue& value : *values)
      if (hive::same_name(value.name, name)) {
        state.named.push_back(value);
        break;
      }
  return state;
}

}  // namespace

RegFacts read_reg(std::span<const std::byte> hive, const RegQuestion& question) {
  RegFacts facts;
  read_changes(hive, question, facts);
  for (const AskedKey& asked : question.keys) facts.keys.push_back(read_key(Contents(hive), asked));
  return facts;
}

}  // namespace kvmnet

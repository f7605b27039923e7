// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/merge_names.h"

#include <fmt/format.h>

#include "hive/error.h"
#include "hive/value.h"

namespace kvmnet::hive {
namespace {

// Windows' own table of upper-case letters would decide.
[[noreturn]] void throw_undecided(const std::string& name, const std::string& other) {
  throw Unsupported(
      fmt::format("the hive has '{}', which Windows may or may not take for '{}': spell it as the "
                  "hive does, or, where another one is meant, make that in Windows itself",
                  escaped(other), escaped(name)));
}

// A hive's name that is no text reads like one that a .reg file can have, and is another.
[[noreturn]] void throw_no_text(const std::string& name) {
  throw Unsupported(fmt::format(
      "the hive has a name with half a surrogate pair, which reads as '{}': what a .reg "
      "file means by that cannot be told",
      escaped(name)));
}

void refuse_like(const Name& name, const std::vector<Name>& others) {
  for (const Name& other : others)
    if (may_be_same(other.stored(), name.stored())) throw_alike(name.text, other.text);
}

}  // namespace

bool is_ascii(const Name& name) {
  return std::all_of(name.text.begin(), name.text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void throw_alike(const std::string& name, const std::string& other) {
  throw Unsupported(
      fmt::format("'{}' is to be changed, too, which Windows may or may not take for '{}': spell "
                  "them alike, or, where two are meant, make one of them in Windows itself",
                  escaped(other), escaped(name)));
}

void NewNames::add(Name name) {
  Names& names = by_length_[name.utf16.size()];
  const bool ascii = is_ascii(name);
  refuse_like(name, names.others);
  if (!ascii) refuse_like(name, names.ascii);  // of ASCII names just the same ones are alike
  (ascii ? names.ascii : names.others).push_back(std::move(name));
}

std::optional<Names::Found> Names::subkey(CellOffset key, const Name& name) {
  return find(keys_, key, name, [this](CellOffset offset) {
    const KeyRecord record = tree_.key(offset);
    return StoredName{record.name, record.latin1_name};
  });
}

std::optional<Names::Found> Names::value(CellOffset key, const Name& name) {
  return find(values_, key, name, [this](CellOffset offset) {
    const ValueRecord record = tree_.value(offset);
    return StoredName{record.name, record.latin1_name};
  });
}

template <typename NameOf>
std::optional<Names::Found> Names::find(All& all, CellOffset key, const Name& name,
                                        NameOf name_of) {
  auto [listed, is_new] = all.try_emplace(key);
  if (is_new)
    for (const CellOffset offset : &all == &keys_ ? tree_.subkeys(key) : tree_.values(key))
      add(name_of(offset), offset, listed->second);
  if (const auto found = listed->second.find(name); found != listed->second.end()) {
    if (!found->second.is_text) throw_no_text(name.text);
    return Found{found->second.offset, found->first.text};
  }
  for (const auto& [other, entry] : listed->second)
    if (may_be_same(other.stored(), name.stored())) throw_undecided(name.text, other.text);
  return std::nullopt;
}

// Of two that read alike, one is no text.
void Names::add(const StoredName& name, CellOffset offset, Listed& listed) {
  const auto [entry, is_new] = listed.try_emplace(Name(name.text()));
  entry->second.is_text = entry->second.is_text && name.is_text();
  if (is_new) entry->second.offset = offset;
}

}  // namespace kvmnet::hive

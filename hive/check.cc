// SPDX-License-Identifier: GPL-2.0-or-later
// What is fatal: whatever makes an edit, hivex or Windows misread or damage something. Decisions
// that are not obvious stand where they are made.
#include "hive/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "hive/cell_map.h"

namespace kvmnet::hive {
namespace {

// Levels of keys below the root of a hive: Windows allows 512 in all ("Registry element size
// limits", Microsoft), and the hive's root is one of them or lies deeper.
constexpr unsigned deepest_key = 512;

// Whether it is a name that Windows' programs cannot use.
bool is_odd(const StoredName& name) {
  if (name.length() == 0) return true;
  const auto is_odd_unit = [](unsigned unit) { return unit == 0 || unit == u'\\'; };
  if (name.latin1)
    return std::any_of(name.bytes.begin(), name.bytes.end(),
                       [&](std::byte b) { return is_odd_unit(std::to_integer<unsigned>(b)); });
  for (std::size_t i = 0; i < name.length(); ++i)
    if (is_odd_unit(name.unit(i))) return true;
  return name.bytes.size() % 2 != 0;
}

class Checker {
 public:
  Checker(std::span<const std::byte> bins, const BaseBlock& block, const ChangedPages& changed,
          CheckResult& result)
      : result_(result),
        findings_(result),
        cells_(bins, findings_),
        changed_(changed),
        root_(block.root_cell),
        minor_version_(block.minor_version) {}

  void run();

 private:
  struct Visit {  // of a key that is still to be checked
    CellOffset offset;
    CellOffset parent;
    unsigned depth;
  };

  struct SecurityUse {
    CellOffset security;
    std::size_t keys;
  };

  std::optional<Cell> take(CellOffset offset, CellOffset owner, const char* what);
  void check_key(const Visit& visit);
  void check_name(CellOffset offset, const KeyNode& key);
  void check_class(CellOffset offset, const KeyNode& key);
  void check_subkeys(const Visit& visit, const KeyNode& key);
  void check_sublists(const Visit& visit, const SubkeyList& index);
  void check_entries(const Visit& visit, CellOffset offset, const SubkeyList& list);
  void check_entry(CellOffset list_offset, const SubkeyList& list, std::size_t index,
                   const StoredName& name);
  void check_order(CellOffset offset, const StoredName& name);
  void check_values(CellOffset offset, const KeyNode& key);
  std::optional<StoredName> check_value(CellOffset offset, CellOffset key);
  void check_value_names(CellOffset key);
  void check_data(CellOffset offset, const ValueNode& value);
  void check_big_data(CellOffset offset, const ValueNode& value);
  void check_segments(CellOffset offset, const ValueNode& value, Cell list, std::size_t count);
  void check_security();
  std::vector<CellOffset> check_security_ring();
  std::optional<SecurityNode> security_node(CellOffset offset) const;
  void check_references(CellOffset security, std::size_t keys);

  CheckResult& result_;
  Findings findings_;
  CellMap cells_;
  const ChangedPages& changed_;
  CellOffset root_;
  std::uint32_t minor_version_;
  std::vector<Visit> pending_;
  // Of one key after the other, as they were visited; a run of the same once.
  std::vector<SecurityUse> security_;
  // Of the key being checked; members only to keep their memory.
  bool touched_ = false;
  std::size_t subkeys_found_ = 0;
  std::optional<StoredName> previous_name_;
  std::vector<StoredName> value_names_;
  std::vector<std::uint32_t> value_hashes_;
};

void Checker::run() {
  if (take(root_, root_, "root key")) pending_.push_back({root_, no_cell, 0});
  while (!pending_.empty()) {
    const Visit visit = pending_.back();
    pending_.pop_back();
    check_key(visit);
  }
  check_security();
  cells_.report_unclaimed(findings_);
}

// The cell at `offset` for its one user, the record at `owner`. A cell that has two users is
// fatal: one of them frees or changes it under the other, and hivex aborts when it frees it twice.
std::optional<Cell> Checker::take(CellOffset offset, CellOffset owner, const char* what) {
  const auto cell = cells_.used(offset);
  if (!cell) {
    findings_.fatal(owner,
                    [&] { return fmt::format("no cell at {:#x} for its {}", offset, what); });
    return std::nullopt;
  }
  if (!cells_.claim(offset)) {
    findings_.fatal(owner, [&] {
      return fmt::format("the cell at {:#x} of its {} is in use for something else", offset, what);
    });
    return std::nullopt;
  }
  touched_ = touched_ || changed_.touch(offset, *cell);
  return cell;
}

// All cells that are the key's own are taken here, but for its node, which its parent has taken.
void Checker::check_key(const Visit& visit) {
  const Cell cell = *cells_.used(visit.offset);
  touched_ = changed_.touch(visit.offset, cell);
  const auto key = read_key_node(cell);
  if (!key) {
    findings_.fatal(visit.offset, [] { return "not a key, or its name is cut short"; });
    return;
  }
  ++result_.keys;
  if (security_.empty() || security_.back().security != key->security)
    security_.push_back({key->security, 0});
  ++security_.back().keys;
  // Windows takes a key that is deleted out of the list of the parent that it names.
  if (visit.offset != root_ && key->parent != visit.parent)
    findings_.fatal(visit.offset, [&] {
      return fmt::format("key '{}' names another parent ({:#x}) than it has ({:#x})",
                         key->name.escaped(), key->parent, visit.parent);
    });
  check_name(visit.offset, *key);
  check_class(visit.offset, *key);
  check_values(visit.offset, *key);
  check_subkeys(visit, *key);
  if (touched_) result_.touched.keys.push_back(visit.offset);
}

// hivex cuts a name at a NUL, and could so take one key for another; an edit that meets with that
// is found by comparing the hives afterwards.
void Checker::check_name(CellOffset offset, const KeyNode& key) {
  if (is_odd(key.name))
    findings_.harmless(
        offset, [&] { return fmt::format("key has the odd name '{}'", key.name.escaped()); });
}

// Nobody follows the offset of a class name of no length but hivex when it deletes a key, which we
// do ourselves; offset 0 with length 0 occurs in the wild (libregf).
void Checker::check_class(CellOffset offset, const KeyNode& key) {
  if (key.class_size == 0) return;
  const auto cell = take(key.class_name, offset, "class name");
  if (cell && cell->size() < key.class_size)
    findings_.fatal(offset, [] { return "its class name is longer than the cell"; });
}

void Checker::check_subkeys(const Visit& visit, const KeyNode& key) {
  if (key.subkeys == 0) return;
  const auto cell = take(key.subkey_list, visit.offset, "list of subkeys");
  if (!cell) return;
  subkeys_found_ = 0;
  previous_name_.reset();
  const auto list = read_subkey_list(*cell);
  if (list && list->kind == SubkeyList::Kind::index) {
    check_sublists(visit, *list);
  } else if (list) {
    check_entries(visit, key.subkey_list, *list);
  } else {
    findings_.fatal(key.subkey_list, [] { return "not a list of subkeys, or it is cut short"; });
  }
  if (list && subkeys_found_ != key.subkeys)
    findings_.fatal(visit.offset, [&] {
      return fmt::format("key '{}' has {} subkeys according to its record, {} in its lists",
                         key.name.escaped(), key.subkeys, subkeys_found_);
    });
}

// "An Index root can't point to another Index root" (msuhanov/regf).
void Checker::check_sublists(const Visit& visit, const SubkeyList& index) {
  for (std::size_t i = 0; i < index.count; ++i) {
    const CellOffset offset = index.offset(i);
    const auto cell = take(offset, visit.offset, "list of subkeys");
    if (!cell) continue;
    const auto list = read_subkey_list(*cell);
    if (!list || list->kind == SubkeyList::Kind::index) {
      findings_.fatal(offset, [] { return "not a list of subkeys, or it is cut short"; });
    } else {
      check_entries(visit, offset, *list);
    }
  }
}

void Checker::check_entries(const Visit& visit, CellOffset offset, const SubkeyList& list) {
  // Windows compares with the last entry of a list to choose among several.
  if (list.count == 0) findings_.fatal(offset, [] { return "list of subkeys is empty"; });
  subkeys_found_ += list.count;
  for (std::size_t i = 0; i < list.count; ++i) cells_.prefetch(list.offset(i));
  for (std::size_t i = 0; i < list.count; ++i) {
    const CellOffset child = list.offset(i);
    const auto cell = take(child, visit.offset, "subkey");
    if (!cell) continue;
    if (const auto key = read_key_node(*cell)) {
      check_entry(offset, list, i, key->name);
      cells_.prefetch(key->subkey_list);
      cells_.prefetch(key->value_list);
    }
    if (visit.depth == deepest_key) {
      findings_.fatal(child, [] { return "key lies deeper than Windows allows"; });
    } else {
      pending_.push_back({child, visit.offset, visit.depth + 1});
    }
  }
}

void Checker::check_entry(CellOffset list_offset, const SubkeyList& list, std::size_t index,
                          const StoredName& name) {
  check_order(list_offset, name);
  if (list.kind == SubkeyList::Kind::hinted && !is_hint_of(list.hint(index), name))
    findings_.fatal(list_offset, [&] {
      return fmt::format("the hint for key '{}' is wrong: Windows does not find it",
                         name.escaped());
    });
  if (list.kind != SubkeyList::Kind::hashed) return;
  const auto hash = name_hash(name);
  if (!hash || *hash == list.hint(index)) return;
  const auto message = [&] {
    return fmt::format("the hash of key '{}' is wrong: Windows does not find it", name.escaped());
  };
  // hivex writes wrong hashes for names that are not ASCII. No key that is edited has such a name.
  const auto is_ascii = [](std::byte b) { return b < std::byte{0x80}; };
  if (name.latin1 && std::all_of(name.bytes.begin(), name.bytes.end(), is_ascii)) {
    findings_.fatal(list_offset, message);
  } else {
    findings_.harmless(list_offset, message);
  }
}

// Windows searches by bisection, and takes one of two keys of the same name; hivex takes the first,
// and inserts new keys by order.
void Checker::check_order(CellOffset offset, const StoredName& name) {
  if (previous_name_) {
    const auto order = compare_names(*previous_name_, name);
    if (order && *order == std::strong_ordering::equal)
      findings_.fatal(offset,
                      [&] { return fmt::format("two keys are named '{}'", name.escaped()); });
    if (order && *order == std::strong_ordering::greater)
      findings_.fatal(offset, [&] {
        return fmt::format("key '{}' is listed behind '{}'", name.escaped(),
                           previous_name_->escaped());
      });
  }
  previous_name_ = name;
}

void Checker::check_values(CellOffset offset, const KeyNode& key) {
  if (key.values == 0) return;
  const auto list = take(key.value_list, offset, "list of values");
  if (!list) return;
  if (key.values > list->size() / 4) {
    findings_.fatal(offset, [&] {
      return fmt::format("key '{}' has more values than its list: {}", key.name.escaped(),
                         key.values);
    });
    return;
  }
  value_names_.clear();
  for (std::size_t i = 0; i < key.values; ++i) cells_.prefetch(offset_at(*list, i));
  for (std::size_t i = 0; i < key.values; ++i)
    if (const auto name = check_value(offset_at(*list, i), offset)) value_names_.push_back(*name);
  check_value_names(offset);
}

std::optional<StoredName> Checker::check_value(CellOffset offset, CellOffset key) {
  const auto cell = take(offset, key, "value");
  if (!cell) return std::nullopt;
  const auto value = read_value_node(*cell);
  if (!value) {
    findings_.fatal(offset, [] { return "not a value, or its name is cut short"; });
    return std::nullopt;
  }
  ++result_.values;
  check_data(offset, *value);
  return value->name;
}

// Values are searched from the first to the last by everybody: the second one is only hidden.
void Checker::check_value_names(CellOffset key) {
  value_hashes_.clear();
  for (const StoredName& name : value_names_) value_hashes_.push_back(folded_hash(name));
  std::sort(value_hashes_.begin(), value_hashes_.end());
  const auto twins = std::adjacent_find(value_hashes_.begin(), value_hashes_.end());
  if (twins == value_hashes_.end()) return;
  std::sort(value_names_.begin(), value_names_.end(), is_before);
  for (std::size_t i = 1; i < value_names_.size(); ++i)
    if (!is_before(value_names_[i - 1], value_names_[i]))
      findings_.harmless(
          key, [&] { return fmt::format("two values are named '{}'", value_names_[i].escaped()); });
}

void Checker::check_data(CellOffset offset, const ValueNode& value) {
  if (value.is_inline) {
    if (value.size > 4)
      findings_.fatal(offset, [&] {
        return fmt::format("value '{}' has an impossible size", value.name.escaped());
      });
    return;
  }
  if (value.size == 0) {
    // Where the data of no size lie matters only if a cell is there: hivex frees it.
    if (cells_.used(value.data)) take(value.data, offset, "data");
    return;
  }
  if (value.is_big(minor_version_)) return check_big_data(offset, value);
  const auto cell = take(value.data, offset, "data");
  if (cell && cell->size() < value.size)
    findings_.fatal(offset, [&] {
      return fmt::format("value '{}' of {} bytes does not fit its cell", value.name.escaped(),
                         value.size);
    });
}

void Checker::check_big_data(CellOffset offset, const ValueNode& value) {
  const auto cell = take(value.data, offset, "big data");
  if (!cell) return;
  // hivex writes one large cell instead, which Windows does not read.
  const auto record = read_big_data(*cell);
  if (!record) {
    findings_.fatal(offset, [&] {
      return fmt::format("value '{}' of {} bytes is not a big data record", value.name.escaped(),
                         value.size);
    });
    return;
  }
  const auto list = take(record->list, offset, "list of data segments");
  if (!list) return;
  const std::size_t needed = (value.size - 1) / largest_plain_value + 1;
  if (record->segments != needed || needed > list->size() / 4) {
    findings_.fatal(offset, [&] {
      return fmt::format("value '{}' of {} bytes has {} data segments", value.name.escaped(),
                         value.size, record->segments);
    });
    return;
  }
  check_segments(offset, value, *list, needed);
}

void Checker::check_segments(CellOffset offset, const ValueNode& value, Cell list,
                             std::size_t count) {
  std::uint32_t left = value.size;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t wanted = std::min(left, largest_plain_value);
    const auto segment = take(offset_at(list, i), offset, "data segment");
    if (segment && segment->size() < wanted)
      findings_.fatal(offset, [&] {
        return fmt::format("data segment {} of value '{}' is cut short", i, value.name.escaped());
      });
    left -= wanted;
  }
}

std::optional<SecurityNode> Checker::security_node(CellOffset offset) const {
  const auto cell = cells_.used(offset);
  return cell ? read_security_node(*cell) : std::nullopt;
}

void Checker::check_security() {
  if (security_.empty()) return;
  const std::vector<CellOffset> ring = check_security_ring();
  std::sort(security_.begin(), security_.end(),
            [](const SecurityUse& a, const SecurityUse& b) { return a.security < b.security; });
  for (auto at = security_.begin(); at != security_.end();) {
    const CellOffset security = at->security;
    std::size_t keys = 0;
    for (; at != security_.end() && at->security == security; ++at) keys += at->keys;
    if (!std::binary_search(ring.begin(), ring.end(), security)) {
      findings_.fatal(security,
                      [] { return "security descriptor of a key is not in the list of all"; });
    } else {
      check_references(security, keys);
    }
  }
}

// All security descriptors form one ring, which is entered from the root key's. Writing to a
// neighbour that is none would damage the hive. Returns the ring, sorted.
std::vector<CellOffset> Checker::check_security_ring() {
  std::vector<CellOffset> ring;
  const CellOffset start = security_.front().security;  // the root was the first to be visited
  CellOffset at = start;
  do {
    const auto node = security_node(at);
    if (!node) {
      findings_.fatal(at, [] { return "not a security descriptor, or it is cut short"; });
      break;
    }
    touched_ = false;
    if (!take(at, at, "security descriptor")) break;
    if (touched_) result_.touched.security.push_back(at);
    ring.push_back(at);
    const auto next = security_node(node->next);
    if (next && next->previous != at)
      findings_.fatal(at, [] { return "the links between security descriptors disagree"; });
    at = node->next;
  } while (at != start);
  std::sort(ring.begin(), ring.end());
  return ring;
}

// With a number that is too small the descriptor is freed while keys still use it; with one that is
// too large it is only never freed.
void Checker::check_references(CellOffset security, std::size_t keys) {
  const std::uint32_t stored = security_node(security)->references;
  if (stored == keys) return;
  const auto message = [&] {
    return fmt::format("{} keys use this security descriptor, which has {} users on record", keys,
                       stored);
  };
  if (stored < keys) {
    findings_.fatal(security, message);
  } else {
    findings_.harmless(security, message);
  }
}

}  // namespace

CheckResult check(std::span<const std::byte> hive, const ChangedPages& changed) {
  CheckResult result;
  const std::string reason = damage(hive, hive.size());
  if (!reason.empty()) {
    ++result.fatal;
    result.findings.push_back({Severity::fatal, 0, reason});
    return result;
  }
  const BaseBlock block = read_base_block(hive, hive.size());
  Checker(hive.subspan(base_block_size, block.bins_size), block, changed, result).run();
  return result;
}

}  // namespace kvmnet::hive

// SPDX-License-Identifier: GPL-2.0-or-later
// What goes over the wall, as bytes (CBOR). What comes back was made from a guest's bytes by a
// process that may have been taken over: whatever does not have the right form throws Error.
#pragma once

#include <string>
#include <vector>

#include "hive/check.h"
#include "hive/compare.h"
#include "hive/replay.h"
#include "src/apply/hive_facts.h"
#include "src/plan/facts.h"

namespace kvmnet {

// How the hive of a call is made clean.
struct Cleaning {
  DirtyHive policy = DirtyHive::replay;
  std::size_t logs_in_use = 0;  // so many of the logs, the first ones, may be replayed
};
std::string encode(const Cleaning& cleaning);
Cleaning decode_cleaning(std::string_view message);

// A hive and its logs whose bytes are to be asked for.
struct RemoteHive {
  DirtyHive policy = DirtyHive::replay;
  std::vector<std::uint64_t> sizes;  // of the hive and its logs, in bytes
};
std::string encode(const RemoteHive& hive);
RemoteHive decode_remote(std::string_view message);

std::string encode(const Facts& facts);  // what the SYSTEM hive gives of them
Facts decode_facts(std::string_view message);

std::string encode(const SoftwareFacts& facts);
SoftwareFacts decode_software(std::string_view message);

// What the file of a record was found to be.
struct RecordReading {
  std::optional<Record> record;
  std::string damage;     // why there is none
  bool is_newer = false;  // that is why
};
std::string encode(const RecordReading& reading);
RecordReading decode_record(std::string_view message);

std::string encode(const std::vector<hive::KeyEdit>& edits);
std::vector<hive::KeyEdit> decode_edits(std::string_view message);

struct HiveCheck {
  HiveFacts condition;  // as far as it could be made clean
  hive::CheckResult structure;
  std::vector<hive::LogKind> logs;  // what each log is to the hive; only if that is clean
};
std::string encode(const HiveCheck& check);
HiveCheck decode_check(std::string_view message);

// What an edit has come to.
struct Edited {
  std::string unsupported;          // why it would damage the hive; empty: it is made
  hive::KeyPath unsupported_key;    // that is to blame; the root: none in particular
  std::vector<hive::LogKind> logs;  // what each log is to the hive
};
std::string encode(const Edited& edited);
Edited decode_edited(std::string_view message);

}  // namespace kvmnet

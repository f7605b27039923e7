// SPDX-License-Identifier: GPL-2.0-or-later
// What a patch leaves in the guest about itself, so that it can be taken back: how everything was
// before the first patch, and what all patches since have added. docs/record.md has the format.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hive/key_path.h"
#include "hive/value.h"
#include "src/support/error.h"

namespace kvmnet {

inline constexpr std::string_view record_path = "kvmnet/record.json";  // as WriteFile has paths
inline constexpr std::size_t largest_record = 1 << 20;                 // bytes
inline constexpr std::size_t most_recorded = 1000;                     // entries of one kind

// The key of the first-boot service, relative to a control set.
inline constexpr std::string_view firstboot_service_key = "Services\\kvmnet-firstboot";

struct RecordedValue {
  std::string set;  // "ControlSet001"
  std::string key;  // relative to that; key and name are those of known_values()
  std::string name;
  std::optional<hive::Value> before;  // nothing: it was not there
  hive::Value after;                  // as the last patch has set it
  bool operator==(const RecordedValue&) const = default;
};

// A value anywhere in the SYSTEM hive that .reg files have set, or taken out.
struct RecordedRegValue {
  hive::KeyPath key;  // from the root of the hive
  std::string name;   // empty: the key's default value
  std::optional<hive::Value> before;
  std::optional<hive::Value> after;  // nothing: it has gone
  bool operator==(const RecordedRegValue&) const = default;
  bool is(const hive::KeyPath& other_key, std::string_view other_name) const {
    return key == other_key && hive::same_name(name, other_name);
  }
};

// A key that a patch has made.
struct RecordedKey {
  std::string set;
  std::string key;
  bool operator==(const RecordedKey&) const = default;
};

struct Record {
  enum class State {
    patched,
    restoring,  // taken back, but for what the guest itself has to do at its next boot
  };
  State state = State::patched;
  std::string version;  // of the kvmnet that wrote it
  std::string profile;  // of the last patch
  std::vector<RecordedKey> keys;
  std::vector<RecordedValue> values;
  std::vector<RecordedRegValue> reg_values;  // a value is either here or in `values`
  std::vector<hive::KeyPath> reg_keys;       // that .reg files have made, from the hive's root
  std::vector<std::string> files;            // that were written, in the order of their names
  std::vector<std::string> directories;      // that were made: of known_directories()
  std::vector<std::string> commands;         // for netsh, that first-boot scripts were given
  bool begun = false;                        // the guest has run such a script, or begun to
  bool operator==(const Record&) const = default;
};
std::string_view to_string(Record::State state);  // "patched", "restoring"

// All values of a record in one form.
std::vector<RecordedRegValue> all_values(const Record& record);

// Whether .reg files must leave that key alone in a patch: which control set boots, and what starts
// the first-boot script, are not theirs to say.
bool is_off_limits(const hive::KeyPath& key);

// The same record has the same text.
std::string record_text(const Record& record);

// The text comes from a guest, and anybody in there may have written it: whatever is no record, or
// names keys, values, types, files or commands that no kvmnet writes, throws Error. To be called
// behind the wall.
Record parse_record(std::string_view text);

// Thrown by it for a record whose format is that of a later kvmnet.
class NewerRecord : public Error {
 public:
  NewerRecord() : Error("it is written by a newer kvmnet") {}
};

// Types that a record can hold; a value of another one could not be put back.
bool can_be_recorded(const hive::Value& value);

// Those that a patch makes where they are missing, relative to the system root; parents first.
std::vector<std::string> known_directories();

// `path`, in lower case: whether a file there is one that patches, or their first-boot scripts,
// make in our directory; SetupComplete.cmd, which is not only ours, is none.
bool is_our_file(std::string_view path);

}  // namespace kvmnet

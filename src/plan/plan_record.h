// SPDX-License-Identifier: GPL-2.0-or-later
// The part of a plan that notes what the rest of it changes, so that revert can take it back.
#pragma once

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/settings.h"
#include "src/support/refusal.h"

namespace kvmnet {

// Whether a first-boot script of ours has given a command to netsh, or may have.
bool has_begun(const Facts& facts);

// All control sets of the guest, those first that a patch edits.
std::vector<const ControlSet*> all_sets(const Facts& facts);

// Whether any control set has the service that runs first-boot scripts of ours.
bool has_firstboot_service(const Facts& facts);

// Whether a value or key of that control set is in the record.
bool knows_set(const Record& record, std::string_view set);

// The control sets that the record says something of, each once: those first that have values of
// the profile.
std::vector<std::string> recorded_sets(const Record& record);

// The same key in another control set.
hive::KeyPath moved(const hive::KeyPath& key, const std::string& set);

// Adds what the record says of `source` to `all`, as if it were of `set`.
void add_copy(const Record& record, const std::string& source, const std::string& set, Record& all);

// The record, and what it says of a control set once more for each that Windows has copied from
// that set since: XP to 7 make one of the set that has booted well (LastKnownGood; Microsoft
// KB102984). A control set that the record does not know, and in which all is as patches have made
// it in one that it knows, is such a copy.
Record with_copies(const Record& record, const Facts& facts);
// The same of all sets that could be copies: before the hive is asked for what .reg files have set.
Record with_possible_copies(const Record& record, const Facts& facts);

// Whether others than SYSTEM and Administrators have access to the record: then anybody in the
// guest may have written it, and with it what revert does.
bool is_record_open(const Facts& facts);
inline constexpr std::string_view open_record =
    "others than SYSTEM and Administrators have access to it, and may have written what it says";

// Refuses a guest without a record that has files, or a service, of the name of ours, or a
// directory that a patch would have to make private: revert could not give them back.
std::optional<Refusal> check_place_of_record(const Facts& facts);

// Writes the record of a guest in which `edits` are made. What an earlier patch has noted stays:
// the state before the first one counts. Nothing: the record that is there says all that. Refused:
// a value that a record cannot hold, or more values than it holds.
std::variant<std::optional<WriteFile>, Refusal> plan_record(const Facts& facts,
                                                            const Settings& settings,
                                                            const std::vector<Edit>& edits);

// The edit that brings that record into the guest; nothing if it is there.
std::optional<WriteFile> write_record(const Facts& facts, const Record& record, std::string why);

}  // namespace kvmnet

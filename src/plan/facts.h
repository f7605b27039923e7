// SPDX-License-Identifier: GPL-2.0-or-later
// What is known of a guest: everything that a decision needs, gathered before anything is decided.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "hive/base_block.h"
#include "hive/value.h"
#include "src/plan/record.h"
#include "src/plan/reg_facts.h"
#include "src/plan/windows.h"

namespace kvmnet {

// Select\* of the SYSTEM hive. Default is what boots next, Current what booted last
// (Microsoft KB102984); 0 where the value is missing.
struct Select {
  std::uint32_t current = 0;
  std::uint32_t default_set = 0;
  std::uint32_t failed = 0;
  std::uint32_t last_known_good = 0;
  bool operator==(const Select&) const = default;
};

// One control set as the planner asks about it. Keys are relative to the control set and spelt as
// in asked_keys() of plan.h.
struct ControlSet {
  std::string name;                                                          // ControlSet001
  std::map<std::string, std::optional<std::vector<hive::NamedValue>>> keys;  // nothing: no such key
  std::set<std::string> with_subkeys = {};  // those of the keys that have any
  // Names of the keys below Tcpip\Parameters\Interfaces that have a TcpWindowSize of their own.
  std::vector<std::string> interfaces_with_window;
  bool operator==(const ControlSet&) const = default;
};
// What the name of a control set begins with.
inline constexpr std::string_view control_set_prefix = "ControlSet";
// Whether Windows gives a control set such a name: "ControlSet001", in whatever letter case.
bool is_control_set_name(std::string_view name);
bool has_key(const ControlSet& set, std::string_view key);
// Nothing: no such key, or no such value in it.
std::optional<hive::Value> value_of(const ControlSet& set, std::string_view key,
                                    std::string_view name);

// A hive as found in the guest.
struct HiveFacts {
  hive::Condition condition = hive::Condition::damaged;
  std::string reason;  // why it is not clean
  // How it became clean, if Windows had not closed it: entries of its logs that were applied, or
  // the user's word that it is to be taken without them.
  std::size_t replayed = 0;
  bool logs_given_up = false;
  bool operator==(const HiveFacts&) const = default;
};

// What to do with a hive that Windows has not closed.
enum class DirtyHive {
  replay,       // apply its logs; refuse where they do not apply
  use_primary,  // the same, but go on without them where they do not apply: the user accepts the
                // loss
};

struct Facts {
  HiveFacts system;
  HiveFacts software;
  // Version, architecture and product are nothing where the guest does not say: an error for the
  // planner to report, never a default.
  std::optional<WindowsVersion> version;
  std::optional<Architecture> architecture;
  std::optional<ProductType> product_type;
  std::string product_name;  // for people, e.g. "Windows 10 Pro"; may be empty
  std::string system_root;   // on the volume, e.g. "/Windows"; empty for a bare hive file
  // Windows Setup has still to run in this guest: a generalised (sysprepped) image.
  bool setup_unfinished = false;
  // ... but Windows says of itself that it is installed: a trace of an earlier sysprep.
  bool is_complete = false;
  bool is_windows_pe = false;
  bool setup_in_progress = false;  // it is running, and not at a point where it may be changed
  Select select;
  // The control sets to edit: Select\Default first, then Current if it differs.
  std::vector<ControlSet> control_sets;
  // All others that the hive has: a patch may have been made in one of them.
  std::vector<ControlSet> other_sets;
  // Content of those of asked_files() (plan.h) that exist, by path relative to the system root.
  std::map<std::string, std::string> files;
  // Those of them that are there, but are no plain files, too large to be read, or there twice, in
  // other letter cases.
  std::set<std::string> unreadable_files;
  // Those of private_paths() (plan.h) that are there and that others than SYSTEM and Administrators
  // have access to.
  std::set<std::string> open_paths;
  // Those of known_directories() (record.h) that are there, and how many things are in each.
  std::map<std::string, std::size_t> directories;
  // The plain files in our directory that kvmnet makes, as asked_files() has paths.
  std::set<std::string> our_files;
  // What an earlier patch has left; nothing: no record, or one that cannot be trusted, and why.
  std::optional<Record> record;
  std::string record_damage;
  bool record_is_newer = false;  // a later kvmnet has written it: that is why
  // What the hive says to .reg files that are to be merged, and to the record.
  RegFacts reg;
  bool operator==(const Facts&) const = default;
};

// A key that a record names, as it is now: what the hive has answered, or what asked_keys() of
// plan.h tell of it; how many subkeys those have is not known, 1 stands for any.
KeyState state_of(const Facts& facts, const hive::KeyPath& key);

// The same of a value.
std::optional<hive::Value> present_value(const Facts& facts, const hive::KeyPath& key,
                                         std::string_view name);

// Whether the key lies in a control set that is not there any more.
bool is_in_lost_set(const Facts& facts, const hive::KeyPath& key);

}  // namespace kvmnet

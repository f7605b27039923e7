// SPDX-License-Identifier: GPL-2.0-or-later
// Where the keys of .reg files are: in which hive, and in which control set.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hive/contents.h"
#include "hive/reg_file.h"

namespace kvmnet::hive {

// Sections whose keys are paths below the root of a hive: those of `path` in a .reg file, e.g.
// HKEY_LOCAL_MACHINE, SYSTEM. The names of roots may be abbreviated (HKLM), in both. Throws
// hive::Error, "line L, column C: WHAT" (without a place where the line is 0), for a key that is
// elsewhere.
std::vector<RegSection> below(const std::vector<std::string>& path,
                              std::vector<RegSection> sections);

// Whether it is the name of a root, or its abbreviation.
bool is_root(std::string_view name);

// "HKLM\SYSTEM" in its parts, the root by its whole name. Throws hive::Error if it is no such path.
std::vector<std::string> parse_reg_path(std::string_view path);

// Whether what lies there is the SYSTEM hive, where alone control sets are.
bool is_system_hive(const std::vector<std::string>& path);

// In a SYSTEM hive CurrentControlSet stands for the control set that boots next (Select\Default,
// Microsoft KB102984). Puts its name in the place of the first element; other paths stay. Throws
// Unsupported if the hive does not have it, or has a key of that name: in Windows the name is a
// link that no hive file has, and which of the two is meant nobody can tell.
void resolve_control_set(const Contents& hive, std::vector<std::string>& key);

// Whether the path begins with CurrentControlSet.
bool is_in_current_control_set(const std::vector<std::string>& key);
inline constexpr const char* current_control_set = "CurrentControlSet";

// Throws Unsupported for a key that Windows itself makes a link when it starts, and stores in no
// file: CONTROLSET\Hardware Profiles\Current, and what lies in it. It stands for one of the
// numbered keys beside it (Microsoft, "CurrentControlSet\Hardware Profiles", TechNet cc739525).
void refuse_link_of_windows(const std::vector<std::string>& key);

// Why a .reg file's CurrentControlSet is refused in a hive that has a key of that name.
inline constexpr const char* stored_current_control_set =
    "the hive has a key CurrentControlSet, which Windows never stores: name the control set that "
    "is "
    "meant, as ControlSet001";

}  // namespace kvmnet::hive

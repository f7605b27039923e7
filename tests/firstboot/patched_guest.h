// SPDX-License-Identifier: GPL-2.0-or-later
// What kvmnet leaves in a guest for its first boot, as bytes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "src/plan/plan_revert.h"
#include "src/plan/settings.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet::test {

struct PatchedGuest {
  std::string system_hive;
  std::map<std::string, std::string> files;  // by path below the system root: kvmnet/firstboot.cmd
};

// A Windows made of fixtures/hives, patched by the real code in memory. `there`: files that it has,
// by path below the system root. Throws Error if it is not patched.
PatchedGuest patch(const Release& release, const SettingOptions& options = {},
                   const std::map<std::string, std::string>& there = {});

// What kvmnet revert makes of that guest once it has booted: `there` are the files in our directory
// by now, and the service has removed itself. `files` are those that are left there. Throws Error
// if it is not reverted.
struct RevertedGuest : PatchedGuest {
  std::vector<std::string> warnings;
  std::vector<RestoredSetting> restored;
};
RevertedGuest revert(const Release& release, const PatchedGuest& patched,
                     const std::map<std::string, std::string>& there,
                     const RevertOptions& options = {});

// All of a hive as hivexregedit prints it.
std::string exported(const std::string& hive);

// The values of a service's key in the control set that boots next, one a line as hivexregedit (no
// reader of ours) prints them: "Start"=dword:00000002. Throws Error if there is no such key.
std::string exported_service(const std::string& system_hive, const std::string& service);

// What the service manager runs: the value ImagePath of exported_service(), decoded.
std::string image_path(const std::string& exported);

}  // namespace kvmnet::test

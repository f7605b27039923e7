// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/firstboot_service.h"

#include <cstdint>

namespace kvmnet::firstboot {

std::vector<hive::NamedValue> service_values(bool with_nsi) {
  constexpr std::uint32_t own_process = 0x10;
  constexpr std::uint32_t auto_start = 2;
  // 0: a start that fails is logged and no more; 1 would show a message box on old Windows.
  constexpr std::uint32_t ignore_errors = 0;
  std::vector<hive::NamedValue> values = {
      {"Type", hive::dword(own_process)},
      {"Start", hive::dword(auto_start)},
      {"ErrorControl", hive::dword(ignore_errors)},
      // No quotes around the script, nor at the beginning of what follows /c: cmd.exe removes the
      // outer ones of a command that has more.
      {"ImagePath",
       hive::expand_sz(
           "%SystemRoot%\\System32\\cmd.exe /d /c "
           "if exist %SystemRoot%\\kvmnet\\firstboot.cmd "
           "(start \"\" /b %SystemRoot%\\System32\\cmd.exe /d /c "
           "%SystemRoot%\\kvmnet\\firstboot.cmd) "
           "else start \"\" /b %SystemRoot%\\System32\\sc.exe delete kvmnet-firstboot")},
      {"DisplayName", hive::sz("kvmnet first boot")},
      {"Description",
       hive::sz("Applies TCP settings chosen by the host once, then removes itself.")},
      {"ObjectName", hive::sz("LocalSystem")},
  };
  if (with_nsi) values.push_back({"DependOnService", hive::multi_sz({"nsi"})});
  return values;
}

}  // namespace kvmnet::firstboot

// SPDX-License-Identifier: GPL-2.0-or-later
// The service that starts the first-boot script.
//
// An auto-start LocalSystem service starts cmd.exe, which starts the script detached and ends:
// Windows ends the service process after 30 s because cmd.exe does not answer as a service does
// (learn.microsoft.com, StartServiceCtrlDispatcher), but not what it started. No foreign binary.
//
// Where the power goes after the script has removed itself, and before Windows has written the
// registry to disk (which it does lazily from 8 on: Microsoft KB2784761), the key is there again
// and its script is not: then the service deletes itself, which is as good as the script's own end.
#pragma once

#include <string_view>
#include <vector>

#include "hive/value.h"

namespace kvmnet::firstboot {

inline constexpr std::string_view service_name = "kvmnet-firstboot";

// The key of Network Store Interface (6.0 and later), without which netsh has nothing to talk to;
// relative to a control set.
inline constexpr std::string_view nsi_service_key = "Services\\nsi";

// Every value of the service key (sc.exe's own layout). `with_nsi`: the guest has that service; a
// dependency on one that is not there would keep ours from starting.
std::vector<hive::NamedValue> service_values(bool with_nsi);

}  // namespace kvmnet::firstboot

// SPDX-License-Identifier: GPL-2.0-or-later
// The first-boot script: text, no effects. firstboot_service.h and setup_complete.h have what
// starts it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/plan/netsh.h"
#include "src/plan/user_work.h"

namespace kvmnet::firstboot {

// Files of the mechanism, relative to the system root; all in one directory.
inline constexpr std::string_view directory = "kvmnet";
inline constexpr std::string_view script_path = "kvmnet/firstboot.cmd";
inline constexpr std::string_view result_path = "kvmnet/firstboot.result";
// There once a script has finished or given up and is about to remove itself.
inline constexpr std::string_view done_path = "kvmnet/firstboot.done";
// What netsh said of its settings before the first of all commands of kvmnet, for revert. Stays in
// the guest; empty where netsh could not say it.
inline constexpr std::string_view before_path = "kvmnet/firstboot-before.txt";
// What an earlier script may have left behind; removed when a new one is put in.
std::vector<std::string> state_paths();

// What the script notes of the work that it begins, in lines as the result has them. It stays in
// the guest: work whose id is in it is not begun again.
inline constexpr std::string_view begun_path = "kvmnet/firstboot.ran";
// The batch file of a piece of the user's work; the first has number 1.
std::string work_path(std::size_t number);

// Names the netsh commands: the same commands have the same id.
std::string script_id(const std::vector<NetshStep>& steps);

// What is saved of netsh's settings before the commands.
enum class Dump {
  of_the_first,  // as before_path says
  none,          // the commands put settings back: what there is now is kvmnet's
};

// The script: ASCII, CRLF. It does nothing while Windows Setup is running, unless Setup has started
// it (with the word "setup"); saves what netsh says of its settings; runs every command and logs
// its output and exit code to kvmnet\firstboot.log; then begins each piece of the user's work that
// this guest has not begun yet; writes kvmnet\firstboot.result; tries failed mandatory commands
// again at the next boot, three boots at most, and so what follows work that ends with 1641; logs
// what netsh shows of the outcome; then removes its service, the user's work and itself. Setup does
// not wait for it. Work that ends with 3010 has Windows restarted after all.
std::string script(const NetshPlan& netsh, const std::vector<UserWork>& work = {},
                   Dump dump = Dump::of_the_first);

}  // namespace kvmnet::firstboot

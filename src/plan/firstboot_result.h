// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest says of its first boot: kvmnet\firstboot.result. docs/firstboot-result.md has the
// format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvmnet::firstboot {

enum class Status {
  done,    // every mandatory command has succeeded
  retry,   // one has not: the script runs again at the next boot
  failed,  // the same at the third boot: the script has given up
};
std::string_view to_string(Status status);

// One netsh call.
struct CommandResult {
  bool mandatory = true;
  std::int32_t exit_code = 0;
  std::string text;
  bool operator==(const CommandResult&) const = default;
};

// A piece of the user's work.
struct WorkResult {
  std::string id;                         // see work_ids() in user_work.h
  std::string name;                       // "command", or of the script's file
  std::optional<std::int32_t> exit_code;  // nothing: it was begun, and cut off
  bool operator==(const WorkResult&) const = default;
};

struct Result {
  std::string id;  // of the netsh commands: script_id() in firstboot.h
  int boot = 0;    // 1 to 3: the boot that wrote it
  Status status = Status::done;
  std::vector<CommandResult> commands;  // in the order in which they ran
  std::vector<WorkResult> work;         // the same; what the guest has ever begun
  bool operator==(const Result&) const = default;
};

// The file comes from a guest, and anybody in there may have written it: anything but the
// documented form is nothing, and so is a file that was cut off. Lines of other kinds are left out.
// Every text in a result is plain ASCII without control characters.
std::optional<Result> parse_result(std::string_view content);

}  // namespace kvmnet::firstboot

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/exit_status.h"

#include <algorithm>
#include <array>

namespace kvmnet::cli {

ExitStatus worse(ExitStatus a, ExitStatus b) {
  constexpr std::array<ExitStatus, 5> order = {ExitStatus::usage, ExitStatus::failed,
                                               ExitStatus::refused, ExitStatus::pending,
                                               ExitStatus::ok};
  return *std::find_if(order.begin(), order.end(),
                       [=](ExitStatus status) { return status == a || status == b; });
}

ExitStatus exit_status(Status status, bool exit_code_option) {
  switch (status) {
    case Status::patched:
    case Status::reverted:
    case Status::unchanged:
    case Status::reported:
    case Status::recovered:
    case Status::discarded:
    case Status::replayed:
      return ExitStatus::ok;
    case Status::pending:
      return exit_code_option ? ExitStatus::pending : ExitStatus::ok;
    case Status::refused:
      return ExitStatus::refused;
    case Status::failed:
      return ExitStatus::failed;
  }
  return ExitStatus::failed;
}

}  // namespace kvmnet::cli

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/recover_image.h"

#include "src/disk/beside.h"

namespace kvmnet {

Outcome recover_image(const std::string& path, disk::Interruption interruption,
                      const JobContext& context) {
  return run_job(path, [&](Outcome& outcome) {
    PhaseClock clock(context.begin, outcome.phases);
    clock.begin(Phase::recover);
    if (const auto refusal = disk::check_name(path)) throw Refused{*refusal};
    const std::string image = disk::resolve_image(path);
    if (const auto refusal = disk::check_name(image)) throw Refused{*refusal};
    const auto begin_writing = [&] {
      clock.begin(Phase::commit);
      if (context.before_writing) context.before_writing();
    };
    disk::Recovered recovered = disk::recover(image, interruption, begin_writing);
    outcome.warnings = std::move(recovered.warnings);
    switch (recovered.recovery) {
      case disk::Recovery::nothing:
        outcome.status = Status::unchanged;
        break;
      case disk::Recovery::finished:
        outcome.status = Status::recovered;
        break;
      case disk::Recovery::discarded:
        outcome.status = Status::discarded;
        break;
    }
  });
}

}  // namespace kvmnet

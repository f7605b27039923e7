// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/job.h"

#include "guestfs/guest_files.h"
#include "hive/error.h"
#include "src/support/refusal.h"

namespace kvmnet {

Outcome run_job(const std::string& image, const std::function<void(Outcome&)>& work) {
  Outcome outcome;
  outcome.image = image;
  try {
    work(outcome);
  } catch (const Refused& e) {
    outcome.status = Status::refused;
    outcome.refusal = e.refusal;
  } catch (const hive::Unsupported& e) {
    outcome.status = Status::refused;
    outcome.refusal = Refusal{Reason::hive_not_editable, e.what()};
  } catch (const guestfs::LaunchError&) {
    throw;
  } catch (const std::exception& e) {
    outcome.status = Status::failed;
    outcome.error = e.what();
  }
  return outcome;
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/patch_image.h"

#include "guestfs/image.h"
#include "hive/error.h"
#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/disk/overlay.h"

namespace kvmnet {
namespace {

guestfs::LaunchOptions launch_options(const PatchRequest& request, const PatchContext& context) {
  guestfs::LaunchOptions options;
  options.accelerator = context.accelerator;
  options.throw_away = request.guest.mode == Mode::plan;
  options.verbose = request.verbose;
  options.trace = request.trace;
  options.temporary_directory = context.temporary_directory;
  return options;
}

void work(const PatchRequest& request, const PatchContext& context, Outcome& outcome) {
  PhaseClock clock(context.begin, outcome.phases);
  clock.begin(Phase::open);
  const bool patching = request.guest.mode == Mode::patch;
  const auto image = value_or_refuse(disk::identify(outcome.image, request.format));
  if (patching)
    if (auto refusal = disk::check_writable(image)) throw Refused{*refusal};
  const auto lock =
      value_or_refuse(disk::ImageLock::take(image, patching ? disk::Use::write : disk::Use::read));
  // Under the lock: another kvmnet may be in the middle of its commit.
  if (auto refusal = disk::check_committed(image)) throw Refused{*refusal};
  auto overlay = patching ? disk::Overlay::beside(image)
                          : disk::Overlay::in(context.temporary_directory, image);

  clock.begin(Phase::launch);
  guestfs::Image guest({{overlay.path(), "qcow2"}}, launch_options(request, context));
  outcome.accelerator = guestfs::to_string(context.accelerator);
  patch_guest(guest, request.guest, clock, outcome);
  if (outcome.status != Status::patched) return;
  guest.finish();

  clock.begin(Phase::commit);
  if (context.before_commit) context.before_commit();
  overlay.commit();
}

}  // namespace

Outcome patch_image(const std::string& path, const PatchRequest& request,
                    const PatchContext& context) {
  Outcome outcome;
  outcome.image = path;
  try {
    work(request, context, outcome);
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

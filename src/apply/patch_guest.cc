// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/patch_guest.h"

#include <fmt/format.h>

#include <optional>

#include "src/apply/apply.h"
#include "src/apply/backup.h"
#include "src/apply/find_windows.h"
#include "src/apply/probe.h"
#include "src/plan/plan.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using guestfs::Access;
using guestfs::GuestFiles;

void mount_writable(GuestFiles& guest, const WindowsRoot& root) {
  const auto refuse = [&root](Reason reason, std::string_view what) {
    throw Refused{{reason, fmt::format("{}: {}", root.device, what)}};
  };
  switch (guest.ntfs_state(root.device)) {
    case guestfs::NtfsState::clean:
      break;
    case guestfs::NtfsState::hibernated:
      refuse(Reason::hibernated,
             "Windows is hibernated or was shut down with fast startup: it would overwrite any "
             "change with what it has in memory");
      break;
    case guestfs::NtfsState::unclean:
      refuse(Reason::unclean_ntfs,
             "the NTFS was not cleanly unmounted: its journal holds changes that are not in place");
      break;
    case guestfs::NtfsState::damaged:
      refuse(Reason::damaged_ntfs, "the NTFS is damaged");
      break;
  }
  guest.mount(root.device, Access::read_write);
  if (!guest.is_writable(root.directory))
    refuse(Reason::read_only_mount, "the NTFS can be mounted read-only only");
}

// On a fresh mount: nothing that was read before it proves that the writes arrived.
void verify(GuestFiles& guest, const WindowsRoot& root, const Settings& settings,
            const std::vector<Edit>& edits, const std::vector<std::byte>& hive) {
  guest.mount(root.device, Access::read_only);
  const Probe again = probe_guest(guest, root.directory, DirtyHive::use_primary);
  if (again.downloaded != hive)
    throw Error("verification failed: the SYSTEM hive reads back differently");
  for (const GuestLog& log : again.logs)
    if (has_registry_edits(edits) && !is_neutral(guest, log))
      throw Error(fmt::format("verification failed: {} is still valid", log.path));
  const auto open = find_open_files(guest, root.directory, edits);
  if (!open.empty())
    throw Error(fmt::format("verification failed: {} has other permissions than it was given",
                            open.front()));
  const Plan left = value_or_refuse(make_plan(again.facts, settings, Scope::guest));
  if (!left.edits.empty()) {
    const EditText text = describe(left.edits.front());
    throw Error(fmt::format("verification failed: {} is still to be done: {}", left.edits.size(),
                            text.target));
  }
}

}  // namespace

void patch_guest(GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                 Outcome& outcome) {
  clock.begin(Phase::inspect);
  const WindowsRoot root = value_or_refuse(choose_root(find_windows(guest), request.root));
  outcome.device = root.device;
  mount_writable(guest, root);

  clock.begin(Phase::probe);
  const Probe probe = probe_guest(guest, root.directory, request.dirty_hive);
  outcome.facts = probe.facts;
  const Plan plan = value_or_refuse(make_plan(probe.facts, request.settings, Scope::guest));
  outcome.edits = plan.edits;
  outcome.firstboot = plan.firstboot;
  outcome.warnings.insert(outcome.warnings.end(), plan.warnings.begin(), plan.warnings.end());
  outcome.status = plan.edits.empty() ? Status::unchanged : Status::pending;
  if (plan.edits.empty()) return;
  // Also for `plan`: an edit that hivex cannot make is to be foretold. Only memory is touched.
  const bool edits_hive = has_registry_edits(plan.edits);
  const auto after =
      edits_hive ? read_whole(edit_hive(probe.in_memory(), plan.edits).file) : probe.downloaded;
  if (request.mode == Mode::plan) return;

  clock.begin(Phase::apply);
  std::optional<Backup> backup;  // goes again if anything below fails
  if (!request.backup_directory.empty()) {
    backup.emplace(request.backup_directory, request.backup_name);
    backup->save(guest, probe.system_path, probe.downloaded);
  }
  // The SYSTEM hive last: until then nothing refers to the files.
  apply_files(guest, root.directory, plan.edits);
  update_hive(guest, probe.system_path, probe.downloaded, after);
  if (edits_hive) neutralise(guest, probe.logs);
  guest.unmount();

  clock.begin(Phase::verify);
  verify(guest, root, request.settings, plan.edits, after);
  if (backup) outcome.backup = backup->keep();
  outcome.status = Status::patched;
}

}  // namespace kvmnet

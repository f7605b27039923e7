// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/patch_guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "src/apply/apply.h"
#include "src/apply/backup.h"
#include "src/apply/find_windows.h"
#include "src/apply/probe.h"
#include "src/plan/foretell.h"
#include "src/plan/guest_status.h"
#include "src/plan/plan.h"
#include "src/support/error.h"
#include "src/support/memory_view.h"

namespace kvmnet {
namespace {

using guestfs::Access;
using guestfs::GuestFiles;

// To NTFS both are the same. Where it is only the journal that says so, $LogFile of version 2.0,
// there need be no session in hiberfil.sys (ntfs-3g, ntfs_volume_check_hiberfile).
bool has_hibernated(GuestFiles& guest, const WindowsRoot& root) {
  constexpr std::size_t signature = 4;
  guest.mount(root.device, Access::read_only);
  const auto file = guest.resolve("/hiberfil.sys");
  if (!file) return false;
  const auto bytes = guest.read_at(*file, 0, signature);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text == "hibr" || text == "HIBR";
}

Access check_state(GuestFiles& guest, const WindowsRoot& root, bool accept_unclean) {
  const auto refuse = [&root](Reason reason, std::string_view what) {
    throw Refused{{reason, fmt::format("{}: {}", root.device, what)}};
  };
  switch (guest.ntfs_state(root.device)) {
    case guestfs::NtfsState::clean:
      break;
    case guestfs::NtfsState::hibernated:
      if (has_hibernated(guest, root))
        refuse(Reason::hibernated,
               "Windows is hibernated: it would overwrite any change with what it has in memory");
      refuse(Reason::fast_startup,
             "Windows was shut down with fast startup, or cut off: it keeps what it knows of the "
             "NTFS, and would overwrite any change with that");
      break;
    case guestfs::NtfsState::unclean:
      if (accept_unclean) return Access::read_write_unclean;
      refuse(Reason::unclean_ntfs,
             "the NTFS was not cleanly unmounted: its journal holds changes that are not in place, "
             "or Windows is to check it first");
      break;
    case guestfs::NtfsState::damaged:
      refuse(Reason::damaged_ntfs, "the NTFS is damaged");
      break;
  }
  return Access::read_write;
}

// Not even an empty file fits into a guest that is full.
bool is_writable(GuestFiles& guest, const WindowsRoot& root) {
  constexpr std::uint64_t next_to_nothing = 64 << 10;
  try {
    return guest.is_writable(root.directory);
  } catch (const guestfs::Error& e) {
    const std::uint64_t there = guest.free_space();
    if (there >= next_to_nothing) throw;
    throw Refused{{Reason::no_guest_space,
                   fmt::format("{}: {} bytes left: {}", root.device, there, e.what())}};
  }
}

void mount_writable(GuestFiles& guest, const WindowsRoot& root, Access access) {
  guest.mount(root.device, access);
  if (!is_writable(guest, root))
    throw Refused{{Reason::read_only_mount,
                   fmt::format("{}: the NTFS can be mounted read-only only", root.device)}};
}

// An NTFS keeps small files in its tables, which may have to grow for them.
void check_space(GuestFiles& guest, const std::vector<Edit>& edits, std::size_t hive_growth) {
  constexpr std::uint64_t margin = 1 << 20;
  std::uint64_t needed = margin + hive_growth;
  for (const Edit& edit : edits)
    if (const auto* written = std::get_if<WriteFile>(&edit)) needed += written->content.size();
  const std::uint64_t there = guest.free_space();
  if (there >= needed) return;
  throw Refused{{Reason::no_guest_space,
                 fmt::format("the guest's system volume has {} bytes left, and {} are needed",
                             there, needed)}};
}

// Also for `plan`: an edit that hivex cannot make is to be foretold, and what .reg files change of
// that by which the plan was made. Only memory is touched. Nothing: it stays as it is. The proof is
// still to come: it takes as long as writing to the overlay.
std::optional<EditedHive> edited_hive(const Probe& probe, const GuestRequest& request,
                                      const std::vector<Edit>& edits) {
  if (!has_registry_edits(edits)) return std::nullopt;
  EditedHive edited = probe.hive->work.edit(edits);
  if (!request.reg.empty())
    if (const auto refusal =
            check_settled(request.decide(facts_after(probe, edits, request.reg)), edits))
      throw Refused{*refusal};
  return edited;
}

// On a fresh mount: nothing that was read before it proves that the writes arrived. `written`: see
// update_hive().
void verify(GuestFiles& guest, const WindowsRoot& root, const GuestRequest& request,
            const std::vector<Edit>& edits, const Probe& before, std::span<const std::byte> hive,
            const std::vector<guestfs::FilePart>& written) {
  guest.mount(root.device, Access::read_only);
  if (!guest.has_content(before.system_path, hive, written))
    throw Error("verification failed: the SYSTEM hive reads back differently");
  const Probe again = has_registry_edits(edits)
                          ? probe_again(before, guest, root.directory, request.reg)
                          : probe_guest(guest, root.directory, DirtyHive::use_primary, request.reg);
  for (const GuestLog& log : again.logs)
    if (has_registry_edits(edits) && !is_neutral(guest, log))
      throw Error(fmt::format("verification failed: {} is still valid", log.path));
  const auto open = find_open_files(guest, root.directory, edits);
  if (!open.empty())
    throw Error(fmt::format("verification failed: {} has other permissions than it was given",
                            open.front()));
  const auto decision = request.decide(again.facts);
  if (const auto* refusal = std::get_if<Refusal>(&decision))
    throw Error("verification failed: " + refusal->message);
  const Plan& left = std::get<Plan>(decision);
  if (!left.edits.empty()) {
    const EditText text = describe(left.edits.front());
    throw Error(fmt::format("verification failed: {} is still to be done: {}", left.edits.size(),
                            text.target));
  }
}

}  // namespace

Decision to_patch(Settings settings) {
  return [settings = std::move(settings)](const Facts& facts) {
    return make_plan(facts, settings, Scope::guest);
  };
}

Decision to_revert(RevertOptions options) {
  return [options](const Facts& facts) { return make_revert(facts, options); };
}

void patch_guest(GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                 Outcome& outcome) {
  clock.begin(Phase::inspect);
  const WindowsRoot root =
      value_or_refuse(choose_root(find_windows(guest, request.keys), request.root));
  outcome.device = root.device;
  const Access access = check_state(guest, root, request.accept_unclean_ntfs);
  if (access == Access::read_write_unclean)
    outcome.warnings.emplace_back(
        "the NTFS was not cleanly unmounted: what is only in its journal is lost, as "
        "--unclean-ntfs accept says");
  mount_writable(guest, root, access);

  clock.begin(Phase::probe);
  const Probe probe = probe_guest(guest, root.directory, request.dirty_hive, request.reg);
  outcome.facts = probe.facts;
  const Plan plan = value_or_refuse(request.decide(probe.facts));
  outcome.edits = plan.edits;
  outcome.firstboot = plan.firstboot;
  outcome.restored = plan.restored;
  outcome.warnings.insert(outcome.warnings.end(), plan.warnings.begin(), plan.warnings.end());
  outcome.status = plan.edits.empty() ? Status::unchanged : Status::pending;
  if (plan.edits.empty()) return;
  const auto before = probe.downloaded.bytes();
  const auto edited = edited_hive(probe, request, plan.edits);
  const MemoryView edited_view = edited ? MemoryView(edited->file) : MemoryView();
  const auto after = edited ? edited_view.bytes() : before;
  if (auto refusal = check_places(guest, root.directory, plan.edits)) throw Refused{*refusal};
  check_space(guest, plan.edits, after.size() - std::min(before.size(), after.size()));
  if (request.mode == Mode::plan) {
    if (edited) probe.hive->work.proven();
    return;
  }

  clock.begin(Phase::apply);
  std::optional<Backup> backup;  // goes again if anything below fails
  if (!request.backup_directory.empty()) {
    backup.emplace(request.backup_directory, request.backup_name);
    backup->save(guest, probe.system_path, before);
  }
  // The SYSTEM hive last: until then nothing refers to the files.
  apply_files(guest, root.directory, plan.edits);
  const auto written = update_hive(guest, probe.system_path, before, after);
  if (has_registry_edits(plan.edits)) neutralise(guest, probe.logs);
  guest.unmount();

  clock.begin(Phase::verify);
  verify(guest, root, request, plan.edits, probe, after, written);
  if (backup) outcome.backup = backup->keep();
  outcome.status = request.done;
}

void look_at_guest(GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                   Outcome& outcome) {
  clock.begin(Phase::inspect);
  const WindowsRoot root =
      value_or_refuse(choose_root(find_windows(guest, request.keys), request.root));
  outcome.device = root.device;
  const guestfs::NtfsState state = guest.ntfs_state(root.device);
  if (state == guestfs::NtfsState::hibernated || state == guestfs::NtfsState::unclean)
    outcome.warnings.emplace_back(
        "Windows was not shut down: it may still change what is reported here");
  guest.mount(root.device, Access::read_only);

  clock.begin(Phase::probe);
  outcome.facts = probe_guest(guest, root.directory, DirtyHive::use_primary).facts;
  if (const auto refusal = check_condition(outcome.facts->system, "SYSTEM"))
    throw Refused{*refusal};
  outcome.guest_status = status_of(*outcome.facts);
  const auto& warnings = outcome.guest_status->warnings;
  outcome.warnings.insert(outcome.warnings.end(), warnings.begin(), warnings.end());
  outcome.status = outcome.guest_status->is_pending() ? Status::pending : Status::reported;
}

}  // namespace kvmnet

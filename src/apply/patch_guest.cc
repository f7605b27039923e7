// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/patch_guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

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
std::uint64_t size_of_files(const std::vector<Edit>& edits) {
  std::uint64_t size = 0;
  for (const Edit& edit : edits)
    if (const auto* written = std::get_if<WriteFile>(&edit)) size += written->content.size();
  return size;
}

void check_space(std::uint64_t there, std::uint64_t growth) {
  constexpr std::uint64_t margin = 1 << 20;
  const std::uint64_t needed = margin + growth;
  if (there >= needed) return;
  throw Refused{{Reason::no_guest_space,
                 fmt::format("the guest's system volume has {} bytes left, and {} are needed",
                             there, needed)}};
}

WindowsRoot mount_root(GuestFiles& guest, const GuestRequest& request, Outcome& outcome) {
  WindowsRoot root = value_or_refuse(choose_root(find_windows(guest, request.keys), request.root));
  request.meanwhile.found();
  outcome.device = root.device;
  const Access access = check_state(guest, root, request.accept_unclean_ntfs);
  if (access == Access::read_write_unclean)
    outcome.warnings.emplace_back(
        "the NTFS was not cleanly unmounted: what is only in its journal is lost, as "
        "--unclean-ntfs accept says");
  mount_writable(guest, root, access);
  return root;
}

void tell(const Plan& plan, Outcome& outcome) {
  outcome.edits = plan.edits;
  outcome.firstboot = plan.firstboot;
  outcome.restored = plan.restored;
  outcome.warnings.insert(outcome.warnings.end(), plan.warnings.begin(), plan.warnings.end());
  outcome.status = plan.edits.empty() ? Status::unchanged : Status::pending;
}

// What is done to a guest of which it is known what is to be done.
class Change {
 public:
  Change(GuestFiles& guest, const GuestRequest& request, const WindowsRoot& root,
         const Probe& probe, const std::vector<Edit>& edits)
      : guest_(guest), request_(request), root_(root), probe_(probe), edits_(edits) {}

  // Also for `plan`: an edit that hivex cannot make is to be foretold, and what .reg files change
  // of that by which the plan was made. For `patch` files are written meanwhile; the SYSTEM hive
  // comes last: until then nothing refers to them. The proof of the edit is still to come.
  void prepare();
  // Writes the hive, and what has not been written yet.
  void apply();
  // On a fresh mount: nothing that was read before it proves that the writes arrived.
  void verify();
  std::string keep_backup() { return backup_ ? backup_->keep() : std::string(); }

 private:
  bool has_reg() const { return !request_.reg.empty(); }
  // A backup is made before anything changes, and of the hive as nobody works on it: hivex gets
  // some with another header. What .reg files want is judged when it has been edited.
  bool writes_files_meanwhile() const {
    return request_.mode == Mode::patch && !has_reg() && request_.backup_directory.empty();
  }
  std::span<const std::byte> before() const { return probe_.downloaded.bytes(); }
  std::span<const std::byte> after() const {
    return has_registry_edits_ ? view_.bytes() : before();
  }
  void while_hive_is_edited();
  void change_files();

  GuestFiles& guest_;
  const GuestRequest& request_;
  const WindowsRoot& root_;
  const Probe& probe_;
  const std::vector<Edit>& edits_;
  const bool has_registry_edits_ = has_registry_edits(edits_);
  std::uint64_t space_ = 0;                 // in the guest, before anything was written
  MemoryView view_;                         // of the edited hive
  std::optional<Backup> backup_;            // goes again unless it is kept
  std::vector<guestfs::FilePart> written_;  // of the hive, see update_hive()
};

void Change::prepare() {
  if (has_registry_edits_)
    view_ = MemoryView(probe_.hive->work.edit(edits_, [this] { while_hive_is_edited(); }).file);
  else
    while_hive_is_edited();
  if (has_registry_edits_ && has_reg())
    if (const auto refusal =
            check_settled(request_.decide(facts_after(probe_, edits_, request_.reg)), edits_))
      throw Refused{*refusal};
  if (after().size() < before().size()) throw Error("the edited hive is shorter than before");
  check_space(space_, size_of_files(edits_) + after().size() - before().size());
  if (has_registry_edits_ && request_.mode == Mode::plan) probe_.hive->work.proven();
}

void Change::while_hive_is_edited() {
  if (auto refusal = check_places(guest_, root_.directory, edits_)) throw Refused{*refusal};
  space_ = guest_.free_space();
  check_space(space_, size_of_files(edits_));
  if (request_.mode == Mode::plan) return;
  request_.meanwhile.edited();
  probe_.downloaded.load();
  if (writes_files_meanwhile()) change_files();
}

void Change::change_files() {
  if (!request_.backup_directory.empty()) {
    backup_.emplace(request_.backup_directory, request_.backup_name);
    backup_->save(guest_, probe_.system_path, before());
  }
  apply_files(guest_, root_.directory, edits_);
}

void Change::apply() {
  if (!writes_files_meanwhile()) change_files();
  written_ = update_hive(guest_, probe_.system_path, before(), after());
  if (has_registry_edits_) neutralise(guest_, probe_.logs);
  guest_.unmount();
}

void Change::verify() {
  guest_.mount(root_.device, Access::read_only);
  if (!guest_.has_content(probe_.system_path, after(), written_))
    throw Error("verification failed: the SYSTEM hive reads back differently");
  request_.meanwhile.proven();
  const Probe again = has_registry_edits_
                          ? probe_again(probe_, guest_, root_.directory, request_.reg)
                          : probe_guest(guest_, root_.directory, DirtyHive::use_primary,
                                        request_.reg, probe_.software);
  for (const GuestLog& log : again.logs)
    if (has_registry_edits_ && !is_neutral(guest_, log))
      throw Error(fmt::format("verification failed: {} is still valid", log.path));
  const auto open = find_open_files(guest_, root_.directory, edits_);
  if (!open.empty())
    throw Error(fmt::format("verification failed: {} has other permissions than it was given",
                            open.front()));
  request_.meanwhile.released();
  const auto decision = request_.decide(again.facts);
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

Remains patch_guest(GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                    Outcome& outcome) {
  clock.begin(Phase::inspect);
  auto software = std::make_shared<SoftwareHive>();  // starts meanwhile
  const WindowsRoot root = mount_root(guest, request, outcome);

  clock.begin(Phase::probe);
  const Probe probe =
      probe_guest(guest, root.directory, request.dirty_hive, request.reg, std::move(software));
  outcome.facts = probe.facts;
  const Plan plan = value_or_refuse(request.decide(probe.facts));
  tell(plan, outcome);
  if (plan.edits.empty()) return {};
  Change change(guest, request, root, probe, plan.edits);
  if (request.mode == Mode::plan) {
    change.prepare();
    return {};
  }

  clock.begin(Phase::apply);
  change.prepare();
  change.apply();

  clock.begin(Phase::verify);
  change.verify();
  outcome.backup = change.keep_backup();
  outcome.status = request.done;
  Remains remains;
  remains.push_back(probe.hive->work.retire());
  remains.push_back(probe.software->retire());
  std::erase(remains, nullptr);
  return remains;
}

void look_at_guest(GuestFiles& guest, const GuestRequest& request, PhaseClock& clock,
                   Outcome& outcome) {
  clock.begin(Phase::inspect);
  const WindowsRoot root =
      value_or_refuse(choose_root(find_windows(guest, request.keys), request.root));
  request.meanwhile.found();
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

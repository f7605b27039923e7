// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/patch_image.h"

#include <fmt/format.h>

#include <chrono>

#include "guestfs/image.h"
#include "hive/error.h"
#include "src/apply/apply.h"
#include "src/apply/find_windows.h"
#include "src/apply/probe.h"
#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/disk/overlay.h"
#include "src/plan/plan.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using guestfs::Access;

// Ends the work on an image with a refusal, from any depth of it; caught in patch_image.
struct Refused {
  Refusal refusal;
};

template <typename T>
T value_or_refuse(std::variant<T, Refusal>&& result) {
  if (auto* refusal = std::get_if<Refusal>(&result)) throw Refused{std::move(*refusal)};
  return std::get<T>(std::move(result));
}

class Work {
 public:
  Work(const PatchRequest& request, const PatchContext& context, Outcome& outcome)
      : request_(request), context_(context), outcome_(outcome) {}

  void run() {
    begin(Phase::open);
    const auto image = value_or_refuse(disk::identify(outcome_.image, request_.format));
    if (patching())
      if (auto refusal = disk::check_writable(image)) throw Refused{*refusal};
    const auto lock = value_or_refuse(
        disk::ImageLock::take(image, patching() ? disk::Use::write : disk::Use::read));
    const auto overlay = patching() ? disk::Overlay::beside(image)
                                    : disk::Overlay::in(context_.temporary_directory, image);
    work_on(overlay);
    if (outcome_.status == Status::patched) {
      begin(Phase::commit);
      overlay.commit();
    }
    end_phase();
  }

 private:
  bool patching() const { return request_.mode == Mode::patch; }

  void work_on(const disk::Overlay& overlay) {
    begin(Phase::launch);
    guestfs::LaunchOptions options;
    options.accelerator = context_.accelerator;
    options.throw_away = !patching();
    options.verbose = request_.verbose;
    options.trace = request_.trace;
    options.temporary_directory = context_.temporary_directory;
    guestfs::Image guest({{overlay.path(), "qcow2"}}, options);
    outcome_.accelerator = guestfs::to_string(context_.accelerator);
    work_on(guest);
    if (outcome_.status == Status::patched) guest.finish();
  }

  void work_on(guestfs::GuestFiles& guest) {
    begin(Phase::inspect);
    const WindowsRoot root = value_or_refuse(choose_root(find_windows(guest), request_.root));
    outcome_.device = root.device;
    mount_writable(guest, root);

    begin(Phase::probe);
    Probe probe = probe_guest(guest, root.directory);
    outcome_.facts = probe.facts;
    Plan plan = make_plan_of(probe.facts);
    outcome_.edits = plan.edits;
    outcome_.warnings = plan.warnings;
    outcome_.status = plan.edits.empty() ? Status::unchanged : Status::pending;
    if (plan.edits.empty()) return;
    // Also for `plan`, so that it foretells what `patch` would say. Only memory is touched.
    const std::vector<std::byte> before = read_whole(probe.system_hive);
    edit_hive(probe.system_hive, plan.edits);
    const std::vector<std::byte> after = read_whole(probe.system_hive);
    if (!patching()) return;

    begin(Phase::apply);
    apply_files(guest, root.directory, plan.edits);
    update_hive(guest, probe.system_path, before, after);
    guest.unmount();

    begin(Phase::verify);
    verify(guest, root, after);
    outcome_.status = Status::patched;
  }

  Plan make_plan_of(const Facts& facts) const {
    return value_or_refuse(make_plan(facts, request_.settings, Scope::guest));
  }

  // `plan` mounts as `patch` does, so that it foretells the same refusals; its overlay is thrown
  // away.
  static void mount_writable(guestfs::GuestFiles& guest, const WindowsRoot& root) {
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
        refuse(
            Reason::unclean_ntfs,
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
  void verify(guestfs::GuestFiles& guest, const WindowsRoot& root,
              const std::vector<std::byte>& hive) const {
    guest.mount(root.device, Access::read_only);
    const Probe again = probe_guest(guest, root.directory);
    if (read_whole(again.system_hive) != hive)
      throw Error("verification failed: the SYSTEM hive reads back differently");
    const Plan left = make_plan_of(again.facts);
    if (!left.edits.empty()) {
      const EditText text = describe(left.edits.front());
      throw Error(fmt::format("verification failed: {} is still to be done: {}", left.edits.size(),
                              text.target));
    }
  }

  void begin(Phase phase) {
    end_phase();
    current_ = phase;
    started_ = std::chrono::steady_clock::now();
    if (context_.begin) context_.begin(phase);
  }

  void end_phase() {
    if (!current_) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
    outcome_.phases.emplace_back(to_string(*current_), took.count());
    current_.reset();
  }

  const PatchRequest& request_;
  const PatchContext& context_;
  Outcome& outcome_;
  std::optional<Phase> current_;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::open:
      return "open";
    case Phase::launch:
      return "launch";
    case Phase::inspect:
      return "inspect";
    case Phase::probe:
      return "probe";
    case Phase::apply:
      return "apply";
    case Phase::verify:
      return "verify";
    case Phase::commit:
      return "commit";
  }
  return "";
}

Outcome patch_image(const std::string& path, const PatchRequest& request,
                    const PatchContext& context) {
  Outcome outcome;
  outcome.image = path;
  const auto fail = [&outcome](std::string error) {
    outcome.status = Status::failed;
    outcome.error = std::move(error);
  };
  try {
    Work(request, context, outcome).run();
  } catch (const Refused& e) {
    outcome.status = Status::refused;
    outcome.refusal = e.refusal;
  } catch (const hive::Unsupported& e) {
    outcome.status = Status::refused;
    outcome.refusal = Refusal{Reason::hive_not_editable, e.what()};
  } catch (const guestfs::LaunchError&) {
    throw;
  } catch (const std::exception& e) {
    fail(e.what());
  }
  return outcome;
}

}  // namespace kvmnet

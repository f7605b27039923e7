// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/patch_image.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "guestfs/appliance.h"
#include "src/apply/direct_guest.h"
#include "src/disk/backing_users.h"
#include "src/disk/beside.h"
#include "src/disk/commit.h"
#include "src/disk/confinement.h"
#include "src/disk/copy.h"
#include "src/disk/host_space.h"
#include "src/disk/image_info.h"
#include "src/disk/image_lock.h"
#include "src/disk/open_files.h"
#include "src/disk/overlay.h"
#include "src/disk/qemu_commit.h"
#include "src/disk/recover.h"
#include "src/disk/served_disk.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using disk::ImageInfo;
using disk::ImageLock;
using disk::Overlay;

void refuse_if(const std::optional<Refusal>& refusal) {
  if (refusal) throw Refused{*refusal};
}

class Patch {
 public:
  Patch(const PatchRequest& request, const JobContext& context, Outcome& outcome)
      : request_(request),
        context_(context),
        outcome_(outcome),
        clock_(context.begin, outcome.phases) {}

  void run() {
    clock_.begin(Phase::open);
    refuse_if(disk::check_name(outcome_.image));
    refuse_if(disk::check_name(name()));
    if (request_.guest.mode == Mode::plan || request_.only_look)
      plan();
    else if (request_.output.empty())
      patch_in_place();
    else
      patch_copy();
  }

 private:
  void plan() {
    refuse_if(disk::check_committed(name()));
    const ImageInfo image = identify(disk::BlockDevices::allow);
    if (!request_.only_look && request_.output.empty()) foretell(check_in_place(image));
    const ImageLock lock = take(image, disk::Use::read);
    // Under the lock: another kvmnet may have begun meanwhile.
    refuse_if(disk::check_committed(name()));
    const Overlay overlay = Overlay::in(context_.temporary_directory, image, making_of(image));
    work_on(overlay, image);
  }

  void patch_in_place() {
    finish_interrupted_commit();
    const ImageInfo image = identify(disk::BlockDevices::refuse);
    refuse_if(check_in_place(image));
    refuse_if(check_room(image));
    const ImageLock lock = take(image, disk::Use::write);
    Overlay overlay = Overlay::beside(image, making_of(image));
    work_on(overlay, image);
    if (!is_changed()) return;
    clock_.begin(Phase::prepare);
    const auto before_writing = [this] { begin_writing(); };
    warn(disk::commit(std::move(overlay), image, lock, before_writing, std::move(changes_),
                      std::move(commit_)));
  }

  // The copy has another name until all is well, so it needs no journal.
  void patch_copy() {
    refuse_if(disk::check_committed(name()));
    const ImageInfo image = identify(disk::BlockDevices::allow);
    disk::Copy copy = copy_of(image);
    {
      const Overlay overlay = Overlay::beside(copy.info(), making_of(copy.info()));
      work_on(overlay, copy.info());
      begin_writing();
      if (is_changed()) warn(disk::commit_to_private_file(overlay, copy.info()));
    }
    copy.keep();
    outcome_.output = request_.output;
  }

  disk::Copy copy_of(const ImageInfo& image) {
    const ImageLock lock = take(image, disk::Use::read);
    clock_.begin(Phase::copy);
    return value_or_refuse(disk::Copy::make(image, request_.output, request_.umask));
  }

  void begin_writing() {
    clock_.begin(Phase::commit);
    if (context_.before_writing) context_.before_writing();
  }

  ImageInfo identify(disk::BlockDevices block_devices) const {
    try {
      return value_or_refuse(disk::identify(outcome_.image, request_.format, block_devices));
    } catch (const Error&) {
      refuse_if(disk::check_committed(name()));  // another kvmnet may have begun to write meanwhile
      throw;
    }
  }

  std::string name() const { return disk::resolve_image(outcome_.image); }

  void finish_interrupted_commit() {
    const std::string image = name();
    if (!disk::has_leftovers(image)) return;
    clock_.begin(Phase::recover);
    disk::Recovered recovered =
        disk::recover(image, disk::Interruption::start_anew, [this] { begin_writing(); });
    outcome_.recovered = recovered.recovery == disk::Recovery::finished;
    warn(recovered.warnings);
    clock_.begin(Phase::open);
  }

  // What patching a copy would not mind.
  std::optional<Refusal> check_in_place(const ImageInfo& image) const {
    if (image.is_block_device)
      return Refusal{Reason::not_a_regular_file, outcome_.image + ": is a block device"};
    if (auto refusal = disk::check_in_place(image)) return refusal;
    if (request_.allow_backing_file) return std::nullopt;
    return disk::check_backing_users(image, request_.images);
  }

  // The changes of one guest take a few MiB; before they are committed the real number is checked.
  static std::optional<Refusal> check_room(const ImageInfo& image) {
    constexpr std::uint64_t usual_changes = 64 << 20;
    const std::string directory = std::filesystem::path(image.path).parent_path().string();
    return disk::check_space(directory, usual_changes, "the changes");
  }

  void foretell(const std::optional<Refusal>& refusal) {
    const bool reverts = request_.guest.done == Status::reverted;
    if (refusal)
      warn({fmt::format("{} will refuse: {} [{}]; {}", reverts ? "revert" : "patch",
                        refusal->message, code(refusal->reason), remedy(refusal->reason))});
  }

  void warn(const std::vector<std::string>& warnings) {
    outcome_.warnings.insert(outcome_.warnings.end(), warnings.begin(), warnings.end());
  }

  // It must still be what identify() has judged.
  static ImageLock take(const ImageInfo& image, disk::Use use) {
    ImageLock lock = value_or_refuse(ImageLock::take(image.path, use));
    if (disk::identity_of(image.path) != image.identity)
      throw Refused{{Reason::image_in_use, image.path + ": is being changed by somebody else"}};
    return lock;
  }

  // Ends with the overlay at rest, and nobody that has it open.
  void work_on(const Overlay& overlay, const ImageInfo& image) {
    try {
      clock_.begin(Phase::launch);
      if (request_.backend == Backend::libguestfs || !work_directly(overlay, image))
        work_in_appliance(overlay, image);
    } catch (Refused& e) {
      const bool is_guess = image.format == disk::Format::raw && !request_.format;
      if (is_guess && e.refusal.reason == Reason::no_windows)
        e.refusal.message += "; the file does not begin as qcow2 does, and was read as a raw disk";
      throw;
    }
  }

  void work_in_appliance(const Overlay& overlay, const ImageInfo& image) {
    overlay.require_sound();
    clock_.begin(Phase::launch);
    outcome_.backend = "libguestfs";
    if (const std::string why = guestfs::why_absent(); !why.empty())
      throw Error(why + "; --backend direct does without");
    guestfs::LaunchOptions options;
    options.accelerator = context_.accelerator;
    options.throw_away = request_.guest.mode == Mode::plan || request_.only_look;
    options.verbose = request_.verbose;
    options.trace = request_.trace;
    options.temporary_directory = context_.temporary_directory;
    const auto guest = guestfs::launch({{overlay.path(), "qcow2"}}, options);
    outcome_.accelerator = guestfs::to_string(context_.accelerator);
    // No wall is around this QEMU.
    if (disk::others_may_exchange(image.path, image.format))
      disk::check_open_files(guest->process(), overlay, image,
                             {context_.temporary_directory, guest->appliance_directory()});
    work_in(*guest);
    if (is_changed()) guest->finish();
  }

  // False: nothing was done, because the disk has a layout that only an appliance reads, and there
  // is one. No other refusal is put to a second judge.
  bool work_directly(const Overlay& overlay, const ImageInfo& image) {
    outcome_.backend = "direct";
    try {
      return work_on_served(overlay, image);
    } catch (...) {
      refuse_if_damaged(overlay);
      throw;
    }
  }

  // Whatever else was found then does not count; it does where the check itself has failed.
  static void refuse_if_damaged(const Overlay& overlay) {
    try {
      overlay.require_sound();
    } catch (const Refused&) {
      throw;
    } catch (const Error&) {
    }
  }

  bool work_on_served(const Overlay& overlay, const ImageInfo& image) {
    server_->go();
    overlay.begin_check();
    DirectGuest guest(std::move(server_));
    Meanwhile meanwhile;
    meanwhile.found = [&] { overlay.require_sound(); };
    if (request_.guest.mode == Mode::patch && request_.output.empty()) {
      meanwhile.edited = [&] { start_commit(image); };
      meanwhile.proven = [&] { changes_ = guest.changes(); };
    }
    meanwhile.released = [&] { guest.begin_finish(); };
    try {
      work_in(guest, std::move(meanwhile));
    } catch (const Refused& e) {
      if (!guest.is_for_appliance(e.refusal.reason, !request_.guest.keys.empty())) throw;
      const std::string why_none = guestfs::why_absent();
      if (request_.backend == Backend::automatic && why_none.empty()) return false;
      throw Refused{{e.refusal.reason, e.refusal.message + about_an_appliance(why_none)}};
    }
    if (is_changed()) guest.finish();
    return true;
  }

  static std::string about_an_appliance(const std::string& why_none) {
    return "; an appliance may read this disk" +
           (why_none.empty() ? ": --backend auto" : ", but " + why_none);
  }

  // For who works directly the server starts, too; the check of the image ends before more has been
  // done than to look for Windows.
  disk::OverlayMaking making_of(const ImageInfo& image) {
    if (request_.backend == Backend::libguestfs) return {};
    return {[this, &image](const std::string& overlay) { server_ = serve(overlay, image); }, true};
  }

  std::unique_ptr<disk::ServedDisk> serve(const std::string& overlay,
                                          const ImageInfo& image) const {
    using disk::ServedDisk;
    using landlock::Access;
    const std::string options = disk::overlay_options(overlay, image.path, image.format);
    const disk::ServerStart how = {context_.temporary_directory, true};
    const auto writes = ServedDisk::Writes::kept;  // a commit syncs the overlay first
    if (!request_.sandboxed) return ServedDisk::unconfined(options, writes, how);
    std::vector<landlock::Rule> files = {disk::users_file(overlay, Access::read_write),
                                         disk::users_file(image.path, Access::read)};
    for (const std::string& backing : image.backing_files)
      files.push_back(disk::users_file(backing, Access::read));
    return std::make_unique<ServedDisk>(options, writes, std::move(files), how);
  }

  void start_commit(const ImageInfo& image) {
    commit_ = disk::prepare_commit(image.path, image.format);
    commit_->start(image.path, context_.temporary_directory);
  }

  void work_in(guestfs::GuestFiles& guest, Meanwhile meanwhile = {}) {
    GuestRequest of_this_guest = request_.guest;
    of_this_guest.meanwhile = std::move(meanwhile);
    of_this_guest.backup_name = std::filesystem::path(name()).filename().string();
    if (request_.only_look)
      look_at_guest(guest, of_this_guest, clock_, outcome_);
    else
      remains_ = patch_guest(guest, of_this_guest, clock_, outcome_);
    for (const auto& process : remains_) process->stop();
  }

  bool is_changed() const { return outcome_.status == request_.guest.done; }

  const PatchRequest& request_;
  const JobContext& context_;
  Outcome& outcome_;
  PhaseClock clock_;
  std::unique_ptr<disk::ServedDisk> server_;  // of the overlay, for who works directly
  std::unique_ptr<disk::QemuCommit> commit_;
  Remains remains_;
  std::optional<std::vector<disk::Change>> changes_;  // of a guest that was changed directly
};

}  // namespace

Backend default_backend() {
  return guestfs::is_built_in() ? Backend::libguestfs : Backend::direct;
}

Outcome patch_image(const std::string& path, const PatchRequest& request,
                    const JobContext& context) {
  return run_job(path, [&](Outcome& outcome) { Patch(request, context, outcome).run(); });
}

}  // namespace kvmnet

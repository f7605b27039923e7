// SPDX-License-Identifier: GPL-2.0-or-later
// Every state of a guest that is refused, on real images with the real libguestfs: all the disks in
// one appliance, each shown to patch_guest as if it were alone. Nothing is written to the images.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "guestfs/image.h"
#include "src/apply/hive_child.h"
#include "src/apply/patch_guest.h"
#include "src/support/refusal.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"

namespace kvmnet {
namespace {

struct Case {
  std::string image;
  Reason reason;
  std::string message;  // part of it
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"not-windows", Reason::no_windows, "no Windows found"},
      {"blank", Reason::no_windows, "no Windows found"},
      {"two-roots", Reason::several_windows, "2 Windows"},
      {"hibernated", Reason::hibernated, "is hibernated"},
      {"fast-startup", Reason::fast_startup, "fast startup"},
      {"unclean", Reason::unclean_ntfs, "journal"},
      {"to-be-checked", Reason::unclean_ntfs, "is to check it first"},
      {"dirty-hive", Reason::dirty_hive, "SYSTEM hive is dirty"},
      {"no-tcpip", Reason::no_service_key, "Services\\Tcpip is missing"},
      {"damaged", Reason::damaged_ntfs, "not every volume can be looked into"},
      {"full", Reason::no_guest_space, "bytes left"},
      {"bitlocker", Reason::encrypted_volume, "encrypted with BitLocker"},
      {"luks", Reason::encrypted_volume, "encrypted with LUKS"},
      {"windows-pe", Reason::windows_pe, "Windows PE"},
      {"setup-in-progress", Reason::setup_in_progress, "in the middle"},
      {"no-version", Reason::unknown_version, "version"},
      {"foreign-directory", Reason::record_missing, "no record.json"},
  };
  return all;
}

// One disk of several; everything else is passed on.
class OneDisk : public guestfs::GuestFiles {
 public:
  OneDisk(guestfs::GuestFiles& all, std::string disk) : all_(all), disk_(std::move(disk)) {}

  std::vector<guestfs::Volume> volumes() override {
    std::vector<guestfs::Volume> own;
    for (const guestfs::Volume& volume : all_.volumes())
      if (volume.device.starts_with(disk_)) own.push_back(volume);
    return own;
  }
  std::string uuid(const std::string& device) override { return all_.uuid(device); }
  std::optional<guestfs::Volume> unlock(const std::string& device,
                                        const std::string& key) override {
    return all_.unlock(device, key);
  }
  guestfs::NtfsState ntfs_state(const std::string& device) override {
    return all_.ntfs_state(device);
  }
  void mount(const std::string& device, guestfs::Access access) override {
    all_.mount(device, access);
  }
  void unmount() override { all_.unmount(); }
  std::optional<std::string> resolve(const std::string& path) override {
    return all_.resolve(path);
  }
  std::vector<guestfs::DirectoryEntry> list(const std::string& directory) override {
    return all_.list(directory);
  }
  std::uint64_t size(const std::string& path) override { return all_.size(path); }
  std::vector<std::byte> read_at(const std::string& path, std::uint64_t offset,
                                 std::size_t size) override {
    return all_.read_at(path, offset, size);
  }
  void download(const std::string& path, int fd) override { all_.download(path, fd); }
  bool has_content(const std::string& path, std::span<const std::byte> bytes,
                   const std::vector<guestfs::FilePart>& changed) override {
    return all_.has_content(path, bytes, changed);
  }
  std::uint64_t free_space() override { return all_.free_space(); }
  bool is_writable(const std::string& directory) override { return all_.is_writable(directory); }
  void write_at(const std::string&, std::uint64_t, std::span<const std::byte>) override {
    ADD_FAILURE() << "a refused guest was written to";
  }
  void write(const std::string&, std::string_view) override {
    ADD_FAILURE() << "a refused guest was written to";
  }
  void make_directory(const std::string&) override {
    ADD_FAILURE() << "a refused guest was written to";
  }
  void remove(const std::string&) override { ADD_FAILURE() << "a refused guest was written to"; }
  void remove_directory(const std::string&) override {
    ADD_FAILURE() << "a refused guest was written to";
  }
  void set_private(const std::string&, guestfs::FileType) override {
    ADD_FAILURE() << "a refused guest was written to";
  }
  bool is_private(const std::string& path, guestfs::FileType type) override {
    return all_.is_private(path, type);
  }

 private:
  guestfs::GuestFiles& all_;
  std::string disk_;
};

class Refusals : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory = std::make_unique<TempDir>();
    const std::string images = ::getenv("KVMNET_TEST_IMAGES");
    std::vector<guestfs::Drive> drives;
    for (const Case& c : cases()) {
      const std::string overlay = directory->path() + "/" + c.image + ".qcow2";
      run_checked({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                   images + "/" + c.image + ".qcow2", overlay});
      drives.push_back({overlay, "qcow2"});
    }
    guestfs::LaunchOptions options;
    options.accelerator = guestfs::environment_decides() ? guestfs::Accelerator::environment
                                                         : guestfs::Accelerator::tcg;
    options.throw_away = true;
    appliance = std::make_unique<guestfs::Image>(drives, options);
  }
  static void TearDownTestSuite() {
    appliance.reset();
    directory.reset();
  }

  static inline std::unique_ptr<TempDir> directory;
  static inline std::unique_ptr<guestfs::Image> appliance;
};

TEST_F(Refusals, NameTheStateAndWriteNothing) {
  char letter = 'a';
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.image);
    OneDisk guest(*appliance, std::string("/dev/sd") + letter++);
    GuestRequest request;
    request.mode = Mode::patch;
    request.decide = to_patch(make_settings({}));
    Outcome outcome;
    PhaseClock clock({}, outcome.phases);
    try {
      patch_guest(guest, request, clock, outcome);
      ADD_FAILURE() << "not refused";
    } catch (const Refused& e) {
      EXPECT_EQ(code(e.refusal.reason), code(c.reason)) << e.refusal.message;
      EXPECT_NE(e.refusal.message.find(c.message), std::string::npos) << e.refusal.message;
    }
    appliance->unmount();
  }
}

// The same appliance: volumes that are opened with a key, and one that is not as it should be but
// is accepted. What would be changed is foretold, and nothing is written.
Outcome plan(guestfs::GuestFiles& guest, GuestRequest request) {
  request.decide = to_patch(make_settings({}));
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  patch_guest(guest, request, clock, outcome);
  guest.unmount();
  return outcome;
}

std::string disk_of(const std::string& image) {
  const auto found =
      std::find_if(cases().begin(), cases().end(), [&](const Case& c) { return c.image == image; });
  return std::string("/dev/sd") + static_cast<char>('a' + (found - cases().begin()));
}

TEST_F(Refusals, AreNoneWithTheRightKey) {
  OneDisk guest(*appliance, disk_of("luks"));
  GuestRequest request;
  request.keys = {{"all", "wrong"}};
  EXPECT_THROW(plan(guest, request), Refused);
  request.keys.push_back({disk_of("luks") + "1", "secret"});
  const Outcome outcome = plan(guest, request);
  EXPECT_EQ(outcome.status, Status::pending);
  EXPECT_TRUE(outcome.device.starts_with("/dev/mapper/")) << outcome.device;
}

TEST_F(Refusals, AreNoneForAnUncleanNtfsThatIsAccepted) {
  OneDisk guest(*appliance, disk_of("unclean"));
  GuestRequest request;
  request.accept_unclean_ntfs = true;
  EXPECT_EQ(plan(guest, request).status, Status::pending);
}

}  // namespace
}  // namespace kvmnet

// Hives are read by a child that is this program, too.
int main(int argc, char** argv) {
  kvmnet::wall::run_as_child(argc, argv, kvmnet::hive_child());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/foretell.h"

#include <gtest/gtest.h>

#include "src/apply/hive_file.h"
#include "src/apply/patch_guest.h"
#include "src/apply/probe.h"
#include "src/plan/firstboot.h"
#include "src/plan/setup_complete.h"
#include "src/support/temp_dir.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

using test::FakeGuest;
using test::install;

constexpr const char* device = "/dev/sda1";
constexpr const char* generalised = "nt100.system+generalised.system";

Settings settings_with(const std::string& reg) {
  Settings settings = test::default_settings();
  const std::string file = "REGEDIT4\n" + reg;
  settings.reg.add("a.reg", std::as_bytes(std::span(file)), std::nullopt,
                   {"HKEY_LOCAL_MACHINE", "SYSTEM"});
  return settings;
}

Outcome work_on(FakeGuest& guest, const GuestRequest& request) {
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  patch_guest(guest, request, clock, outcome);
  guest.unmount();
  return outcome;
}

Probe probe(FakeGuest& guest, const std::vector<hive::RegSection>& reg = {}) {
  guest.mount(device, guestfs::Access::read_only);
  Probe probe = probe_guest(guest, "/Windows", DirtyHive::replay, reg);
  guest.unmount();
  return probe;
}

// Carries a plan out, and looks whether the guest is then as it was foretold.
void expect_foretold(FakeGuest& guest, GuestRequest request) {
  const Probe before = probe(guest, request.reg);
  request.mode = Mode::patch;
  const Outcome outcome = work_on(guest, request);
  ASSERT_FALSE(outcome.edits.empty());
  before.hive->work.edit(outcome.edits);
  const Facts foretold = facts_after(before, outcome.edits, request.reg);
  const Facts found = probe(guest, request.reg).facts;
  EXPECT_EQ(foretold.files, found.files);
  EXPECT_EQ(foretold.directories, found.directories);
  EXPECT_EQ(foretold.our_files, found.our_files);
  EXPECT_EQ(foretold.open_paths, found.open_paths);
  EXPECT_EQ(foretold.record, found.record);
  EXPECT_TRUE(foretold == found);
}

void expect_foretold(FakeGuest& guest, const Settings& settings) {
  GuestRequest request = {Mode::patch, to_patch(settings)};
  request.reg = settings.reg.sections();
  expect_foretold(guest, std::move(request));
}

const std::string some_reg =
    "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\X\\Y]\n\"x\"=dword:1\n"
    "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters]\n\"Hostname\"=-\n";

TEST(Foretell, SaysWhatPatchesMakeOfAGuestAndRevertsToo) {
  for (const std::string hive : {"nt100.system", generalised}) {
    FakeGuest guest;
    FakeGuest::Volume& volume = guest.add(device);
    install(volume, test::ten.software, hive);
    expect_foretold(guest, settings_with(some_reg));
    expect_foretold(guest, settings_with("[HKLM\\SYSTEM\\New]\n"));
    // What belongs to others, and what everybody may change.
    volume.private_paths.erase("/Windows/kvmnet/firstboot.cmd");
    volume.files["/Windows/kvmnet/other"] = "x";
    Settings settings = settings_with(some_reg);
    settings.autotuning.value = "disabled";
    expect_foretold(guest, settings);
    expect_foretold(guest, GuestRequest{Mode::patch, to_revert({})});
  }
}

TEST(Foretell, KnowsFilesThatWereThere) {
  FakeGuest guest;
  FakeGuest::Volume& volume = guest.add(device);
  install(volume, test::ten.software, generalised);
  volume.files["/Windows/Setup/Scripts/SetupComplete.cmd"] = "echo\r\n";
  volume.files["/Windows/Setup/Scripts/other.cmd"] = "echo\r\n";
  expect_foretold(guest, settings_with(some_reg));
  expect_foretold(guest, GuestRequest{Mode::patch, to_revert({})});
}

// What `plan` and `patch` say of a guest for whose own facts a .reg file has something else.
std::string refusal(const std::string& reg, const std::string& system = "nt100.system") {
  std::string all;
  for (const Mode mode : {Mode::plan, Mode::patch}) {
    FakeGuest guest;
    FakeGuest::Volume& volume = guest.add(device);
    install(volume, test::ten.software, system);
    const auto before = volume.files;
    const Settings settings = settings_with(reg);
    GuestRequest request = {mode, to_patch(settings)};
    request.reg = settings.reg.sections();
    try {
      work_on(guest, request);
    } catch (const Refused& e) {
      EXPECT_EQ(e.refusal.reason, Reason::option_unsupported);
      EXPECT_EQ(volume.files, before);
      EXPECT_TRUE(mode == Mode::plan || e.refusal.message == all) << e.refusal.message;
      all = e.refusal.message;
    }
  }
  return all;
}

TEST(Foretell, RefusesWhatWouldLeaveSomethingToBeDone) {
  EXPECT_EQ(
      refusal("[HKLM\\SYSTEM\\Setup]\n\"OOBEInProgress\"=dword:1\n"),
      "a.reg, line 3: this changes what kvmnet goes by: with it something would be left to be "
      "done: write %SystemRoot%\\Setup\\Scripts\\SetupComplete.cmd (Windows Setup runs the "
      "first-boot script when it ends)");
  const auto starts = [](const std::string& text, const std::string& start) {
    return text.substr(0, start.size()) == start ? std::string() : "got: " + text;
  };
  const std::string set = "[HKLM\\SYSTEM\\CurrentControlSet\\";
  EXPECT_EQ(starts(refusal("\n" + set + "Control\\ProductOptions]\n\"ProductType\"=\"x\"\n"),
                   "a.reg, line 4: this changes what kvmnet goes by: with it the guest would be "
                   "refused: the guest does not say if it is a server"),
            "");
  EXPECT_EQ(starts(refusal(set + "Control\\Session Manager\\Environment]\n"
                                 "\"PROCESSOR_ARCHITECTURE\"=-\n"),
                   "a.reg, line 3: this changes what kvmnet goes by: with it the guest would be"),
            "");
}

// Not the line of what only lies beside it.
TEST(Foretell, NamesTheLinesThatMatter) {
  const auto place = [](const std::string& reg) {
    const std::string message = refusal(reg);
    return message.substr(0, message.find(": this changes"));
  };
  const std::string set = "[HKLM\\SYSTEM\\CurrentControlSet\\";
  EXPECT_EQ(place("[HKLM\\SYSTEM\\Setup]\n\"Other\"=dword:1\n\"oobeInProgress\"=dword:1\n"),
            "a.reg, line 4");
  EXPECT_EQ(place("[HKLM\\SYSTEM\\Setup\\New]\n[HKLM\\SYSTEM\\Setup\\Status\\SysprepStatus]\n"
                  "\"a\"=dword:1\n\"GeneralizationState\"=dword:3\n"),
            "a.reg, line 5");
  EXPECT_EQ(place(set + "Control\\ProductOptions]\n\"ProductSuite\"=\"x\"\n\"ProductType\"=-\n" +
                  set + "Services\\Other]\n\"ProductType\"=\"x\"\n" + set +
                  "Control\\Session Manager\\Environment]\n"
                  "\"Path\"=\"x\"\n\"PROCESSOR_ARCHITECTURE\"=\"x\"\n"),
            "a.reg, line 4; a.reg, line 9");
}

TEST(Foretell, AcceptsWhatChangesNothingForThePatch) {
  EXPECT_EQ(refusal("[HKLM\\SYSTEM\\Setup]\n\"Other\"=dword:1\n"), "");
  EXPECT_EQ(refusal("[HKLM\\SYSTEM\\Setup]\n\"OOBEInProgress\"=dword:1\n", generalised), "");
}

TEST(Foretell, IsDoneForBareHivesToo) {
  const TempDir directory;
  const std::string file = test::fixture_file(directory.path(), "nt61.system");
  HiveFileRequest request;
  request.mode = Mode::plan;
  request.version = WindowsVersion{6, 1, 0};
  request.settings = settings_with(
      "[HKLM\\SYSTEM\\CurrentControlSet\\Control\\ProductOptions]\n\"ProductType\"=-\n");
  const Outcome outcome = patch_hive_file(file, request);
  ASSERT_EQ(outcome.status, Status::refused);
  EXPECT_EQ(outcome.refusal->message.substr(0, 14), "a.reg, line 3:");
}

}  // namespace
}  // namespace kvmnet

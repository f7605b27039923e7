// SPDX-License-Identifier: GPL-2.0-or-later
// The way back, in guests that the real code has patched.
#include <gtest/gtest.h>

#include "src/apply/patch_guest.h"
#include "src/plan/firstboot.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

using test::FakeGuest;
using test::install;
using test::Release;

const std::string system_hive = "/Windows/System32/config/SYSTEM";

Outcome work_on(FakeGuest& guest, const Decision& decide, Status done) {
  GuestRequest request = {Mode::patch, decide};
  request.done = done;
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  patch_guest(guest, request, clock, outcome);
  return outcome;
}

Outcome patch(FakeGuest& guest) {
  return work_on(guest, to_patch(test::default_settings()), Status::patched);
}
Outcome revert(FakeGuest& guest) {
  return work_on(guest, to_revert({}), Status::reverted);
}

// The code of the refusal; "" if there is none.
std::string refusal(FakeGuest& guest, const Decision& decide) {
  try {
    work_on(guest, decide, Status::patched);
  } catch (const Refused& e) {
    return std::string(code(e.refusal.reason));
  }
  return "";
}

// What hivexregedit makes of the SYSTEM hive.
std::string export_of(const FakeGuest::Volume& volume) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, test::bytes_of(volume.files.at(system_hive)));
  return run_checked({"sh", "-c", "hivexregedit --export \"$1\" '\\' | sha256sum", "sh", file});
}

class RevertGuestOf : public testing::TestWithParam<Release> {};

// Every file and directory, those of our making with what is in them.
void expect_same_tree(const FakeGuest::Volume& volume, const FakeGuest::Volume& before) {
  auto files = before.files;
  files[system_hive] = volume.files.at(system_hive);
  EXPECT_EQ(volume.files, files);
  EXPECT_EQ(export_of(volume), export_of(before));
  for (const char* path : {"/Windows/kvmnet", "/Windows/Setup", "/Windows/Setup/Scripts"})
    EXPECT_EQ(volume.directories.contains(path), before.directories.contains(path)) << path;
}

void expect_undone(FakeGuest& guest) {
  FakeGuest::Volume& volume = guest.volume("/dev/sda1");
  const FakeGuest::Volume before = volume;
  patch(guest);
  EXPECT_NE(export_of(volume), export_of(before));
  guest.unmount();
  EXPECT_EQ(revert(guest).status, Status::reverted);
  expect_same_tree(volume, before);
  guest.unmount();
}

TEST_P(RevertGuestOf, IsAsBeforeThePatch) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), GetParam());
  expect_undone(guest);
  EXPECT_EQ(revert(guest).status, Status::unchanged);
}

INSTANTIATE_TEST_SUITE_P(RevertGuest, RevertGuestOf, testing::ValuesIn(test::releases),
                         [](const auto& instance) { return std::string(instance.param.label); });

TEST(RevertGuest, IsAsBeforeThePatchWithDirectoriesThatWereThere) {
  for (const std::set<std::string>& directories :
       {std::set<std::string>(), std::set<std::string>{"/Windows/Setup"},
        std::set<std::string>{"/Windows/Setup", "/Windows/Setup/Scripts"}}) {
    FakeGuest guest;
    FakeGuest::Volume& volume = guest.add("/dev/sda1");
    install(volume, test::ten.software, "nt100.system+generalised.system");
    volume.directories.insert(directories.begin(), directories.end());
    expect_undone(guest);
  }
}

TEST(RevertGuest, LeavesADirectoryThatSomebodyHasPutSomethingInto) {
  FakeGuest guest;
  FakeGuest::Volume& volume = guest.add("/dev/sda1");
  install(volume, test::ten.software, "nt100.system+generalised.system");
  patch(guest);
  guest.unmount();
  volume.files["/Windows/Setup/Scripts/theirs.cmd"] = "theirs";
  const std::string why = " stays: there is something in it that is not kvmnet's";
  EXPECT_EQ(revert(guest).warnings, (std::vector<std::string>{"%SystemRoot%\\Setup\\Scripts" + why,
                                                              "%SystemRoot%\\Setup" + why}));
  EXPECT_EQ(volume.files.at("/Windows/Setup/Scripts/theirs.cmd"), "theirs");
}

TEST(RevertGuest, RefusesAHostileRecord) {
  const std::string path = "/Windows/" + std::string(record_path);
  for (const std::string& record :
       {std::string("\x1b[2J"), std::string(2 << 20, ' '), std::string(500'000, '['),
        std::string("{\"kvmnet_record\":1}")}) {
    FakeGuest guest;
    install(guest.add("/dev/sda1"), test::ten);
    patch(guest);
    guest.unmount();
    guest.volume("/dev/sda1").files[path] = record;
    EXPECT_EQ(refusal(guest, to_patch(test::default_settings())), "record-damaged");
    guest.unmount();
    EXPECT_EQ(refusal(guest, to_revert({true, true})), "record-damaged");
    guest.unmount();
    Outcome outcome;
    PhaseClock clock({}, outcome.phases);
    look_at_guest(guest, {}, clock, outcome);
    EXPECT_EQ(outcome.guest_status->patch, PatchState::unknown);
  }
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/patch_guest.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "src/plan/firstboot.h"
#include "src/plan/setup_complete.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"
#include "tests/support/log_writer.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

using test::FakeGuest;
using test::install;
using test::Release;
using Calls = std::vector<std::string>;

// Runs patch_guest; throws what it throws.
Outcome patch(FakeGuest& guest, Mode mode = Mode::patch, const std::string& root = "single") {
  const GuestRequest request = {mode, to_patch(test::default_settings()), root};
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  patch_guest(guest, request, clock, outcome);
  return outcome;
}

// The code of the refusal; "" if there is none.
std::string refusal(FakeGuest& guest, Mode mode = Mode::patch, const std::string& root = "single") {
  try {
    patch(guest, mode, root);
  } catch (const Refused& e) {
    return std::string(code(e.refusal.reason));
  }
  return "";
}

bool changes_files(const std::string& call) {
  return !call.starts_with("mount-rw ");
}

std::size_t file_changes(const FakeGuest& guest) {
  return static_cast<std::size_t>(
      std::count_if(guest.changes().begin(), guest.changes().end(), changes_files));
}

class PatchGuestOf : public testing::TestWithParam<Release> {};

TEST_P(PatchGuestOf, MakesWhatIsWantedOnceAndFindsItDone) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), GetParam());
  const Outcome first = patch(guest);
  EXPECT_EQ(first.status, Status::patched);
  EXPECT_EQ(first.device, "/dev/sda1");
  EXPECT_FALSE(first.edits.empty());
  ASSERT_TRUE(first.facts);
  EXPECT_EQ(first.facts->version, GetParam().version);
  EXPECT_FALSE(guest.changes().back().starts_with("mount-rw"));

  const auto files = guest.volume("/dev/sda1").files;
  EXPECT_EQ(files.contains("/Windows/" + std::string(firstboot::script_path)),
            !is_legacy(GetParam().version));
  guest.unmount();
  guest.forget_calls();
  const Outcome second = patch(guest);
  EXPECT_EQ(second.status, Status::unchanged);
  EXPECT_TRUE(second.edits.empty());
  EXPECT_EQ(file_changes(guest), 0U);
  EXPECT_EQ(guest.volume("/dev/sda1").files, files);
}

TEST_P(PatchGuestOf, ForetellsInPlanModeAndWritesNothing) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), GetParam());
  const auto before = guest.volume("/dev/sda1").files;
  const Outcome plan = patch(guest, Mode::plan);
  EXPECT_EQ(plan.status, Status::pending);
  EXPECT_EQ(file_changes(guest), 0U);
  EXPECT_EQ(guest.volume("/dev/sda1").files, before);

  FakeGuest other;
  install(other.add("/dev/sda1"), GetParam());
  const Outcome done = patch(other);
  ASSERT_EQ(done.edits.size(), plan.edits.size());
  for (std::size_t i = 0; i < plan.edits.size(); ++i)
    EXPECT_EQ(describe(done.edits[i]).target, describe(plan.edits[i]).target);
}

INSTANTIATE_TEST_SUITE_P(PatchGuest, PatchGuestOf, testing::ValuesIn(test::releases),
                         [](const auto& instance) { return std::string(instance.param.label); });

Outcome look(FakeGuest& guest) {
  GuestRequest request;
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  look_at_guest(guest, request, clock, outcome);
  return outcome;
}

TEST(PatchGuest, OnlyReadsWhereItIsOnlyToLook) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  EXPECT_EQ(look(guest).status, Status::reported);
  guest.unmount();
  patch(guest);
  guest.unmount();
  guest.forget_calls();
  const Outcome outcome = look(guest);
  EXPECT_EQ(outcome.status, Status::pending);
  EXPECT_EQ(outcome.guest_status->firstboot, FirstBootState::pending);
  EXPECT_TRUE(guest.changes().empty());
}

TEST(PatchGuest, NeedsRoomInTheGuest) {
  for (const std::uint64_t space : {1000U, 0U}) {
    FakeGuest guest;
    install(guest.add("/dev/sda1"), test::ten);
    guest.volume("/dev/sda1").free_space = space;
    EXPECT_EQ(refusal(guest), "no-guest-space");
    EXPECT_EQ(file_changes(guest), 0U);
  }
}

TEST(PatchGuest, AcceptsAnUncleanNtfsOnlyIfTheUserSaysSo) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  guest.volume("/dev/sda1").state = guestfs::NtfsState::unclean;
  EXPECT_EQ(refusal(guest), "unclean-ntfs");
  EXPECT_TRUE(guest.changes().empty());
  GuestRequest request = {Mode::patch, to_patch(test::default_settings()), "single"};
  request.accept_unclean_ntfs = true;
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  patch_guest(guest, request, clock, outcome);
  EXPECT_EQ(outcome.status, Status::patched);
  EXPECT_NE(outcome.warnings.front().find("--unclean-ntfs accept"), std::string::npos);
}

TEST(PatchGuest, WritesTheHiveLast) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  patch(guest);
  const Calls& changes = guest.changes();
  const Calls files = {"mount-rw /dev/sda1",
                       "make_directory /Windows/kvmnet",
                       "set_private /Windows/kvmnet",
                       "write /Windows/kvmnet/firstboot.cmd",
                       "set_private /Windows/kvmnet/firstboot.cmd",
                       "write /Windows/kvmnet/record.json",
                       "set_private /Windows/kvmnet/record.json"};
  ASSERT_GT(changes.size(), files.size());
  EXPECT_TRUE(std::equal(files.begin(), files.end(), changes.begin()));
  for (std::size_t i = files.size(); i < changes.size(); ++i)
    EXPECT_EQ(changes[i], "write_at /Windows/System32/config/SYSTEM");
}

TEST(PatchGuest, NoticesThatAFileIsOpenToOthers) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  guest.volume("/dev/sda1").forget_privacy = true;
  EXPECT_THROW(patch(guest), Error);
}

TEST(PatchGuest, ClosesWhatSomebodyHasOpened) {
  FakeGuest guest;
  FakeGuest::Volume& volume = guest.add("/dev/sda1");
  install(volume, test::ten);
  patch(guest);
  guest.unmount();
  volume.private_paths.erase("/Windows/kvmnet/firstboot.cmd");
  EXPECT_EQ(patch(guest).edits.size(), 1U);
  guest.unmount();
  EXPECT_TRUE(volume.private_paths.contains("/Windows/kvmnet/firstboot.cmd"));
  EXPECT_EQ(patch(guest).status, Status::unchanged);
}

constexpr const char* generalised = "nt100.system+generalised.system";
const std::string setup_complete = "/Windows/" + std::string(firstboot::setup_complete_path);

TEST(PatchGuest, MakesSetupCompleteAndItsDirectoriesInAGeneralisedImage) {
  FakeGuest guest;
  FakeGuest::Volume& volume = guest.add("/dev/sda1");
  install(volume, test::ten.software, generalised);
  const Outcome outcome = patch(guest);
  EXPECT_EQ(outcome.status, Status::patched);
  EXPECT_EQ(outcome.firstboot->mechanism, Mechanism::service_and_setup_complete);
  EXPECT_EQ(outcome.firstboot->beside.size(), 2U);
  EXPECT_EQ(volume.files.at(setup_complete), firstboot::with_setup_call(std::nullopt));
  const Calls& changes = guest.changes();
  for (const char* made :
       {"make_directory /Windows/Setup", "make_directory /Windows/Setup/Scripts"})
    EXPECT_EQ(std::count(changes.begin(), changes.end(), made), 1) << made;
}

TEST(PatchGuest, WritesIntoTheSetupCompleteThatIsThere) {
  FakeGuest guest;
  FakeGuest::Volume& volume = guest.add("/dev/sda1");
  install(volume, test::ten.software, generalised);
  std::string& content = volume.files["/Windows/SETUP/scripts/setupcomplete.CMD"];
  content = "echo a";
  EXPECT_EQ(patch(guest).status, Status::patched);
  EXPECT_EQ(content, firstboot::with_setup_call("echo a"));
  EXPECT_FALSE(volume.files.contains(setup_complete));
  guest.unmount();
  EXPECT_EQ(patch(guest).status, Status::unchanged);
}

TEST(PatchGuest, VerifiesOnAFreshMountThatIsReadOnly) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  patch(guest);
  const Calls& calls = guest.calls();
  const auto last_change = std::find(calls.rbegin(), calls.rend(), guest.changes().back()).base();
  const Calls after(last_change, calls.end());
  ASSERT_GE(after.size(), 3U);
  EXPECT_EQ(after[0], "unmount");
  EXPECT_EQ(after[1], "mount-ro /dev/sda1");
  EXPECT_NE(std::find(after.begin(), after.end(), "has_content /Windows/System32/config/SYSTEM"),
            after.end());
}

TEST(PatchGuest, NoticesThatTheHiveIsNotAsItWasWritten) {
  // In a place that no value is read from.
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::releases[0]);
  guest.volume("/dev/sda1").garble_writes = true;
  EXPECT_THROW(patch(guest), Error);
}

TEST(PatchGuest, NoticesThatWritesWereLost) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  guest.volume("/dev/sda1").lose_writes = true;
  EXPECT_THROW(patch(guest), Error);
}

TEST(PatchGuest, NeverReportsSuccessWhenTheGuestsDiskFails) {
  for (const Release* release : {&test::releases[0], &test::ten}) {
    FakeGuest counting;
    install(counting.add("/dev/sda1"), *release);
    patch(counting);
    for (std::size_t n = 0; n < counting.calls().size(); ++n) {
      FakeGuest guest;
      install(guest.add("/dev/sda1"), *release);
      guest.fail_at(n);
      const GuestRequest request = {Mode::patch, to_patch(test::default_settings()), "single"};
      Outcome outcome;
      PhaseClock clock({}, outcome.phases);
      bool threw = false;
      try {
        patch_guest(guest, request, clock, outcome);
      } catch (const Refused&) {
        threw = true;  // a volume that cannot be searched is one without Windows
      } catch (const guestfs::Error&) {
        threw = true;
      }
      EXPECT_TRUE(threw) << counting.calls()[n];
      EXPECT_NE(outcome.status, Status::patched) << counting.calls()[n];
      EXPECT_NE(outcome.status, Status::unchanged) << counting.calls()[n];
    }
  }
}

TEST(PatchGuest, RefusesVolumesThatWindowsHasNotLeftAtRest) {
  using guestfs::NtfsState;
  const std::pair<NtfsState, const char*> table[] = {{NtfsState::hibernated, "fast-startup"},
                                                     {NtfsState::unclean, "unclean-ntfs"},
                                                     {NtfsState::damaged, "damaged-ntfs"}};
  for (const auto& [state, expected] : table)
    for (const Mode mode : {Mode::plan, Mode::patch}) {
      FakeGuest guest;
      install(guest.add("/dev/sda1"), test::ten);
      guest.volume("/dev/sda1").state = state;
      EXPECT_EQ(refusal(guest, mode), expected);
      EXPECT_TRUE(guest.changes().empty());  // not even mounted
    }
}

TEST(PatchGuest, TellsHibernationFromFastStartup) {
  for (const auto& [content, expected] : {std::pair{"hibr and more", "hibernated"},
                                          {"HIBR", "hibernated"},
                                          {"RSTR", "fast-startup"},
                                          {"h", "fast-startup"},
                                          {"", "fast-startup"}}) {
    FakeGuest guest;
    install(guest.add("/dev/sda1"), test::ten);
    guest.volume("/dev/sda1").state = guestfs::NtfsState::hibernated;
    guest.volume("/dev/sda1").files["/HiberFil.sys"] = content;
    EXPECT_EQ(refusal(guest), expected) << content;
    EXPECT_TRUE(guest.changes().empty());
  }
}

TEST(PatchGuest, RefusesAVolumeThatMountsReadOnly) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  guest.volume("/dev/sda1").read_only = true;
  EXPECT_EQ(refusal(guest), "read-only-mount");
  EXPECT_EQ(file_changes(guest), 0U);
}

TEST(PatchGuest, RefusesGuestsThatItCannotRead) {
  const struct {
    const char* software;
    const char* system;
    const char* expected;
  } table[] = {{"no-version.software", "nt61.system", "unknown-version"},
               {"nt100-19045.software", "no-tcpip.system", "no-service-key"}};
  for (const auto& row : table) {
    FakeGuest guest;
    install(guest.add("/dev/sda1"), row.software, row.system);
    EXPECT_EQ(refusal(guest), row.expected);
    EXPECT_EQ(file_changes(guest), 0U);
  }
}

TEST(PatchGuest, RefusesAGuestWithoutTheControlSetThatBootsNext) {
  const TempDir directory;
  const std::string system = test::fixture_file(directory.path(), "nt61.system");
  test::merge(system, "[\\Select]\n\"Default\"=dword:00000007\n");
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::seven);
  guest.volume("/dev/sda1").files["/Windows/System32/config/SYSTEM"] =
      test::text_of(test::read_file(system));
  EXPECT_EQ(refusal(guest), "no-control-set");
}

TEST(PatchGuest, RefusesADirtyHive) {
  for (const char* name : {"SYSTEM", "SOFTWARE"}) {
    FakeGuest guest;
    install(guest.add("/dev/sda1"), test::ten);
    auto& hive =
        guest.volume("/dev/sda1").files.at(std::string("/Windows/System32/config/") + name);
    hive = test::text_of(test::with_dirty_header(test::bytes_of(hive)));
    EXPECT_EQ(refusal(guest), "dirty-hive") << name;
    EXPECT_EQ(file_changes(guest), 0U);
  }
}

// What Windows 8.1 and later leave of a hive that they did not close: `reg` is in LOG1 only.
void leave_dirty(FakeGuest& guest, const std::string& name, const std::string& reg) {
  auto& files = guest.volume("/dev/sda1").files;
  const std::string path = "/Windows/System32/config/" + name;
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  const hive::Bytes before = test::bytes_of(files.at(path));
  test::write_file(file, before);
  test::merge(file, reg);
  test::HvleRecorder recorder(before);
  recorder.commit(test::read_file(file));
  files[path] = test::text_of(recorder.files().primary);
  files[path + ".LOG"] = "";
  files[path + ".Log1"] = test::text_of(recorder.files().logs[0]);
  files[path + ".LOG2"] = test::text_of(recorder.files().logs[1]);
}

TEST(PatchGuest, ReplaysTheLogsOfADirtyHiveAndMakesThemInvalid) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  leave_dirty(guest, "SYSTEM", "[\\Select]\n\"Logged\"=dword:00000007\n");
  const auto before = guest.volume("/dev/sda1").files;
  const Outcome planned = patch(guest, Mode::plan);
  EXPECT_EQ(planned.status, Status::pending);
  EXPECT_EQ(guest.volume("/dev/sda1").files, before);
  guest.unmount();
  const Outcome outcome = patch(guest);
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  EXPECT_TRUE(
      std::any_of(outcome.warnings.begin(), outcome.warnings.end(),
                  [](const std::string& w) { return w.find("one entry") != std::string::npos; }));
  const auto& files = guest.volume("/dev/sda1").files;
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, test::bytes_of(files.at("/Windows/System32/config/SYSTEM")));
  const auto lines = test::listing(file);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), "/Select/Logged,DWORD,0x00000007"), 1);
  const std::string& log = files.at("/Windows/System32/config/SYSTEM.Log1");
  EXPECT_EQ(log.substr(0, 512), std::string(512, '\0'));
  EXPECT_EQ(log.size(), before.at("/Windows/System32/config/SYSTEM.Log1").size());
  guest.unmount();
  EXPECT_EQ(patch(guest).status, Status::unchanged);
}

TEST(PatchGuest, LeavesADirtyHiveAloneWhereNothingIsToBeSetInIt) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  EXPECT_EQ(patch(guest).status, Status::patched);
  guest.unmount();
  leave_dirty(guest, "SYSTEM", "[\\Select]\n\"Logged\"=dword:00000007\n");
  auto& files = guest.volume("/dev/sda1").files;
  files.erase("/Windows/kvmnet/firstboot.cmd");
  const auto before = files;
  const Outcome outcome = patch(guest);
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  for (const char* name : {"SYSTEM", "SYSTEM.Log1"}) {
    const std::string path = std::string("/Windows/System32/config/") + name;
    EXPECT_EQ(files.at(path), before.at(path)) << name;
  }
}

TEST(PatchGuest, MakesTheLogsOfACleanHiveInvalidToo) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::seven);
  auto& files = guest.volume("/dev/sda1").files;
  files["/Windows/System32/config/SYSTEM.LOG1"] = std::string(5000, 'x');
  EXPECT_EQ(patch(guest).status, Status::patched);
  EXPECT_EQ(files.at("/Windows/System32/config/SYSTEM.LOG1"),
            std::string(512, '\0') + std::string(4488, 'x'));
}

TEST(PatchGuest, KnowsTheVersionFromTheLogsOfADirtySoftwareHive) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  leave_dirty(guest, "SOFTWARE",
              "[\\Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"26100\"\n");
  const auto software = guest.volume("/dev/sda1").files.at("/Windows/System32/config/SOFTWARE");
  const Outcome outcome = patch(guest);
  EXPECT_EQ(outcome.status, Status::patched) << outcome.error;
  EXPECT_EQ(outcome.facts->version->build, 26100);
  EXPECT_EQ(guest.volume("/dev/sda1").files.at("/Windows/System32/config/SOFTWARE"), software);
}

TEST(PatchGuest, GoesOnWithoutLogsThatDoNotApplyWhereTheUserSaysSo) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  leave_dirty(guest, "SYSTEM", "[\\Select]\n\"Logged\"=dword:00000007\n");
  auto& files = guest.volume("/dev/sda1").files;
  files["/Windows/System32/config/SYSTEM.Log1"][700] ^= 1;
  EXPECT_EQ(refusal(guest), "dirty-hive");
  EXPECT_EQ(file_changes(guest), 0U);
  guest.unmount();
  Outcome outcome;
  PhaseClock::Log log;
  PhaseClock clock({}, log);
  GuestRequest request = {Mode::patch, to_patch(test::default_settings())};
  request.dirty_hive = DirtyHive::use_primary;
  patch_guest(guest, request, clock, outcome);
  EXPECT_EQ(outcome.status, Status::patched);
  EXPECT_TRUE(
      std::any_of(outcome.warnings.begin(), outcome.warnings.end(),
                  [](const std::string& w) { return w.find("is lost") != std::string::npos; }));
}

TEST(PatchGuest, TouchesTheChosenRootOnly) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::releases[0], "/WINDOWS");
  install(guest.add("/dev/sda2"), test::ten);
  EXPECT_EQ(refusal(guest), "several-windows");
  EXPECT_TRUE(guest.changes().empty());
  EXPECT_EQ(refusal(guest, Mode::patch, "/dev/sda3"), "no-such-root");
  const auto other = guest.volume("/dev/sda1").files;
  const Outcome outcome = patch(guest, Mode::patch, "/dev/sda2");
  EXPECT_EQ(outcome.status, Status::patched);
  EXPECT_EQ(outcome.device, "/dev/sda2");
  EXPECT_EQ(guest.volume("/dev/sda1").files, other);
}

TEST(PatchGuest, EditsBothControlSetsAndSaysSo) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten.software, "two-control-sets.system");
  const Outcome outcome = patch(guest);
  EXPECT_EQ(outcome.status, Status::patched);
  EXPECT_FALSE(outcome.warnings.empty());
  for (const char* set : {"ControlSet001", "ControlSet002"})
    EXPECT_TRUE(std::any_of(outcome.edits.begin(), outcome.edits.end(), [set](const Edit& edit) {
      return describe(edit).target.find(set) != std::string::npos;
    })) << set;
}

TEST(PatchGuest, SaysHowFarItCame) {
  std::vector<Phase> begun;
  PhaseClock::Log log;
  {
    FakeGuest guest;
    install(guest.add("/dev/sda1"), test::ten);
    PhaseClock clock([&begun](Phase phase) { begun.push_back(phase); }, log);
    Outcome outcome;
    patch_guest(guest, {Mode::patch, to_patch(test::default_settings()), "single"}, clock, outcome);
  }
  EXPECT_EQ(begun, (std::vector<Phase>{Phase::inspect, Phase::probe, Phase::apply, Phase::verify}));
  Calls names;
  for (const auto& [name, seconds] : log) names.push_back(name);
  EXPECT_EQ(names, (Calls{"inspect", "probe", "apply", "verify"}));
}

}  // namespace
}  // namespace kvmnet

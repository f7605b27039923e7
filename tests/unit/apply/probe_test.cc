// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/probe.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "hive/hive.h"
#include "src/plan/firstboot.h"
#include "src/plan/plan.h"
#include "src/plan/setup_complete.h"
#include "src/support/error.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

using hive::Condition;
using hive::dword;
using hive::sz;
using test::FakeGuest;
using test::fixture_hive;
using test::install;
using test::Release;

// A guest with one volume, which is mounted.
class Guest {
 public:
  explicit Guest(const Release& release) : Guest(release.software, release.system) {}
  Guest(const std::string& software, const std::string& system) : volume_(fake_.add("/dev/sda1")) {
    install(volume_, software, system);
  }

  FakeGuest::Volume& volume() { return volume_; }
  std::string& software() { return volume_.files.at("/Windows/System32/config/SOFTWARE"); }
  std::string& system() { return volume_.files.at("/Windows/System32/config/SYSTEM"); }
  Probe probe() {
    fake_.mount("/dev/sda1", guestfs::Access::read_only);
    Probe probe = probe_guest(fake_, "/Windows", DirtyHive::replay);
    fake_.unmount();
    EXPECT_TRUE(fake_.changes().empty());
    return probe;
  }
  Facts facts() { return probe().facts; }
  // Sets values of one of the hives.
  void set(std::string& in, const char* key, const std::vector<hive::NamedValue>& values) {
    const Fd file = make_memory_file("hive");
    write_whole(file, in);
    hive::Hive hive(proc_path(file), hive::Hive::Mode::edit);
    hive.set(hive::KeyPath::parse(key), values);
    hive.commit();
    in = test::text_of(read_whole(file));
  }

 private:
  FakeGuest fake_;
  FakeGuest::Volume& volume_;
};

class ProbeOf : public testing::TestWithParam<Release> {};

TEST_P(ProbeOf, GathersTheFacts) {
  const Release& release = GetParam();
  Guest guest(release);
  const Probe probe = guest.probe();
  const Facts& facts = probe.facts;
  EXPECT_EQ(facts.version, release.version);
  EXPECT_EQ(facts.architecture, release.architecture);
  EXPECT_EQ(facts.product_type, release.product);
  EXPECT_EQ(facts.product_name, release.product_name);
  EXPECT_EQ(facts.system_root, "/Windows");
  EXPECT_EQ(facts.system, (HiveFacts{Condition::clean, ""}));
  EXPECT_EQ(facts.software, (HiveFacts{Condition::clean, ""}));
  EXPECT_EQ(facts.select, (Select{1, 1, 0, 2}));
  EXPECT_TRUE(facts.files.empty());
  ASSERT_EQ(facts.control_sets.size(), 1U);
  const ControlSet& set = facts.control_sets.front();
  EXPECT_EQ(set.name, "ControlSet001");
  EXPECT_TRUE(set.interfaces_with_window.empty());
  for (const std::string& key : asked_keys()) EXPECT_TRUE(set.keys.contains(key)) << key;
  EXPECT_EQ(set.keys.size(), asked_keys().size());
  EXPECT_TRUE(set.keys.at("Services\\Tcpip\\Parameters").has_value());
  EXPECT_TRUE(set.keys.at("Services\\AFD").has_value());
  EXPECT_EQ(set.keys.at("Services\\nsi").has_value(), release.version.major > 5);
  EXPECT_EQ(probe.system_path, "/Windows/System32/config/SYSTEM");
  EXPECT_EQ(read_whole(probe.hive->file), fixture_hive(release.system));
}

INSTANTIATE_TEST_SUITE_P(Probe, ProbeOf, testing::ValuesIn(test::releases),
                         [](const auto& instance) { return std::string(instance.param.label); });

TEST(Probe, FindsTheHivesInAnyLetterCase) {
  FakeGuest guest;
  auto& volume = guest.add("/dev/sda1");
  volume.files["/WINNT/system32/CONFIG/system"] = test::text_of(fixture_hive("nt51.system"));
  volume.files["/WINNT/system32/CONFIG/software"] = test::text_of(fixture_hive("nt51.software"));
  guest.mount("/dev/sda1", guestfs::Access::read_only);
  const Probe probe = probe_guest(guest, "/WINNT", DirtyHive::replay);
  EXPECT_EQ(probe.system_path, "/WINNT/system32/CONFIG/system");
  EXPECT_EQ(probe.facts.version, (WindowsVersion{5, 1, 2600}));
}

TEST(Probe, ReadsASmallPartOfTheSoftwareHive) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::ten);
  guest.mount("/dev/sda1", guestfs::Access::read_only);
  guest.forget_calls();
  probe_guest(guest, "/Windows", DirtyHive::replay);
  const auto& calls = guest.calls();
  EXPECT_LE(std::count(calls.begin(), calls.end(), "read_at /Windows/System32/config/SOFTWARE"), 4);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "download /Windows/System32/config/SYSTEM"), 1);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "download /Windows/System32/config/SOFTWARE"),
            0);
}

constexpr const char* current_version = "Microsoft\\Windows NT\\CurrentVersion";

TEST(Probe, DoesNotGuessTheVersion) {
  EXPECT_EQ(Guest("no-version.software", "nt61.system").facts().version, std::nullopt);
  using Values = std::vector<hive::NamedValue>;
  const Values table[] = {
      {{"CurrentBuildNumber", sz("")}},
      {{"CurrentBuildNumber", sz("7601a")}},
      {{"CurrentBuildNumber", sz("-7601")}},
      {{"CurrentBuildNumber", sz(" 7601")}},
      {{"CurrentBuildNumber", sz("0")}},
      {{"CurrentBuildNumber", sz("99999999999")}},
      {{"CurrentBuildNumber", dword(7601)}},
      {{"CurrentVersion", sz("")}},
      {{"CurrentVersion", sz("6")}},
      {{"CurrentVersion", sz("6.1.")}},
      {{"CurrentVersion", sz("six.one")}},
      {{"CurrentVersion", dword(6)}},
      {{"CurrentMajorVersionNumber", sz("10")}, {"CurrentMinorVersionNumber", sz("0")}},
      {{"CurrentMajorVersionNumber", dword(0xFFFFFFFF)}, {"CurrentMinorVersionNumber", dword(0)}},
  };
  for (const Values& values : table) {
    Guest guest(test::seven);
    guest.set(guest.software(), current_version, values);
    const Facts facts = guest.facts();
    EXPECT_EQ(facts.version, std::nullopt) << values[0].name << describe(values[0].value);
    EXPECT_EQ(facts.software.condition, Condition::clean);
  }
}

TEST(Probe, ReadsTheVersionOf10FromItsOwnNumbers) {
  // CurrentVersion stays 6.3 there, and one number alone means nothing.
  Guest guest("nt63.software", "nt63.system");
  guest.set(guest.software(), current_version, {{"CurrentMajorVersionNumber", dword(10)}});
  EXPECT_EQ(guest.facts().version, (WindowsVersion{6, 3, 9600}));
  guest.set(guest.software(), current_version, {{"CurrentMinorVersionNumber", dword(1)}});
  EXPECT_EQ(guest.facts().version, (WindowsVersion{10, 1, 9600}));
}

TEST(Probe, SaysInWhatConditionTheHivesAre) {
  const auto dirty = [](std::string& hive) {
    hive = test::text_of(test::with_dirty_header(test::bytes_of(hive)));
  };
  const auto no_hive = [](std::string& hive) { hive.assign(hive.size(), 'x'); };
  const auto cut = [](std::string& hive) { hive.resize(hive.size() - 4096); };
  const auto empty = [](std::string& hive) { hive.clear(); };
  const auto bad_root = [](std::string& hive) { hive.replace(4096 + 32 + 4, 2, "xx"); };
  const struct {
    const char* what;
    void (*damage)(std::string&);
    Condition expected;
  } table[] = {{"dirty", dirty, Condition::dirty},
               {"no hive", no_hive, Condition::damaged},
               {"cut", cut, Condition::damaged},
               {"empty", empty, Condition::damaged},
               {"bad root", bad_root, Condition::damaged}};
  for (const auto& row : table) {
    SCOPED_TRACE(row.what);
    Guest bad_system(test::seven);
    row.damage(bad_system.system());
    Facts facts = bad_system.facts();
    EXPECT_EQ(facts.system.condition, row.expected);
    EXPECT_NE(facts.system.reason, "");
    EXPECT_EQ(facts.software.condition, Condition::clean);
    EXPECT_EQ(facts.version, (WindowsVersion{6, 1, 7601}));

    Guest bad_software(test::seven);
    row.damage(bad_software.software());
    facts = bad_software.facts();
    EXPECT_EQ(facts.software.condition, row.expected);
    EXPECT_NE(facts.software.reason, "");
    EXPECT_EQ(facts.version, std::nullopt);
    EXPECT_EQ(facts.system.condition, Condition::clean);
    EXPECT_EQ(facts.control_sets.size(), 1U);
  }
}

TEST(Probe, ReadsTheControlSetThatBootsNextFirst) {
  const Facts facts = Guest("nt100-19045.software", "two-control-sets.system").facts();
  EXPECT_EQ(facts.select, (Select{1, 2, 0, 3}));
  ASSERT_EQ(facts.control_sets.size(), 2U);
  EXPECT_EQ(facts.control_sets[0].name, "ControlSet002");
  EXPECT_EQ(facts.control_sets[1].name, "ControlSet001");
}

TEST(Probe, ReadsNoControlSetInPlaceOfOneThatIsMissing) {
  const struct {
    hive::NamedValue value;
    std::vector<std::string> sets;
  } table[] = {
      {{"Default", dword(7)}, {}},
      {{"Default", dword(0)}, {}},
      {{"Default", sz("1")}, {}},
      {{"Default", dword(0xFFFFFFFF)}, {}},
      {{"Current", dword(7)}, {"ControlSet001"}},
      {{"Current", sz("1")}, {"ControlSet001"}},
  };
  for (const auto& row : table) {
    Guest guest(test::seven);
    guest.set(guest.system(), "Select", {row.value});
    std::vector<std::string> names;
    const Facts facts = guest.facts();
    for (const ControlSet& set : facts.control_sets) names.push_back(set.name);
    EXPECT_EQ(names, row.sets) << row.value.name << describe(row.value.value);
    // What is there is seen, even where nothing leads to it.
    EXPECT_EQ(facts.control_sets.size() + facts.other_sets.size(), 2U);
    EXPECT_EQ(facts.system.condition, Condition::clean);
  }
}

TEST(Probe, FindsInterfacesWithAWindowOfTheirOwn) {
  const Facts facts = Guest("nt52.software", "nt52-per-interface.system").facts();
  EXPECT_EQ(facts.control_sets.at(0).interfaces_with_window,
            std::vector<std::string>{"{8718928D-CBEB-45EA-A621-800A9249001D}"});
}

TEST(Probe, SaysWhenAServiceIsMissing) {
  const Facts facts = Guest("nt100-19045.software", "no-tcpip.system").facts();
  const auto& keys = facts.control_sets.at(0).keys;
  EXPECT_FALSE(keys.at("Services\\Tcpip").has_value());
  EXPECT_FALSE(keys.at("Services\\Tcpip\\Parameters").has_value());
  EXPECT_TRUE(keys.at("Services\\AFD").has_value());
}

TEST(Probe, SaysWhatTheGuestDoesNotSay) {
  Guest guest(test::seven);
  guest.set(guest.system(), "ControlSet001\\Control\\ProductOptions",
            {{"ProductType", sz("Toaster")}});
  guest.set(guest.system(), "ControlSet001\\Control\\Session Manager\\Environment",
            {{"PROCESSOR_ARCHITECTURE", dword(9)}});
  const Facts facts = guest.facts();
  EXPECT_EQ(facts.product_type, std::nullopt);
  EXPECT_EQ(facts.architecture, std::nullopt);
}

TEST(Probe, ReadsOurOwnFiles) {
  Guest guest(test::seven);
  EXPECT_TRUE(guest.facts().files.empty());
  guest.volume().files["/Windows/KVMNET/FirstBoot.cmd"] = "script";
  guest.volume().files["/Windows/KVMNET/firstboot.result"] = std::string("re\0sult", 7);
  guest.volume().files["/Windows/KVMNET/firstboot.log"] = "not asked for";
  const std::map<std::string, std::string> expected = {
      {std::string(firstboot::script_path), "script"},
      {std::string(firstboot::result_path), std::string("re\0sult", 7)}};
  EXPECT_EQ(guest.facts().files, expected);
}

TEST(Probe, ReadsTheSetupCompleteThatIsThere) {
  Guest guest(test::seven);
  guest.volume().files["/Windows/setup/SCRIPTS/setupcomplete.CMD"] = "echo a";
  guest.volume().files["/Windows/setup/SCRIPTS/other.cmd"] = "not asked for";
  EXPECT_EQ(guest.facts().files, (std::map<std::string, std::string>{
                                     {std::string(firstboot::setup_complete_path), "echo a"}}));
}

TEST(Probe, SaysWhichFilesItDoesNotRead) {
  Guest guest(test::seven);
  // One that grew to fill the disk does not fill our memory.
  guest.volume().files["/Windows/kvmnet/firstboot.result"] = std::string((1 << 20) + 1, 'x');
  guest.volume().files["/Windows/kvmnet/firstboot.new"] = std::string(1 << 20, 'x');
  guest.volume().directories.insert("/Windows/kvmnet/firstboot.done");
  guest.volume().others.insert("/Windows/Setup/Scripts/SetupComplete.cmd");
  const Facts facts = guest.facts();
  EXPECT_EQ(facts.unreadable_files,
            (std::set<std::string>{"kvmnet/firstboot.result", "kvmnet/firstboot.done",
                                   "Setup/Scripts/SetupComplete.cmd"}));
  EXPECT_EQ(facts.files.size(), 1U);
  EXPECT_EQ(facts.files.at("kvmnet/firstboot.new").size(), 1U << 20);
}

// An NTFS may have both, made by other systems than Windows.
TEST(Probe, ReadsNothingThatIsThereTwice) {
  Guest guest(test::ten);
  guest.volume().files["/Windows/kvmnet/record.json"] = record_text(Record{});
  guest.volume().files["/Windows/kvmnet/RECORD.json"] = record_text(Record{});
  guest.volume().files["/Windows/kvmnet/firstboot.cmd"] = "one";
  const Facts facts = guest.facts();
  EXPECT_EQ(facts.unreadable_files, std::set<std::string>{"kvmnet/record.json"});
  EXPECT_EQ(facts.files,
            (std::map<std::string, std::string>{{std::string(firstboot::script_path), "one"}}));
  EXPECT_FALSE(facts.record);
  EXPECT_FALSE(facts.record_damage.empty());
}

TEST(Probe, KnowsTheRecordOfANewerKvmnet) {
  Guest guest(test::ten);
  std::string text = record_text(Record{});
  guest.volume().files["/Windows/kvmnet/record.json"] = text;
  EXPECT_FALSE(guest.facts().record_is_newer);
  const std::string field = "\"kvmnet_record\": ";
  text.replace(text.find(field) + field.size(), 1, "2");
  guest.volume().files["/Windows/kvmnet/record.json"] = text;
  EXPECT_TRUE(guest.facts().record_is_newer);
}

TEST(Probe, SaysWhatOthersHaveAccessTo) {
  Guest guest(test::seven);
  FakeGuest::Volume& volume = guest.volume();
  EXPECT_EQ(guest.facts().open_paths, std::set<std::string>());
  volume.files["/Windows/KVMNET/Firstboot.cmd"] = "a";
  volume.files["/Windows/KVMNET/firstboot-02.cmd"] = "b";
  volume.files["/Windows/KVMNET/firstboot.log"] = "of no interest";
  EXPECT_EQ(guest.facts().open_paths,
            (std::set<std::string>{"kvmnet", "kvmnet/firstboot.cmd", "kvmnet/firstboot-02.cmd"}));
  volume.private_paths = {"/Windows/KVMNET", "/Windows/KVMNET/firstboot-02.cmd"};
  EXPECT_EQ(guest.facts().open_paths, (std::set<std::string>{"kvmnet/firstboot.cmd"}));
}

TEST(Probe, SaysWhenWindowsSetupHasStillToRun) {
  constexpr const char* sysprep = "Setup\\Status\\SysprepStatus";
  constexpr const char* state = "Microsoft\\Windows\\CurrentVersion\\Setup\\State";
  const struct {
    bool in_system;
    const char* key;
    hive::NamedValue value;
    bool expected;
  } table[] = {
      {true, "Setup", {"SystemSetupInProgress", dword(1)}, true},
      {true, "Setup", {"OOBEInProgress", dword(1)}, true},
      {true, sysprep, {"GeneralizationState", dword(3)}, true},
      {true, sysprep, {"GeneralizationState", sz("7")}, true},
      {true, sysprep, {"GeneralizationState", dword(7)}, false},
      {true, sysprep, {"CleanupState", dword(2)}, false},
      {false, state, {"ImageState", sz("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")}, true},
      {false, state, {"ImageState", sz("IMAGE_STATE_COMPLETE")}, false},
      {false, state, {"ImageState", dword(1)}, false},
  };
  EXPECT_FALSE(Guest(test::seven).facts().setup_unfinished);
  for (const auto& row : table) {
    Guest guest(test::seven);
    guest.set(row.in_system ? guest.system() : guest.software(), row.key, {row.value});
    EXPECT_EQ(guest.facts().setup_unfinished, row.expected)
        << row.value.name << describe(row.value.value);
  }
}

TEST(Probe, SaysWhenWindowsTakesItselfForInstalled) {
  EXPECT_FALSE(Guest(test::seven).facts().is_complete);
  Guest guest(test::seven);
  guest.set(guest.software(), "Microsoft\\Windows\\CurrentVersion\\Setup\\State",
            {{"ImageState", hive::sz("IMAGE_STATE_COMPLETE")}});
  EXPECT_TRUE(guest.facts().is_complete);
}

TEST(Probe, SaysWhenWindowsIsNotInstalled) {
  EXPECT_TRUE(Guest("nt100-19045.software+setup-in-progress.software", "nt100.system")
                  .facts()
                  .setup_in_progress);
  const Facts facts = Guest("nt100-19045.software+windows-pe.software", "nt100.system").facts();
  EXPECT_FALSE(facts.setup_in_progress);
  EXPECT_TRUE(facts.is_windows_pe);
  EXPECT_FALSE(Guest(test::ten).facts().is_windows_pe);
}

// A log of a megabyte is only seen to be there; the record goes through the wall.
TEST(Probe, LooksIntoOurDirectory) {
  Guest guest(test::ten);
  EXPECT_TRUE(guest.facts().directories.empty());
  guest.volume().files["/Windows/KVMNET/Firstboot.LOG"] = std::string(1 << 20, '\x1b');
  guest.volume().files["/Windows/KVMNET/record.json"] = record_text(Record{});
  const Facts facts = guest.facts();
  EXPECT_EQ(facts.our_files, (std::set<std::string>{"kvmnet/firstboot.log", "kvmnet/record.json"}));
  EXPECT_FALSE(facts.files.contains("kvmnet/firstboot.log"));
  EXPECT_EQ(facts.directories, (std::map<std::string, std::size_t>{{"kvmnet", 2}}));
  EXPECT_EQ(facts.record, Record{});
  guest.volume().files["/Windows/KVMNET/notes.txt"] = "";
  guest.volume().files["/Windows/KVMNET/record.json"] = "{}";
  const Facts odd = guest.facts();
  EXPECT_EQ(odd.directories, (std::map<std::string, std::size_t>{{"kvmnet", 3}}));
  EXPECT_FALSE(odd.record);
  EXPECT_FALSE(odd.record_damage.empty());
}

TEST(Probe, ReadsTheControlSetsThatAreNotInUse) {
  const Facts facts = Guest(test::ten.software, "two-control-sets.system").facts();
  EXPECT_EQ(facts.control_sets.size(), 2U);
  ASSERT_EQ(facts.other_sets.size(), 1U);
  EXPECT_TRUE(is_control_set_name(facts.other_sets.front().name));
}

TEST(Probe, FailsWhenTheGuestsDiskDoes) {
  FakeGuest counting;
  install(counting.add("/dev/sda1"), test::seven);
  counting.volume("/dev/sda1").files["/Windows/kvmnet/firstboot.cmd"] = "script";
  counting.mount("/dev/sda1", guestfs::Access::read_only);
  counting.forget_calls();
  probe_guest(counting, "/Windows", DirtyHive::replay);
  for (std::size_t n = 0; n < counting.calls().size(); ++n) {
    FakeGuest guest;
    install(guest.add("/dev/sda1"), test::seven);
    guest.volume("/dev/sda1").files["/Windows/kvmnet/firstboot.cmd"] = "script";
    guest.mount("/dev/sda1", guestfs::Access::read_only);
    guest.fail_at(n);
    EXPECT_THROW(probe_guest(guest, "/Windows", DirtyHive::replay), guestfs::Error)
        << counting.calls()[n];
  }
}

TEST(Probe, NeedsTheHives) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::seven);
  guest.mount("/dev/sda1", guestfs::Access::read_only);
  EXPECT_THROW(probe_guest(guest, "/Other", DirtyHive::replay), Error);
  guest.volume("/dev/sda1").files.erase("/Windows/System32/config/SOFTWARE");
  EXPECT_THROW(probe_guest(guest, "/Windows", DirtyHive::replay), Error);
}

TEST(Probe, RefusesHivesThatAreNoPlainFiles) {
  const std::string path = "/Windows/System32/config/SYSTEM";
  for (const bool junction : {true, false}) {
    FakeGuest guest;
    FakeGuest::Volume& volume = guest.add("/dev/sda1");
    install(volume, test::seven);
    guest.mount("/dev/sda1", guestfs::Access::read_only);
    volume.files.erase(path);
    (junction ? volume.others : volume.directories).insert(path);
    try {
      probe_guest(guest, "/Windows", DirtyHive::replay);
      ADD_FAILURE() << "was not refused";
    } catch (const Refused& e) {
      EXPECT_EQ(e.refusal.reason, Reason::damaged_hive);
      EXPECT_EQ(e.refusal.message, "the SYSTEM hive is damaged: " + path + " is no plain file");
    }
  }
}

}  // namespace
}  // namespace kvmnet

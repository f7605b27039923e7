// SPDX-License-Identifier: GPL-2.0-or-later
// .reg files in guests: what goes over the wall, what the hive answers, and patches that the real
// code makes and takes back.
#include <gtest/gtest.h>

#include <algorithm>

#include "hive/error.h"
#include "src/apply/patch_guest.h"
#include "src/apply/read_reg.h"
#include "src/apply/reg_messages.h"
#include "src/plan/plan_reg.h"
#include "src/support/error.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"
#include "tests/unit/apply/windows_guest.h"

namespace kvmnet {
namespace {

using hive::KeyPath;
using test::FakeGuest;
using test::install;
using test::Release;
using Lines = std::vector<std::string>;

const std::string system_hive = "/Windows/System32/config/SYSTEM";

RegInput input(const std::string& text) {
  const std::string file = "REGEDIT4\n" + text;
  RegInput input;
  input.add("a.reg", std::as_bytes(std::span(file)), std::nullopt,
            {"HKEY_LOCAL_MACHINE", "SYSTEM"});
  return input;
}

RegQuestion question() {
  return {input("[HKLM\\SYSTEM\\A]\n\"x\"=dword:1\n\"y\"=-\n[HKLM\\SYSTEM\\B]\n"
                "[HKLM\\SYSTEM\\C]\n\"r\"=dword:2\n\"s\"=-\n")
              .sections(),
          {{KeyPath::parse("A\\\u00e4"), {"x", ""}}, {KeyPath::parse("B"), {}}}};
}

using What = hive::Change::What;

RegFacts sensible_answer() {
  RegFacts facts;
  facts.unsupported = "why";
  facts.unsupported_line = 7;
  facts.changes = {{What::set_value, KeyPath::parse("A"), "x", {}, hive::dword(1), 3},
                   {What::delete_value, KeyPath::parse("A"), "y", hive::sz("z"), {}, 4},
                   {What::create_key, KeyPath::parse("B"), "", {}, {}, 5}};
  facts.right = {{What::set_value, KeyPath::parse("C"), "r", hive::dword(2), hive::dword(2), 7},
                 {What::delete_value, KeyPath::parse("c"), "S", {}, {}, 8}};
  facts.missing = {KeyPath::parse("B")};
  facts.keys = {{KeyPath::parse("A\\\u00e4"), true, 3, 4, {{"x", hive::dword(1)}}},
                {KeyPath::parse("B"), false, 0, 0, {}}};
  return facts;
}

TEST(RegMessages, CarryQuestionAndAnswer) {
  const RegQuestion arrived = decode_reg_question(encode(question()));
  EXPECT_EQ(arrived.sections, question().sections);
  EXPECT_EQ(arrived.keys, question().keys);
  const std::string message = encode(sensible_answer());
  EXPECT_EQ(decode_reg_facts(message, question()), sensible_answer());
  for (std::size_t size = 0; size < message.size(); ++size)
    EXPECT_THROW(decode_reg_facts(message.substr(0, size), question()), Error) << size;
}

// The process behind the wall may have been taken over.
TEST(RegMessages, ThatGoBeyondTheQuestionAreAnError) {
  const auto expect_nonsense = [](const char* what, const auto& spoil) {
    RegFacts facts = sensible_answer();
    spoil(facts);
    EXPECT_THROW(decode_reg_facts(encode(facts), question()), Error) << what;
  };
  expect_nonsense("a key that goes", [](RegFacts& f) { f.changes[2].what = What::delete_key; });
  expect_nonsense("other data", [](RegFacts& f) { f.changes[0].value = hive::dword(2); });
  expect_nonsense("set instead of removed", [](RegFacts& f) {
    f.changes[1] = {What::set_value, KeyPath::parse("A"), "y", {}, hive::dword(1), 4};
  });
  expect_nonsense("removed instead of set", [](RegFacts& f) { f.changes[1].line = 3; });
  expect_nonsense("a line that says nothing", [](RegFacts& f) { f.changes[0].line = 2; });
  expect_nonsense("the root", [](RegFacts& f) { f.changes[2].key = {}; });
  expect_nonsense("a root that is missing", [](RegFacts& f) { f.missing[0] = {}; });
  expect_nonsense("Select", [](RegFacts& f) { f.changes[0].key = KeyPath::parse("select"); });
  expect_nonsense("a key less", [](RegFacts& f) { f.keys = {f.keys[0]}; });
  expect_nonsense("another key", [](RegFacts& f) { f.keys[1].key = KeyPath::parse("C"); });
  expect_nonsense("a value that was not asked for", [](RegFacts& f) {
    f.keys[1].named = {{"x", hive::dword(1)}};
  });
  expect_nonsense("another value than was asked for",
                  [](RegFacts& f) { f.keys[0].named[0].name = "z"; });
  const KeyPath run = KeyPath::parse("ControlSet001\\Control\\Session Manager");
  expect_nonsense("a value of another key", [&](RegFacts& f) { f.changes[0].key = run; });
  expect_nonsense("a value of another name", [](RegFacts& f) { f.changes[0].name = "z"; });
  expect_nonsense("a removal in another key", [&](RegFacts& f) { f.changes[1].key = run; });
  expect_nonsense("the removal of another name", [](RegFacts& f) { f.changes[1].name = "z"; });
  expect_nonsense("another key that is made", [&](RegFacts& f) { f.changes[2].key = run; });
  expect_nonsense("a key that is made by a value's line", [](RegFacts& f) {
    f.changes[2] = {What::create_key, KeyPath::parse("A"), "", {}, {}, 3};
  });
  expect_nonsense("another missing key", [&](RegFacts& f) { f.missing = {run}; });
  expect_nonsense("a key that is missing twice",
                  [](RegFacts& f) { f.missing.push_back(f.missing[0]); });
  expect_nonsense("more changes than lines",
                  [](RegFacts& f) { f.changes.insert(f.changes.end(), 10, f.changes[0]); });
  expect_nonsense("a right value that is another",
                  [](RegFacts& f) { f.right[0].old = hive::dword(3); });
  expect_nonsense("a right value that is not said",
                  [](RegFacts& f) { f.right[0].old = f.right[0].value = hive::dword(3); });
  expect_nonsense("a right value that is not there", [](RegFacts& f) {
    f.right[0].old.reset();
    f.right[0].value.reset();
  });
  expect_nonsense("a right value of another key", [&](RegFacts& f) { f.right[0].key = run; });
  expect_nonsense("a right value of Select",
                  [](RegFacts& f) { f.right[0].key = KeyPath::parse("Select"); });
  expect_nonsense("more right values than lines",
                  [](RegFacts& f) { f.right.insert(f.right.end(), 10, f.right[0]); });
  expect_nonsense("a name that is no text", [](RegFacts& f) { f.changes[0].name = "\xff"; });
}

// The same of what importing has come to, which may also remove keys.
TEST(RegMessages, OfChangesThatTheFilesDoNotSayAreAnError) {
  const auto sections = input(
                            "[-HKLM\\SYSTEM\\CurrentControlSet\\X]\n["
                            "HKLM\\SYSTEM\\CurrentControlSet\\\u00c4]\n\"\u00e4\"=dword:1\n")
                            .sections();
  Merged merged;
  merged.changes = {
      {What::delete_key, KeyPath::parse("ControlSet002\\x"), "", {}, {}, 2},
      {What::set_value, KeyPath::parse("ControlSet002\\\u00e4"), "\u00c4", {}, hive::dword(1), 4}};
  merged.count = 2;
  EXPECT_EQ(decode_merged(encode(merged), sections).changes, merged.changes);
  const auto expect_nonsense = [&](const char* what, const auto& spoil) {
    Merged spoilt = merged;
    spoil(spoilt);
    EXPECT_THROW(decode_merged(encode(spoilt), sections), Error) << what;
  };
  expect_nonsense("another key goes",
                  [](Merged& m) { m.changes[0].key = KeyPath::parse("ControlSet002\\Y"); });
  expect_nonsense("what is no control set",
                  [](Merged& m) { m.changes[0].key = KeyPath::parse("Setup\\X"); });
  expect_nonsense("a key goes that is to be there", [](Merged& m) { m.changes[0].line = 3; });
  expect_nonsense("a key is made that is to go",
                  [](Merged& m) { m.changes[0].what = What::create_key; });
  expect_nonsense("another value", [](Merged& m) { m.changes[1].name = "b"; });
  expect_nonsense("more than it says", [](Merged& m) { m.count = 1; });
}

// What the hive of a Windows 7 says to it.
RegFacts answer(const std::string& text, std::vector<AskedKey> keys = {}) {
  return read_reg(test::fixture_hive("nt61.system"), {input(text).sections(), std::move(keys)});
}

TEST(ReadReg, SaysWhatChangesAndWhichKeysAreMade) {
  const RegFacts facts = answer(
      "[HKLM\\SYSTEM\\controlset001\\SERVICES\\tcpip\\Parameters\\New\\Newer]\n\"x\"=dword:1\n"
      "[HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters]\n\"hostname\"=-\n\"none\"=-\n");
  EXPECT_EQ(facts.unsupported, "");
  ASSERT_EQ(facts.changes.size(), 2U);
  EXPECT_EQ(facts.changes[0].name, "x");
  EXPECT_EQ(facts.changes[1].name, "Hostname");
  ASSERT_EQ(facts.missing.size(), 2U);
  // As the hive has it.
  const std::string parameters = "ControlSet001\\services\\Tcpip\\Parameters";
  EXPECT_EQ(facts.missing[0].to_string(), parameters + "\\New");
  EXPECT_EQ(facts.missing[1].to_string(), parameters + "\\New\\Newer");
}

TEST(ReadReg, SaysWhatIsRightAlready) {
  const std::string parameters = "[HKLM\\SYSTEM\\ControlSet001\\Services\\Tcpip\\Parameters";
  const RegFacts facts =
      answer(parameters + "]\n\"none\"=-\n\"New\"=dword:1\n" + parameters + "\\New]\n\"none\"=-\n");
  ASSERT_EQ(facts.right.size(), 2U);
  EXPECT_EQ(facts.right[0].name, "none");
  EXPECT_EQ(facts.right[0].what, What::delete_value);
  EXPECT_EQ(facts.right[0].line, 3U);
  EXPECT_EQ(facts.right[1].key.elements().back(), "New");
  std::string many = parameters + "]\n";
  for (int i = 0; i < 2000; ++i) many += "\"" + std::to_string(i) + "\"=-\n";
  EXPECT_EQ(answer(many).right.size(), 2000U);
  EXPECT_EQ(answer(many).unsupported, "");
}

TEST(ReadReg, SaysWhatIsThereOfTheKeysThatAreAskedFor) {
  const auto keys =
      answer("",
             {{KeyPath::parse("controlset001\\Services\\Tcpip\\Parameters"), {"HOSTNAME", "none"}},
              {KeyPath::parse("ControlSet001\\None"), {"x"}}})
          .keys;
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_TRUE(keys[0].is_there);
  EXPECT_GT(keys[0].values, 0U);
  ASSERT_EQ(keys[0].named.size(), 1U);
  EXPECT_EQ(keys[0].named[0].name, "Hostname");
  EXPECT_EQ(keys[1], (KeyState{KeyPath::parse("ControlSet001\\None"), false, 0, 0, {}}));
}

TEST(ReadReg, RefusesARemovalThatCouldNotBeTakenBack) {
  const TempDir directory;
  const std::string file = test::fixture_file(directory.path(), "nt61.system");
  test::merge(file, "[\\ControlSet001\\Services\\Odd]\n\"empty\"=hex:\n\"other\"=dword:00000001\n");
  const RegInput files = input("[HKLM\\SYSTEM\\ControlSet001\\Services\\Odd]\n\"other\"=-\n");
  const RegFacts facts = read_reg(test::read_file(file), {files.sections(), {}});
  EXPECT_EQ(facts.unsupported,
            "revert could not put back 'other': key ControlSet001\\services\\Odd has the value "
            "'empty' of 0 bytes, which hivex would damage");
  EXPECT_EQ(facts.unsupported_line, 3U);
  EXPECT_TRUE(facts.changes.empty());
}

TEST(ReadReg, NamesTheLineOfWhatHivexCannotWrite) {
  const RegFacts facts =
      answer("[HKLM\\SYSTEM\\A]\n[HKLM\\SYSTEM\\A\\B]\n\n[HKLM\\SYSTEM\\A\\\u00c4]\n");
  EXPECT_EQ(facts.unsupported, "hivex cannot create a key that is named '\u00c4'");
  EXPECT_EQ(facts.unsupported_line, 5U);
}

TEST(ReadReg, RefusesMoreChangesThanARecordHolds) {
  std::string text = "[HKLM\\SYSTEM\\ControlSet001\\New]\n";
  for (int i = 0; i < 1001; ++i) text += "\"" + std::to_string(i) + "\"=dword:1\n";
  EXPECT_NE(answer(text).unsupported.find("1001 changes"), std::string::npos);
}

// Every kind of change, in keys that are there and new ones.
constexpr const char* reg_text =
    "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters]\n"
    "\"Hostname\"=-\n"
    "\"TcpWindowSize\"=dword:12345\n"
    "\"Text\"=\"a \\\"quoted\\\" \\\\ text\"\n"
    "\"Many\"=hex(7):41,00,00\n"
    "@=hex(0):01\n"
    "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\AFD]\n"
    "\"Start\"=hex(b):01,00,00,00,00,00,00,00\n"
    "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\AFD\\Parameters\\Deep\\Deeper]\n"
    "\"x\"=\"y\"\n"
    "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\Empty]\n"
    "[HKLM\\SYSTEM\\New]\n"
    "\"\xc3\xa4\"=dword:1\n";

Outcome work_on(FakeGuest& guest, GuestRequest request) {
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  patch_guest(guest, request, clock, outcome);
  guest.unmount();
  return outcome;
}

Outcome patch(FakeGuest& guest, const RegInput& reg, Mode mode = Mode::patch) {
  Settings settings = test::default_settings();
  settings.reg = reg;
  GuestRequest request = {mode, to_patch(settings)};
  request.reg = reg.sections();
  return work_on(guest, std::move(request));
}

Outcome revert(FakeGuest& guest) {
  GuestRequest request = {Mode::patch, to_revert({})};
  request.done = Status::reverted;
  return work_on(guest, std::move(request));
}

std::string export_of(const FakeGuest::Volume& volume) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, test::bytes_of(volume.files.at(system_hive)));
  return run_checked({"sh", "-c", "hivexregedit --export \"$1\" '\\' | sha256sum", "sh", file});
}

class RegGuestOf : public testing::TestWithParam<Release> {};

TEST_P(RegGuestOf, IsAsBeforeWhenAllIsTakenBack) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), GetParam());
  FakeGuest::Volume& volume = guest.volume("/dev/sda1");
  const FakeGuest::Volume before = volume;
  const RegInput reg = input(reg_text);
  const Outcome planned = patch(guest, reg, Mode::plan);
  EXPECT_EQ(planned.status, Status::pending);
  EXPECT_EQ(volume.files, before.files);
  const Outcome patched = patch(guest, reg);
  EXPECT_EQ(patched.status, Status::patched);
  EXPECT_EQ(patched.edits.size(), planned.edits.size());
  const FakeGuest::Volume after = volume;
  EXPECT_EQ(patch(guest, reg).status, Status::unchanged);
  EXPECT_EQ(volume.files, after.files);
  EXPECT_EQ(revert(guest).status, Status::reverted);
  EXPECT_EQ(export_of(volume), export_of(before));
  auto files = before.files;
  files[system_hive] = volume.files.at(system_hive);
  EXPECT_EQ(volume.files, files);
  EXPECT_EQ(revert(guest).status, Status::unchanged);
}

INSTANTIATE_TEST_SUITE_P(RegGuest, RegGuestOf,
                         testing::Values(test::releases[1], test::seven, test::ten),
                         [](const auto& instance) { return std::string(instance.param.label); });

// The state before the first patch counts, whatever the second one does to the same values.
TEST(RegGuest, IsAsBeforeWhenTwoPatchesAreTakenBack) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::seven);
  FakeGuest::Volume& volume = guest.volume("/dev/sda1");
  const FakeGuest::Volume before = volume;
  const std::string parameters = "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters";
  patch(guest, input(parameters + "]\n\"Hostname\"=\"one\"\n\"Extra\"=dword:1\n" + parameters +
                     "\\New]\n\"x\"=dword:1\n"));
  const Outcome second =
      patch(guest, input(parameters + "]\n\"hostname\"=-\n\"EXTRA\"=\"two\"\n\"EnableWsd\"=-\n" +
                         parameters + "\\new]\n\"x\"=-\n" + parameters +
                         "\\new\\Below]\n\"y\"=dword:1\n"));
  EXPECT_EQ(second.status, Status::patched);
  EXPECT_EQ(second.edits.size(), 6U);  // five values and the record
  EXPECT_EQ(revert(guest).status, Status::reverted);
  EXPECT_EQ(export_of(volume), export_of(before));
  auto files = before.files;
  files[system_hive] = volume.files.at(system_hive);
  EXPECT_EQ(volume.files, files);
}

// Each value of the guest's record, and what has become of it.
std::string states_of(FakeGuest& guest) {
  Outcome outcome;
  PhaseClock clock({}, outcome.phases);
  look_at_guest(guest, {}, clock, outcome);
  guest.unmount();
  std::string all;
  for (const ValueStatus& value : outcome.guest_status->values)
    all += value.recorded.name + ": " + std::string(to_string(value.state)) + "; ";
  return all;
}

// As somebody in the guest might do it.
void merge_into(FakeGuest& guest, const std::string& text) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  std::string& hive = guest.volume("/dev/sda1").files.at(system_hive);
  test::write_file(file, test::bytes_of(hive));
  test::merge(file, text);
  hive = test::text_of(test::read_file(file));
}

// Where hivex itself fails, the line is said all the same.
TEST(RegGuest, IsRefusedWithTheLineWhereHivexCannotReadTheNameOfAnotherKey) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::seven);
  merge_into(guest, "[\\A]\n\n[\\A\\\xef\xbf\xbdhalf]\n");  // U+FFFD, then half a surrogate pair
  std::string& hive = guest.volume("/dev/sda1").files.at(system_hive);
  const std::size_t name = hive.find(std::string("\xFD\xFFh\0", 4));
  ASSERT_NE(name, std::string::npos);
  hive[name] = '\0';
  hive[name + 1] = '\xD8';
  const std::string before = hive;
  try {
    patch(guest, input("[HKLM\\SYSTEM\\A]\n[HKLM\\SYSTEM\\A\\New]\n\"x\"=dword:1\n"));
    ADD_FAILURE() << "patched";
  } catch (const hive::Unsupported& e) {
    EXPECT_EQ(std::string(e.what()).find("HKLM\\SYSTEM\\A\\New\\x (a.reg, line 4): hivex: "), 0U)
        << e.what();
  }
  EXPECT_EQ(guest.volume("/dev/sda1").files.at(system_hive), before);
}

TEST(RegGuest, IsWatchedForValuesThatWereRightAlready) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::seven);
  merge_into(guest, "[\\ControlSet001\\Services\\X]\n\"x\"=dword:00000001\n");
  const std::string key = "[HKLM\\SYSTEM\\CurrentControlSet\\Services\\X]\n";
  const RegInput reg = input(key + "\"X\"=dword:1\n\"absent\"=-\n");
  EXPECT_EQ(patch(guest, reg).status, Status::patched);
  EXPECT_EQ(patch(guest, reg).status, Status::unchanged);
  EXPECT_EQ(states_of(guest), "EnableWsd: as patched; x: as patched; absent: as patched; ");
  merge_into(guest,
             "[\\ControlSet001\\Services\\X]\n\"x\"=dword:00000007\n\"Absent\"=dword:00000001\n");
  EXPECT_EQ(states_of(guest), "EnableWsd: as patched; x: changed; absent: changed; ");
  EXPECT_EQ(patch(guest, reg).status, Status::patched);
  EXPECT_EQ(states_of(guest), "EnableWsd: as patched; x: as patched; absent: as patched; ");
  merge_into(guest, "[\\ControlSet001\\Services\\X]\n\"x\"=dword:00000007\n");
  EXPECT_EQ(revert(guest).status, Status::reverted) << "whatever has become of it";
}

TEST(RegGuest, IsLookedAtForDrift) {
  FakeGuest guest;
  install(guest.add("/dev/sda1"), test::seven);
  const RegInput reg = input("[HKLM\\SYSTEM\\CurrentControlSet\\Services\\X]\n\"x\"=dword:1\n");
  patch(guest, reg);
  EXPECT_EQ(states_of(guest), "EnableWsd: as patched; x: as patched; ");
  merge_into(guest, "[\\ControlSet001\\Services\\X]\n\"x\"=dword:00000007\n");
  EXPECT_EQ(states_of(guest), "EnableWsd: as patched; x: changed; ");
  GuestRequest request = {Mode::patch, to_revert({})};
  EXPECT_THROW(work_on(guest, request), Refused);
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// What the other tests would be worth without these: a script or a service that is wrong is seen to
// be wrong under Wine. What Wine's service manager is too lax about, and a delayed start, which the
// test's own machine has, too, to see the end of a boot, is asserted on the bytes instead
// (tests/unit/plan/firstboot_service_test.cc).
#include <gtest/gtest.h>

#include <functional>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using Lines = std::vector<std::string>;
using Change = std::function<void(PatchedGuest&)>;

struct Wrong {
  const char* name;
  Change change;
};

void replace(std::string& text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  ASSERT_NE(at, std::string::npos) << what;
  text.replace(at, what.size(), by);
}

std::string& script(PatchedGuest& guest) {
  return guest.files.at("kvmnet/firstboot.cmd");
}

// Sets values of the service, from hivexregedit's form.
void set_service(PatchedGuest& guest, const std::string& line) {
  const TempDir directory;
  const std::string file = directory.path() + "/SYSTEM";
  write_file(file, bytes_of(guest.system_hive));
  merge(file, "[\\ControlSet001\\Services\\kvmnet-firstboot]\n" + line + "\n");
  guest.system_hive = text_of(read_file(file));
}

// A first boot went as it is to go: what the tests of versions_test.cc look at.
bool went_well(const PatchedGuest& guest) {
  Machine machine(guest, "10.0.19045 client");
  machine.boot();
  return machine.sets() ==
             Lines{"0 set heuristics forcews=enabled", "0 set global autotuninglevel=normal"} &&
         machine.result().status == "done" && machine.result().commands == machine.sets() &&
         !machine.has_service() &&
         machine.files() == Lines{"firstboot-before.txt", "firstboot.log", "firstboot.result"};
}

class Harness : public testing::TestWithParam<Wrong> {};

TEST_P(Harness, SeesThat) {
  PatchedGuest guest = patch(ten);
  GetParam().change(guest);
  EXPECT_FALSE(went_well(guest));
}

const Wrong scripts[] = {
    {"AndOperator",
     [](PatchedGuest& guest) {
       replace(script(guest), "if \"%SETUP%\"==\"yes\" exit /b 0", "ver >nul && exit /b 0");
     }},
    {"RedirectedBlock",
     [](PatchedGuest& guest) {
       replace(script(guest), "\"%SYS%\\netsh.exe\" interface tcp %* <nul >>\"%LOG%\" 2>&1",
               "(\r\n\"%SYS%\\netsh.exe\" interface tcp %* <nul\r\n) >>\"%LOG%\" 2>&1");
     }},
    {"LineFeedsOnlyInTheMiddleOfACommand",
     [](PatchedGuest& guest) {
       replace(script(guest), "set global autotuninglevel", "set global\n autotuninglevel");
     }},
    {"TwoSettingsInOneCall",
     [](PatchedGuest& guest) {
       replace(script(guest), "autotuninglevel=normal", "autotuninglevel=normal chimney=disabled");
     }},
    {"ServiceNotRemoved",
     [](PatchedGuest& guest) {
       replace(script(guest), "delete kvmnet-firstboot ", "query kvmnet-firstboot ");
     }},
    {"ScriptElsewhere",
     [](PatchedGuest& guest) {
       auto file = guest.files.extract("kvmnet/firstboot.cmd");
       file.key() = "kvmnet/first-boot.cmd";
       guest.files.insert(std::move(file));
     }},
};
const Wrong services[] = {
    {"StartOnDemand", [](PatchedGuest& guest) { set_service(guest, "\"Start\"=dword:00000003"); }},
    {"ImagePathWithATypingError",
     [](PatchedGuest& guest) {
       set_service(guest,
                   "\"ImagePath\"=str(2):\"%SystemRoot%\\\\System32\\\\cmd.exe /d /c if exist "
                   "%SystemRoot%\\\\kvmnet\\\\firstboot.cmd (start \\\"\\\" /b "
                   "%SystemRoot%\\\\System32\\\\cmd.exe /d /c "
                   "%SystemRoot%\\\\kvmnet\\\\fristboot.cmd)\"");
     }},
};

std::string name_of(const testing::TestParamInfo<Wrong>& instance) {
  return instance.param.name;
}

INSTANTIATE_TEST_SUITE_P(WrongScript, Harness, testing::ValuesIn(scripts), name_of);
INSTANTIATE_TEST_SUITE_P(WrongService, Harness, testing::ValuesIn(services), name_of);

// The changes above are what makes the difference.
TEST(HarnessItself, IsContentWithWhatKvmnetMakes) {
  PatchedGuest guest = patch(ten);
  set_service(guest, "\"Start\"=dword:00000002");
  EXPECT_TRUE(went_well(guest));
}

// The file is kept from being moved by a name that cannot be. Who starts the script again, as
// SetupComplete.cmd does, is to find that all is done.
TEST(FirstBootScript, ThatCannotBeRemovedKeepsTheMarkThatAllIsDone) {
  PatchedGuest guest = patch(ten);
  replace(script(guest), "\"%DIR%\\firstboot.old\" >nul", "\"%DIR%\\none\\firstboot.old\" >nul");
  Machine machine(guest, "10.0.19045 client");
  machine.boot();
  EXPECT_EQ(machine.result().status, "done");
  EXPECT_FALSE(machine.has_service());
  EXPECT_EQ(machine.files(), (Lines{"firstboot-before.txt", "firstboot.cmd", "firstboot.done",
                                    "firstboot.log", "firstboot.result"}));
}

}  // namespace
}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// The service that starts the first-boot script: every value as the bytes that Windows reads.
#include "src/plan/firstboot_service.h"

#include <gtest/gtest.h>

#include "src/plan/firstboot.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using hive::Bytes;
using hive::NamedValue;
using hive::Type;

Bytes bytes(const std::vector<int>& numbers) {
  Bytes all;
  for (const int number : numbers) all.push_back(static_cast<std::byte>(number));
  return all;
}

// ASCII as UTF-16LE; nothing is added.
Bytes utf16(std::string_view text) {
  Bytes all;
  for (const char c : text) {
    all.push_back(static_cast<std::byte>(c));
    all.push_back(std::byte{0});
  }
  return all;
}

using namespace std::string_view_literals;

const std::vector<NamedValue>& expected() {
  static const std::vector<NamedValue> all = {
      {"Type", {Type::dword, bytes({0x10, 0, 0, 0})}},
      {"Start", {Type::dword, bytes({2, 0, 0, 0})}},
      {"ErrorControl", {Type::dword, bytes({0, 0, 0, 0})}},
      {"ImagePath",
       {Type::expand_sz,
        utf16("%SystemRoot%\\System32\\cmd.exe /d /c if exist %SystemRoot%\\kvmnet\\firstboot.cmd "
              "(start \"\" /b %SystemRoot%\\System32\\cmd.exe /d /c "
              "%SystemRoot%\\kvmnet\\firstboot.cmd) "
              "else start \"\" /b %SystemRoot%\\System32\\sc.exe delete kvmnet-firstboot\0"sv)}},
      {"DisplayName", {Type::sz, utf16("kvmnet first boot\0"sv)}},
      {"Description",
       {Type::sz, utf16("Applies TCP settings chosen by the host once, then removes itself.\0"sv)}},
      {"ObjectName", {Type::sz, utf16("LocalSystem\0"sv)}},
  };
  return all;
}

TEST(FirstBootService, HasTheseBytesWithoutNsi) {
  EXPECT_EQ(firstboot::service_values(false), expected());
}

TEST(FirstBootService, DependsOnNsiWhereTheGuestHasIt) {
  std::vector<NamedValue> with_nsi = expected();
  with_nsi.push_back({"DependOnService", {Type::multi_sz, utf16("nsi\0\0"sv)}});
  EXPECT_EQ(firstboot::service_values(true), with_nsi);
}

TEST(FirstBootService, StartsTheScriptThatIsWrittenAndIsTheOneThatIsDeleted) {
  const std::string path = "%SystemRoot%\\kvmnet\\firstboot.cmd";
  EXPECT_EQ(firstboot::script_path, "kvmnet/firstboot.cmd");
  const std::string image_path = *hive::as_string(firstboot::service_values(false)[3].value);
  EXPECT_NE(image_path.find("if exist " + path + " ("), std::string::npos) << image_path;
  EXPECT_NE(image_path.find(" /c " + path + ") else "), std::string::npos) << image_path;
  const std::string script = firstboot::script({{{{"set a", Duty::mandatory}, {}}}, {}, {}});
  const std::string name(firstboot::service_name);
  EXPECT_TRUE(image_path.ends_with("\\sc.exe delete " + name)) << image_path;
  EXPECT_NE(script.find("\"%SYS%\\sc.exe\" delete " + name + " "), std::string::npos);
  EXPECT_NE(script.find("set \"KEY=HKLM\\SYSTEM\\CurrentControlSet\\Services\\" + name + "\""),
            std::string::npos);
  EXPECT_EQ(plan_tests::our_service_key, "Services\\" + name);
}

}  // namespace
}  // namespace kvmnet

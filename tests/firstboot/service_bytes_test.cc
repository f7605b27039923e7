// SPDX-License-Identifier: GPL-2.0-or-later
// The service as it lies in the patched hive of each Windows, read with hivexregedit. Wine's
// service manager runs it also without the NUL at the end of ImagePath, without ObjectName, with an
// ImagePath of type REG_SZ, and when a service that it depends on is missing: Windows does not. So
// all of it is asserted here, byte for byte. Needs no Wine.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/firstboot/machine.h"

namespace kvmnet::test {
namespace {

using namespace std::string_view_literals;

// As hivexregedit prints it; `text` with the NULs that are to be there.
std::string value(std::string_view name, int type, std::string_view text) {
  std::string bytes;
  for (const char c : text) bytes += fmt::format("{}{:02x},00", bytes.empty() ? "" : ",", c);
  return fmt::format("\"{}\"=hex({}):{}\n", name, type, bytes);
}

constexpr int reg_sz = 1;
constexpr int reg_expand_sz = 2;
constexpr int reg_multi_sz = 7;

class ServiceOf : public testing::TestWithParam<Release> {};

TEST_P(ServiceOf, HasTheseBytesInTheHive) {
  const PatchedGuest guest = patch(GetParam());
  const std::string expected =
      value("DependOnService", reg_multi_sz, "nsi\0\0"sv) +
      value("Description", reg_sz,
            "Applies TCP settings chosen by the host once, then removes itself.\0"sv) +
      value("DisplayName", reg_sz, "kvmnet first boot\0"sv) + "\"ErrorControl\"=dword:00000000\n" +
      value("ImagePath", reg_expand_sz,
            "%SystemRoot%\\System32\\cmd.exe /d /c if exist %SystemRoot%\\kvmnet\\firstboot.cmd "
            "(start \"\" /b %SystemRoot%\\System32\\cmd.exe /d /c "
            "%SystemRoot%\\kvmnet\\firstboot.cmd) "
            "else start \"\" /b %SystemRoot%\\System32\\sc.exe delete kvmnet-firstboot\0"sv) +
      value("ObjectName", reg_sz, "LocalSystem\0"sv) + "\"Start\"=dword:00000002\n" +
      "\"Type\"=dword:00000010\n";
  EXPECT_EQ(exported_service(guest.system_hive, std::string(Machine::service)), expected);
  // What it depends on is there, and starts before or with it.
  const std::string nsi = exported_service(guest.system_hive, "nsi");
  EXPECT_NE(nsi.find("\"Start\"=dword:00000002\n"), std::string::npos) << nsi;
}

TEST_P(ServiceOf, StartsTheScriptThatIsInTheGuest) {
  const PatchedGuest guest = patch(GetParam());
  const std::string command =
      image_path(exported_service(guest.system_hive, std::string(Machine::service)));
  const std::size_t end = command.find(") else ");
  std::string script = command.substr(0, end).substr(command.rfind(' ', end - 1) + 1);
  constexpr std::string_view root = "%SystemRoot%\\";
  ASSERT_TRUE(script.starts_with(root)) << script;
  script.erase(0, root.size());
  for (char& c : script)
    if (c == '\\') c = '/';
  EXPECT_TRUE(guest.files.contains(script)) << script;
}

std::vector<Release> with_first_boot() {
  std::vector<Release> all;
  for (const Release& release : releases)
    if (!is_legacy(release.version)) all.push_back(release);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Each, ServiceOf, testing::ValuesIn(with_first_boot()),
                         [](const auto& instance) { return std::string(instance.param.label); });

}  // namespace
}  // namespace kvmnet::test

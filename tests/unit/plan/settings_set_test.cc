// SPDX-License-Identifier: GPL-2.0-or-later
// The option --set KEY\VALUE=DATA.
#include <gtest/gtest.h>

#include "src/plan/settings.h"
#include "src/support/error.h"
#include "tests/unit/plan/guests.h"

namespace kvmnet {
namespace {

using plan_tests::set_option;

SettingOptions set_options(const std::vector<std::string>& texts) {
  SettingOptions options;
  options.set = texts;
  return options;
}

// The value that these --set options ask for, and nothing else of that origin.
RegistrySetting only_option(const std::vector<std::string>& texts) {
  std::vector<RegistrySetting> found;
  for (const RegistrySetting& setting : make_settings(set_options(texts)).registry)
    if (setting.origin == Origin::option) found.push_back(setting);
  EXPECT_EQ(found.size(), 1U);
  return found.empty() ? RegistrySetting{&known_values().front(), 0} : found.front();
}

std::string usage_error(const std::vector<std::string>& texts) {
  try {
    make_settings(set_options(texts));
  } catch (const UsageError& e) {
    return e.what();
  }
  ADD_FAILURE() << texts.front() << " was accepted";
  return {};
}

// Refused, naming the option and the text, and saying `part`.
void expect_refused(const std::string& text, const std::string& part) {
  const std::string message = usage_error({text});
  EXPECT_EQ(message.rfind("--set " + text + ": ", 0), 0U) << message;
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(SettingsSet, TakesTheKeyInEverySpelling) {
  for (const std::string key :
       {R"(Tcpip\Parameters)", R"(Services\Tcpip\Parameters)", R"(tcpip\parameters)",
        R"(TCPIP\PARAMETERS)", R"(CurrentControlSet\Services\Tcpip\Parameters)",
        R"(SYSTEM\CurrentControlSet\Services\Tcpip\Parameters)",
        R"(HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters)",
        R"(HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters)",
        R"(hklm\System\currentcontrolset\services\tcpip\parameters)",
        R"(hkey_local_machine\system\CURRENTCONTROLSET\SERVICES\TCPIP\PARAMETERS)"}) {
    for (const std::string name : {"TcpWindowSize", "tcpwindowsize", "TCPWINDOWSIZE"}) {
      const RegistrySetting setting = only_option({key + "\\" + name + "=4096"});
      EXPECT_EQ(setting.known->name, "TcpWindowSize") << key << " " << name;
      EXPECT_EQ(setting.known->key, R"(Services\Tcpip\Parameters)");
      EXPECT_EQ(setting.data, 4096U);
    }
  }
}

TEST(SettingsSet, KnowsEveryKnownValueByItsOwnKey) {
  for (const KnownValue& value : known_values()) {
    const std::string text = std::string(value.key) + "\\" + std::string(value.name) + "=1";
    const RegistrySetting setting = only_option({text});
    EXPECT_EQ(setting.known, &value) << text;
    EXPECT_EQ(setting.data, 1U);
  }
}

TEST(SettingsSet, TakesDecimalAndHexadecimal) {
  const std::vector<std::pair<std::string, std::uint32_t>> cases = {{"0", 0},
                                                                    {"65536", 65536},
                                                                    {"0x40000", 0x40000},
                                                                    {"0X40000", 0x40000},
                                                                    {"0xABcd", 0xABCD},
                                                                    {"0x0", 0},
                                                                    {"007", 7},
                                                                    {"4294967295", 0xFFFFFFFF},
                                                                    {"0xffffffff", 0xFFFFFFFF},
                                                                    {"0x0000000010", 16}};
  for (const auto& [data, number] : cases)
    EXPECT_EQ(only_option({"AFD\\Parameters\\DefaultSendWindow=" + data}).data, number) << data;
}

TEST(SettingsSet, RefusesWhatIsNoNumberOf32Bits) {
  for (const std::string data :
       {"", "x", "0x", "-1", "+1", " 1", "1 ", "1.5", "1e3", "4294967296", "0x100000000",
        "99999999999999999999999", "0x-1", "1=1", "10k", "1\n", "\xd9\xa1", "true"})
    expect_refused("AFD\\Parameters\\DefaultSendWindow=" + data, "is not a 32-bit number");
}

TEST(SettingsSet, TakesTheLimitsOfEachValueAndNothingBeyond) {
  struct Case {
    std::string value;
    std::uint32_t largest;
  };
  for (const auto& [value, largest] : {Case{"Tcpip\\Parameters\\Tcp1323Opts", 3},
                                       Case{"Tcpip\\Parameters\\TcpWindowSize", 0x3FFFFFFF},
                                       Case{"Tcpip\\Parameters\\EnableWsd", 1}}) {
    EXPECT_EQ(only_option({value + "=" + std::to_string(largest)}).data, largest);
    expect_refused(value + "=" + std::to_string(largest + 1), " takes 0 to ");
    expect_refused(value + "=0xFFFFFFFF", " takes 0 to ");
  }
}

TEST(SettingsSet, RefusesValuesThatItDoesNotSetAndListsThoseItSets) {
  for (const std::string name :
       {R"(Tcpip\Parameters\MTU)", R"(Tcpip\Parameters\DefaultSendWindow)",
        R"(AFD\Parameters\TcpWindowSize)", R"(Tcpip\TcpWindowSize)", R"(\TcpWindowSize)",
        R"(ControlSet001\Services\Tcpip\Parameters\TcpWindowSize)",
        R"(Tcpip\Parameters\Interfaces\{1}\TcpWindowSize)", R"(Tcpip\Parameters\)",
        R"(Tcpip\\Parameters\TcpWindowSize)", R"(Tcpip\Parameters\TcpWindowSize )",
        R"(HKCU\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\TcpWindowSize)",
        R"(Services\..\Tcpip\Parameters\TcpWindowSize)"}) {
    expect_refused(name + "=1", "not a value that kvmnet sets");
    for (const KnownValue& value : known_values())
      expect_refused(name + "=1", std::string(value.name));
  }
}

TEST(SettingsSet, RefusesTextsOfAnotherFormAndShowsTheForm) {
  for (const std::string text : {"", "=", "TcpWindowSize=1", R"(Tcpip\Parameters\TcpWindowSize)",
                                 "Tcpip/Parameters/TcpWindowSize=1", "TcpWindowSize", "a=b\\c"})
    expect_refused(text, "write KEY\\VALUE=DATA");
}

TEST(SettingsSet, ADuplicateIsRefusedUnlessItSaysTheSame) {
  const std::string value = R"(AFD\Parameters\DefaultSendWindow)";
  EXPECT_NE(usage_error({value + "=1", value + "=2"}).find("given twice"), std::string::npos);
  EXPECT_NE(
      usage_error({value + "=1", "HKLM\\SYSTEM\\CurrentControlSet\\Services\\" + value + "=0x2"})
          .find("given twice"),
      std::string::npos);
  EXPECT_EQ(only_option({value + "=16", value + "=0x10"}).data, 16U);
}

TEST(SettingsSet, ReplacesTheProfilesValueAndKeepsTheOrder) {
  const Settings settings = make_settings(set_options(
      {R"(Tcpip\Parameters\Tcp1323Opts=3)", R"(AFD\Parameters\DefaultReceiveWindow=1)"}));
  std::vector<const KnownValue*> order;
  for (const RegistrySetting& setting : settings.registry) order.push_back(setting.known);
  std::vector<const KnownValue*> expected;
  for (const KnownValue& value : known_values()) expected.push_back(&value);
  EXPECT_EQ(order, expected);
}

TEST(SettingsSet, EnableWsdIsAddedWhereTheHeuristicsLeaveItAlone) {
  SettingOptions options = plan_tests::heuristics_option("keep");
  options.set = {R"(Tcpip\Parameters\EnableWsd=1)"};
  const Settings settings = make_settings(options);
  EXPECT_EQ(settings.registry.back().known->name, "EnableWsd");
  EXPECT_EQ(settings.registry.back().data, 1U);
}

TEST(SettingsSet, AWindowAbove65535NeedsTheScalingBit) {
  const std::string window = R"(Tcpip\Parameters\TcpWindowSize=)";
  const std::string options = R"(Tcpip\Parameters\Tcp1323Opts=)";
  for (const std::string scaled : {"1", "3"}) {
    EXPECT_NO_THROW(make_settings(set_options({options + scaled, window + "65536"}))) << scaled;
    EXPECT_NO_THROW(make_settings(set_options({window + "0x3FFFFFFF", options + scaled})));
  }
  for (const std::string unscaled : {"0", "2"}) {
    EXPECT_NO_THROW(make_settings(set_options({options + unscaled, window + "65535"}))) << unscaled;
    const std::string message = usage_error({options + unscaled, window + "65536"});
    EXPECT_NE(message.find("TcpWindowSize=0x10000 needs window scaling"), std::string::npos);
    EXPECT_NE(message.find("must be 1 or 3, not " + unscaled), std::string::npos) << message;
  }
  // The profile's own window is above 65535.
  EXPECT_NE(usage_error({options + "2"}).find("TcpWindowSize=0x100000"), std::string::npos);
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of src/plan share: the releases of Windows that differ, guests that run them, and
// plans in a form that a failed assertion prints well.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/plan/facts.h"
#include "src/plan/netsh.h"
#include "src/plan/plan.h"
#include "src/plan/settings.h"

namespace kvmnet::plan_tests {

inline constexpr WindowsVersion xp = {5, 1, 2600};
inline constexpr WindowsVersion server_2003 = {5, 2, 3790};
inline constexpr WindowsVersion vista = {6, 0, 6002};
inline constexpr WindowsVersion windows_7 = {6, 1, 7601};
inline constexpr WindowsVersion windows_8 = {6, 2, 9200};
inline constexpr WindowsVersion windows_8_1 = {6, 3, 9600};
inline constexpr WindowsVersion windows_10_1607 = {10, 0, 14393};  // and Server 2016
inline constexpr WindowsVersion windows_10_1703 = {10, 0, 15063};
inline constexpr WindowsVersion windows_10_1709 = {10, 0, 16299};
inline constexpr WindowsVersion windows_10_22h2 = {10, 0, 19045};
inline constexpr WindowsVersion windows_11_22h2 = {10, 0, 22621};
inline constexpr WindowsVersion windows_11_24h2 = {10, 0, 26100};  // and Server 2025

// Those that netsh is planned for, oldest first.
inline constexpr std::array<WindowsVersion, 14> netsh_releases = {{vista,
                                                                   windows_7,
                                                                   windows_8,
                                                                   windows_8_1,
                                                                   {10, 0, 10240},
                                                                   windows_10_1607,
                                                                   windows_10_1703,
                                                                   windows_10_1709,
                                                                   {10, 0, 17763},
                                                                   windows_10_22h2,
                                                                   {10, 0, 20348},
                                                                   {10, 0, 22000},
                                                                   windows_11_22h2,
                                                                   windows_11_24h2}};
inline constexpr std::array<ProductType, 3> product_types = {
    ProductType::client, ProductType::server, ProductType::domain_controller};

// "6.1.7601": what --windows takes.
std::string name_of(const WindowsVersion& version);
std::string name_of(const WindowsVersion& version, ProductType product);  // "6.1.7601 server"

// The options `--profile wiki`, and those with one word each.
SettingOptions wiki_options();
SettingOptions autotuning_option(std::string word);
SettingOptions provider_option(std::string word);
SettingOptions heuristics_option(std::string word);
SettingOptions forcews_option(std::string word);
SettingOptions set_option(std::string text);
// Every setting "keep".
SettingOptions keep_options();

// The plan, or a failed test and an empty plan where it was refused.
NetshPlan netsh_of(const WindowsVersion& version, ProductType product, const Settings& settings);
Plan plan_of(const Facts& facts, const Settings& settings, Scope scope = Scope::guest);
// The refusal, or a failed test where there was a plan.
Refusal refusal_of(const Facts& facts, const Settings& settings, Scope scope = Scope::guest);

// A step as "mandatory set global ...", each command to fall back on as "else mandatory ...".
std::vector<std::string> lines(const std::vector<NetshStep>& steps);
// Without the record, which plan_record_test.cc is about. An edit as "set ControlSet001\...\Name:
// OLD -> NEW", "write PATH", "remove PATH".
std::vector<std::string> lines(const std::vector<Edit>& edits);

// True if one of the texts has `part` in it.
bool any_has(const std::vector<std::string>& texts, std::string_view part);

// A guest with one control set as Windows has it after its installation.
Facts guest(const WindowsVersion& version, ProductType product = ProductType::client);
// A second control set, a copy of the first. `number` becomes Select\Current.
void add_current_set(Facts& facts, std::uint32_t number);
// A file that is in the guest, or not any more.
void put_file(Facts& facts, const std::string& path, const std::string& content);
void remove_file(Facts& facts, const std::string& path);
// A first boot that has run the script that is there, and removed it and its service; `status` as
// in the result.
void boot(Facts& facts, const std::string& status = "done");
// The values of a key of a control set, which is made where it is missing.
std::vector<hive::NamedValue>& values(ControlSet& set, const std::string& key);
// The guest with the edits done.
Facts applied(Facts facts, const std::vector<Edit>& edits);

inline constexpr const char* afd_key = "Services\\AFD\\Parameters";
inline constexpr const char* tcpip_key = "Services\\Tcpip\\Parameters";
inline constexpr const char* our_service_key = "Services\\kvmnet-firstboot";

}  // namespace kvmnet::plan_tests

// SPDX-License-Identifier: GPL-2.0-or-later
// The rules by which the recorder answers reject what each Windows' netsh is known to reject, and
// what kvmnet plans for each Windows is accepted by them.
#include "tests/firstboot/netsh_rules.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "src/plan/netsh.h"

namespace kvmnet::test {
namespace {

const std::string& rules() {
  static const std::string text = [] {
    std::ifstream in(KVMNET_NETSH_RULES);
    std::ostringstream all;
    all << in.rdbuf();
    return all.str();
  }();
  return text;
}

int judge(const std::string& played, const std::string& command, const std::string& log = "") {
  return netsh_judge(rules().c_str(), played.c_str(), log.c_str(), command.c_str()).code;
}

struct Known {
  const char* played;
  const char* command;
  int code;
};

TEST(NetshRules, AnswerAsEachVersionIsKnownTo) {
  const Known table[] = {
      {"6.0.6002 server", "set heuristics disabled", 0},
      {"6.0.6002 server", "set heuristics forcews=enabled", 1},
      {"6.0.6002 server", "set heuristics wsh=disabled forcews=enabled", 1},
      {"6.1.7601 client", "set heuristics wsh=disabled forcews=enabled", 1},
      {"6.1.7601 client", "set heuristics forcews=enabled", 1},
      {"6.2.9200 server", "set heuristics forcews=enabled", 1},
      {"6.3.9600 server", "set heuristics forcews=enabled", 0},
      {"10.0.19045 client", "set heuristics wsh=disabled forcews=enabled", 0},
      {"10.0.19045 client", "set heuristics disabled enabled", 0},  // by position
      {"10.0.19045 client", "set heuristics disabled enabled default", 1},
      {"10.0.19045 client", "set heuristics sometimes", 1},
      {"6.0.6002 client", "set supplemental template=internet congestionprovider=ctcp", 1},
      {"6.1.7601 client", "set supplemental template=custom", 1},
      {"6.1.7601 client", "show supplemental", 1},
      {"6.2.9200 client", "show supplemental", 0},
      {"6.2.9200 client", "show supplemental template=internet", 0},
      {"6.0.6002 client", "set global congestionprovider=ctcp", 0},
      {"6.1.7601 client", "set global congestionprovider=cubic", 1},
      {"10.0.22621 client", "set global congestionprovider=ctcp", 1},
      {"6.1.7601 client", "set global autotuninglevel=normal chimney=disabled", 0},
      {"10.0.19045 client", "set global chimney=disabled", 1},
      {"10.0.19045 client", "set global autotuninglevel=normal chimney=disabled", 1},
      {"10.0.19045 client", "set global autotuninglevel=off", 1},
      {"6.2.9200 server", "set supplemental template=internet congestionprovider=ctcp", 1},
      {"6.2.9200 server", "set supplemental template=custom congestionprovider=ctcp", 0},
      {"6.2.9200 server", "set supplemental template=custom congestionprovider=cubic", 1},
      {"6.2.9200 server", "set supplemental custom", 0},
      {"6.2.9200 server", "set supplemental template=internetcustom", 1},
      {"6.3.9600 client", "set supplemental template=internet congestionprovider=ctcp", 1},
      {"6.3.9600 client", "set supplemental template=custom congestionprovider=ctcp", 1},
      {"6.3.9600 client", "set supplemental template=internetcustom congestionprovider=ctcp", 0},
      {"6.3.9600 client", "set supplemental template=internetcustom congestionprovider=none", 1},
      {"10.0.14393 client", "set supplemental template=internet congestionprovider=ctcp", 1},
      {"10.0.14393 server", "set supplemental template=internet congestionprovider=ctcp", 0},
      {"10.0.14393 server", "set supplemental template=internet congestionprovider=cubic", 0},
      {"10.0.14393 client", "set supplemental template=internetcustom congestionprovider=cubic", 1},
      {"10.0.15063 client", "set supplemental template=internet congestionprovider=cubic", 0},
      {"10.0.15063 client", "set supplemental template=internet congestionprovider=compound", 0},
      {"10.0.15063 client", "set supplemental template=automatic congestionprovider=cubic", 1},
      {"10.0.22000 client", "set supplemental template=internet congestionprovider=bbr2", 1},
      {"10.0.22621 client", "set supplemental template=internet congestionprovider=bbr2", 0},
      {"10.0.26100 server", "set supplemental congestionprovider=bbr2", 1},  // of no template
      {"10.0.26100 server", "set supplemental", 1},
      {"10.0.26100 server", "set nothing", 1},
      {"10.0.26100 server", "show global", 0},
      {"10.0.26100 server", "show global store=active", 0},
      {"10.0.26100 server", "set global autotuninglevel=normal store=active", 1},
      {"10.0.26100 server", "show heuristics", 0},
      {"10.0.26100 server", "dump", 0},
      {"5.2.3790 server", "show global", 1},
      {"5.2.3790 server", "set heuristics disabled", 1},
  };
  for (const Known& known : table)
    EXPECT_EQ(judge(known.played, std::string("interface tcp ") + known.command), known.code)
        << known.played << ": " << known.command;
  EXPECT_EQ(judge("6.1.7601 client", "int tcp show global"), 0);
  EXPECT_EQ(judge("6.1.7601 client", "interface ipv4 show global"), 1);
  EXPECT_EQ(judge("", "interface tcp show global"), 98);
}

TEST(NetshRules, KeepDelayedAcksBelowTheSmallestTimeout) {
  const std::string set = "interface tcp set supplemental template=internetcustom ";
  const std::string guest = "10.0.19045 client";
  EXPECT_EQ(judge(guest, set + "delayedacktimeout=50"), 1);
  EXPECT_EQ(judge(guest, set + "minrto=300"), 0);
  const std::string log = "0\t" + set + "minrto=300\n";
  EXPECT_EQ(judge(guest, set + "delayedacktimeout=50", log), 0);
  EXPECT_EQ(judge(guest, set + "delayedacktimeout=50", "1\t" + set + "minrto=300\n"), 1);
  EXPECT_EQ(judge(guest, set + "minrto=40", log + "0\t" + set + "delayedacktimeout=50\n"), 1);
}

// A guest that the rules are asked about, and all that may be asked of kvmnet for it.
struct Guest {
  WindowsVersion version;
  ProductType product;
  std::string played() const {
    return fmt::format("{}.{}.{} {}", version.major, version.minor, version.build,
                       product == ProductType::client ? "client" : "server");
  }
};

std::vector<Guest> guests() {
  std::vector<Guest> all;
  for (const WindowsVersion version :
       {WindowsVersion{6, 0, 6002}, WindowsVersion{6, 1, 7601}, WindowsVersion{6, 2, 9200},
        WindowsVersion{6, 3, 9600}, WindowsVersion{10, 0, 10240}, WindowsVersion{10, 0, 10586},
        WindowsVersion{10, 0, 14393}, WindowsVersion{10, 0, 15063}, WindowsVersion{10, 0, 16299},
        WindowsVersion{10, 0, 17763}, WindowsVersion{10, 0, 19045}, WindowsVersion{10, 0, 20348},
        WindowsVersion{10, 0, 22000}, WindowsVersion{10, 0, 22621}, WindowsVersion{10, 0, 26100}})
    for (const ProductType product : {ProductType::client, ProductType::server})
      all.push_back({version, product});
  return all;
}

std::vector<SettingOptions> all_options() {
  std::vector<SettingOptions> all;
  const auto add = [&all](std::optional<std::string> SettingOptions::*option, auto words) {
    for (const std::string_view profile : profile_names())
      for (const std::string_view word : words) {
        all.emplace_back().profile = profile;
        all.back().*option = word;
      }
  };
  add(&SettingOptions::congestion_provider, congestion_provider_words());
  add(&SettingOptions::autotuning, autotuning_words());
  add(&SettingOptions::heuristics, switch_words());
  add(&SettingOptions::forcews, switch_words());
  return all;
}

// Runs the steps as the script does; the mandatory commands that fail in the end.
std::vector<std::string> failures(const Guest& guest, const NetshPlan& plan) {
  std::string log;
  std::vector<std::string> failed;
  const auto run = [&](const NetshCommand& command, bool counts) {
    const std::string line = "interface tcp " + command.arguments;
    const int code = judge(guest.played(), line, log);
    log += fmt::format("{}\t{}\n", code, line);
    if (code != 0 && counts && command.duty == Duty::mandatory) failed.push_back(line);
    return code;
  };
  for (const NetshStep& step : plan.steps) {
    if (run(step.command, step.otherwise.empty()) == 0) continue;
    for (const NetshCommand& command : step.otherwise)
      if (run(command, true) != 0) break;
  }
  return failed;
}

TEST(NetshRules, AcceptEveryMandatoryCommandOfEveryPlan) {
  std::size_t commands = 0;
  for (const Guest& guest : guests())
    for (const SettingOptions& options : all_options()) {
      const auto planned = plan_netsh(guest.version, guest.product, make_settings(options));
      const auto* plan = std::get_if<NetshPlan>(&planned);
      if (plan == nullptr) continue;  // refused: that Windows does not know it
      commands += plan->steps.size();
      EXPECT_EQ(failures(guest, *plan), std::vector<std::string>{})
          << guest.played() << ", profile " << options.profile;
    }
  EXPECT_GT(commands, 1000U);
}

}  // namespace
}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/netsh.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace kvmnet {
namespace {

enum class ForceWs { unknown, soft, mandatory };

// How the congestion provider is set: for all connections (`set global`), or for a template of
// settings (`set supplemental`).
enum class ProviderForm { global, supplemental };

// What one generation of Windows accepts and what the default profile does there.
struct Generation {
  WindowsVersion from;       // up to the next row
  bool sets_heuristics;      // by default; else only when named
  ForceWs forcews;           // whether `heuristics forcews=` is known
  bool sets_global_default;  // whether the default profile may use `set global` at all
  ProviderForm provider_form;
  std::string_view default_provider;  // of "auto"; empty: leave the system's own
  Duty default_provider_duty;
  std::string_view providers;        // the words it knows, each with a space before and after
  std::string_view custom_template;  // may always be modified; empty: there are no templates
  int initial_window;                // of the template "internet", in segments
};

// Sources (S: Microsoft, O: observed by others), by row and column:
// - heuristics: `set heuristics disabled` from 6.0 on (O: linux-kvm.org wiki until 2014,
//   speedguide.net FAQ 339). forcews: not in 8/2012's Set-NetTCPSetting, in 8.1/2012R2's (S:
//   technet hh826132); on 6.1 after a hotfix only (O: speedguide.net). 10.0: "wsh isn't used and
//   has no effect" (S: windowsserverdocs netsh-interface.md), so it is not set by default.
// - `set global` on 6.0 may write invalid values unless KB967224 is installed (S:
//   blogs.technet.com/b/sbs 2009-08-31): only when named.
// - provider: `set global congestionprovider=` on 6.0 and 6.1 (S: The Cable Guy); there
//   `set supplemental` is missing (O: andydavies.me 2011-11-21). From 6.2 on it is deprecated in
//   favour of `set supplemental` (O: netsh's own help). Words: 6.2 and 6.3 S: Set-NetTCPSetting of
//   those versions; 15063 and later S: netsh-interface.md; newreno O; cubic on Server 2016 S: as
//   experimental; bbr2 from 22621 on O.
// - defaults: CTCP is off on 7 (O), servers from 2012 on and 15063 have it (O: wireshark.org; S:
//   techcommunity 339676), CUBIC is the default from 16299 / Server 2019 on (O: IETF 100 slides).
// - which templates may be modified differs by edition (S: Set-NetTCPSetting; O:
//   windows-powershell-docs #576, #757); so a default provider is soft from 6.2 on.
// - `show global` and `show heuristics` are everywhere, `show supplemental` where there are
// templates
//   (S: netsh-interface.md; O: wireshark.org, andydavies.me).
// - initial window: 4 segments until Windows 10 1511, 10 from 14393 on.
constexpr std::array<Generation, 9> generations = {{
    {{6, 0, 0},
     true,
     ForceWs::unknown,
     false,
     ProviderForm::global,
     "",
     Duty::soft,
     " ctcp none default ",
     "",
     0},
    {{6, 1, 0},
     true,
     ForceWs::soft,
     true,
     ProviderForm::global,
     "ctcp",
     Duty::mandatory,
     " ctcp none default ",
     "",
     0},
    {{6, 2, 0},
     true,
     ForceWs::soft,
     true,
     ProviderForm::supplemental,
     "ctcp",
     Duty::soft,
     " ctcp dctcp none default ",
     "custom",
     4},
    {{6, 3, 0},
     true,
     ForceWs::mandatory,
     true,
     ProviderForm::supplemental,
     "ctcp",
     Duty::soft,
     " ctcp dctcp default ",
     "internetcustom",
     4},
    {{10, 0, 0},
     false,
     ForceWs::soft,
     true,
     ProviderForm::supplemental,
     "ctcp",
     Duty::soft,
     " ctcp dctcp none default ",
     "internetcustom",
     4},
    {{10, 0, 14393},
     false,
     ForceWs::soft,
     true,
     ProviderForm::supplemental,
     "ctcp",
     Duty::soft,
     " ctcp dctcp none default ",
     "internetcustom",
     10},
    {{10, 0, 15063},
     false,
     ForceWs::soft,
     true,
     ProviderForm::supplemental,
     "ctcp",
     Duty::soft,
     " ctcp dctcp cubic newreno none default ",
     "internetcustom",
     10},
    {{10, 0, 16299},
     false,
     ForceWs::soft,
     true,
     ProviderForm::supplemental,
     "",
     Duty::soft,
     " ctcp dctcp cubic newreno none default ",
     "internetcustom",
     10},
    {{10, 0, 22621},
     false,
     ForceWs::soft,
     true,
     ProviderForm::supplemental,
     "",
     Duty::soft,
     " ctcp dctcp cubic newreno bbr2 none default ",
     "internetcustom",
     10},
}};

const Generation& generation_of(const WindowsVersion& version) {
  const auto next = std::find_if(generations.begin(), generations.end(),
                                 [&](const Generation& g) { return version < g.from; });
  return next == generations.begin() ? generations.front() : *(next - 1);
}

class Planner {
 public:
  Planner(const WindowsVersion& version, ProductType product, const Settings& settings)
      : version_(version),
        product_(product),
        settings_(settings),
        generation_(generation_of(version)) {}

  std::variant<NetshPlan, Refusal> run() {
    plan_.shows = {"global", "heuristics"};
    if (!generation_.custom_template.empty()) plan_.shows.emplace_back("supplemental");
    add_heuristics();
    if (auto refusal = add_forcews()) return *refusal;
    add_autotuning();
    if (auto refusal = add_provider()) return *refusal;
    if (uses_global_on_6_0_)
      warn(
          "on Windows 6.0 without KB967224 'netsh interface tcp set global' can write invalid "
          "values; make sure that the guest has it");
    return plan_;
  }

 private:
  void add_heuristics() {
    const Setting& setting = settings_.heuristics;
    if (setting.value == "keep") return;
    if (generation_.sets_heuristics || setting.named())
      add("set heuristics " + setting.value, Duty::mandatory);
  }

  std::optional<Refusal> add_forcews() {
    const Setting& setting = settings_.forcews;
    if (setting.value == "keep") return std::nullopt;
    if (generation_.forcews == ForceWs::unknown) return unknown(setting, "forcews");
    const bool mandatory =
        generation_.forcews == ForceWs::mandatory || (setting.named() && version_.major >= 10);
    if (setting.origin == Origin::option && version_ < WindowsVersion{6, 3, 0})
      warn(fmt::format("Windows {} may not know forcews; its refusal is only logged",
                       to_string(version_)));
    add("set heuristics forcews=" + setting.value, mandatory ? Duty::mandatory : Duty::soft);
    return std::nullopt;
  }

  void add_autotuning() {
    const Setting& setting = settings_.autotuning;
    if (setting.value == "keep") return;
    if (!generation_.sets_global_default && !setting.named()) return;
    if (setting.value == "disabled")
      warn(
          "auto-tuning 'disabled' limits the receive window to 64 KiB, which is slow on long "
          "paths");
    add_global("autotuninglevel=" + setting.value, Duty::mandatory);
  }

  std::optional<Refusal> add_provider() {
    const Setting& setting = settings_.congestion_provider;
    if (setting.value == "keep") return std::nullopt;
    if (setting.value == "auto") {
      if (!generation_.default_provider.empty())
        set_provider(std::string(generation_.default_provider), generation_.default_provider_duty);
      return std::nullopt;
    }
    if (!knows_provider(setting.value))
      return unknown(setting, "congestion provider " + setting.value);
    warn_about_provider(setting.value);
    set_provider(setting.value, Duty::mandatory);
    return std::nullopt;
  }

  bool knows_provider(const std::string& word) const {
    const bool server_2016 = version_.build == 14393 && product_ != ProductType::client;
    if (word == "cubic" && server_2016) return true;
    return generation_.providers.find(" " + word + " ") != std::string_view::npos;
  }

  void warn_about_provider(const std::string& word) {
    if (word == "bbr2")
      warn("bbr2 breaks connections of some programs to the guest itself (loopback)");
    if (word == "ctcp" && version_ >= WindowsVersion{10, 0, 16299})
      warn("this Windows uses CUBIC by default; ctcp is a step back");
  }

  void set_provider(const std::string& word, Duty duty) {
    if (generation_.provider_form == ProviderForm::global) {
      add_global("congestionprovider=" + word, duty);
      return;
    }
    // A template that may not be modified has its default: there the refusal is no failure.
    const bool has_default = word == "default" && version_ < WindowsVersion{10, 0, 15063};
    add(fmt::format("set supplemental template=internet congestionprovider={}", word),
        has_default ? Duty::soft : duty);
    if (duty == Duty::mandatory && word != "default") add_custom_template(word);
  }

  // Where the template "internet" may not be modified, a custom one is given its parameters (it
  // has data-centre timings of its own), then the provider, and is made the default last.
  // minrto comes first because delayedacktimeout must stay below it (netsh-interface.md).
  void add_custom_template(const std::string& word) {
    const auto set = [this](const std::string& what) {
      plan_.steps.back().otherwise.push_back(
          {fmt::format("set supplemental template={}{}", generation_.custom_template, what),
           Duty::mandatory});
    };
    set(" minrto=300");
    set(fmt::format(" icw={}", generation_.initial_window));
    set(" enablecwndrestart=disabled");
    set(" delayedacktimeout=50");
    set(" congestionprovider=" + word);
    set("");
  }

  // What this Windows does not have: refused where the user asked for it, else left out.
  std::optional<Refusal> unknown(const Setting& setting, const std::string& what) {
    if (setting.origin == Origin::option)
      return Refusal{Reason::option_unsupported,
                     fmt::format("Windows {} ({}) does not know {}", to_string(version_),
                                 to_string(product_), what)};
    if (setting.named())
      warn(fmt::format("left out, because Windows {} does not know it: {}", to_string(version_),
                       what));
    return std::nullopt;
  }

  void add_global(const std::string& setting, Duty duty) {
    uses_global_on_6_0_ = !generation_.sets_global_default;
    add("set global " + setting, duty);
  }
  void add(std::string arguments, Duty duty) {
    plan_.steps.push_back({{std::move(arguments), duty}, {}});
  }
  void warn(std::string text) { plan_.warnings.push_back(std::move(text)); }

  const WindowsVersion& version_;
  ProductType product_;
  const Settings& settings_;
  const Generation& generation_;
  NetshPlan plan_;
  bool uses_global_on_6_0_ = false;
};

}  // namespace

std::variant<NetshPlan, Refusal> plan_netsh(const WindowsVersion& version, ProductType product,
                                            const Settings& settings) {
  return Planner(version, product, settings).run();
}

}  // namespace kvmnet

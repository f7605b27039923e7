// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "hive/key_path.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

constexpr std::string_view afd = "Services\\AFD\\Parameters";
constexpr std::string_view tcpip = "Services\\Tcpip\\Parameters";

// Sources: KVM wiki, "WindowsGuestDrivers/kvmnet/registry" (which values, their data); ranges from
// Microsoft: TcpWindowSize 0..0x3FFFFFFF (learn cc757802), Tcp1323Opts a mask 0..3 (technet
// cc757402); none is documented for the AFD values (learn cc781532). EnableWsd is the policy value
// of tcpip.admx, "Windows Scaling Heuristics State" (policy-csp-admx-tcpip).
constexpr std::array<KnownValue, 6> known = {{
    {afd, "DefaultReceiveWindow", 0, 0xFFFFFFFF, true, "default receive window of sockets, bytes"},
    {afd, "DefaultSendWindow", 0, 0xFFFFFFFF, true, "default send window of sockets, bytes"},
    {afd, "FastSendDatagramThreshold", 0, 0xFFFFFFFF, true,
     "datagrams up to this many bytes take the fast path"},
    {tcpip, "Tcp1323Opts", 0, 3, true, "1: window scaling, 2: timestamps, 3: both"},
    {tcpip, "TcpWindowSize", 0, 0x3FFFFFFF, true, "largest TCP receive window, bytes"},
    {tcpip, "EnableWsd", 0, 1, false, "window-scaling heuristics; 0 turns them off"},
}};

// The data of the five values for XP and Server 2003, from the KVM wiki; in the order of `known`.
constexpr std::array<std::uint32_t, 5> wiki_data = {0x100000, 0x100000, 0x4000, 1, 0x100000};

constexpr std::array<std::string_view, 2> profiles = {"kvm", "wiki"};
constexpr std::array<std::string_view, 6> autotuning = {
    "disabled", "highlyrestricted", "restricted", "normal", "experimental", "keep"};
constexpr std::array<std::string_view, 9> providers = {
    "auto", "ctcp", "none", "cubic", "dctcp", "newreno", "bbr2", "default", "keep"};
constexpr std::array<std::string_view, 4> switches = {"enabled", "disabled", "default", "keep"};

constexpr std::array<std::string_view, 3> firstboot = {"auto", "service", "none"};

void override_with(Setting& setting, const std::optional<std::string>& word,
                   std::span<const std::string_view> allowed, std::string_view option) {
  if (!word) return;
  if (std::find(allowed.begin(), allowed.end(), *word) == allowed.end())
    throw UsageError(
        fmt::format("{}: '{}' is not one of {}", option, *word, fmt::join(allowed, ", ")));
  setting = {*word, Origin::option};
}

const KnownValue& find_known(std::string_view key, std::string_view name, std::string_view text) {
  // People know these keys by several beginnings; CurrentControlSet is what boots next.
  for (const std::string_view prefix :
       {"HKEY_LOCAL_MACHINE\\", "HKLM\\", "SYSTEM\\", "CurrentControlSet\\", "Services\\"}) {
    if (key.size() > prefix.size() && hive::same_name(key.substr(0, prefix.size()), prefix))
      key.remove_prefix(prefix.size());
  }
  for (const KnownValue& value : known) {
    const std::string_view short_key = value.key.substr(value.key.find('\\') + 1);
    if (hive::same_name(short_key, key) && hive::same_name(value.name, name)) return value;
  }
  std::vector<std::string> names;
  for (const KnownValue& value : known)
    names.push_back(fmt::format("{}\\{}", value.key.substr(value.key.find('\\') + 1), value.name));
  throw UsageError(fmt::format("--set {}: not a value that kvmnet sets; it sets {}", text,
                               fmt::join(names, ", ")));
}

std::uint32_t parse_number(std::string_view digits, std::string_view text) {
  std::string_view rest = digits;
  int base = 10;
  if (rest.starts_with("0x") || rest.starts_with("0X")) {
    rest.remove_prefix(2);
    base = 16;
  }
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number, base);
  if (error != std::errc{} || end != rest.data() + rest.size())
    throw UsageError(fmt::format(
        "--set {}: '{}' is not a 32-bit number; write it in decimal or as 0x...", text, digits));
  return number;
}

RegistrySetting parse_set(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::size_t backslash = text.rfind('\\', equals);
  if (equals == std::string::npos || backslash == std::string::npos)
    throw UsageError(fmt::format(
        "--set {}: write KEY\\VALUE=DATA, e.g. 'Tcpip\\Parameters\\TcpWindowSize=0x40000'", text));
  const std::string_view whole = text;
  const KnownValue& value = find_known(whole.substr(0, backslash),
                                       whole.substr(backslash + 1, equals - backslash - 1), text);
  const std::uint32_t data = parse_number(whole.substr(equals + 1), text);
  if (data < value.smallest || data > value.largest)
    throw UsageError(fmt::format("--set {}: {} takes {} to {:#x}", text, value.name, value.smallest,
                                 value.largest));
  return {&value, data, Origin::option};
}

RegistrySetting* find_setting(std::vector<RegistrySetting>& registry, const KnownValue& value) {
  for (RegistrySetting& setting : registry)
    if (setting.known == &value) return &setting;
  return nullptr;
}

void add_registry(Settings& settings) {
  for (std::size_t i = 0; i < wiki_data.size(); ++i)
    settings.registry.push_back({&known.at(i), wiki_data.at(i)});
  const std::string& heuristics = settings.heuristics.value;
  if (heuristics == "disabled" || heuristics == "enabled")
    settings.registry.push_back(
        {&known.back(), heuristics == "enabled" ? 1U : 0U, settings.heuristics.origin});
}

// Windows scales windows above 65535 bytes only if bit 0 of Tcp1323Opts is set (KB263088).
void check_scaling(const std::vector<RegistrySetting>& registry) {
  std::uint32_t options = 0;
  std::uint32_t window = 0;
  for (const RegistrySetting& setting : registry) {
    if (setting.known->name == "Tcp1323Opts") options = setting.data;
    if (setting.known->name == "TcpWindowSize") window = setting.data;
  }
  if (window > 0xFFFF && (options & 1U) == 0)
    throw UsageError(
        fmt::format("--set: TcpWindowSize={:#x} needs window scaling: Tcp1323Opts must be 1 or 3, "
                    "not {}; set both",
                    window, options));
}

FirstBootChoice parse_firstboot(const std::string& word) {
  const auto found = std::find(firstboot.begin(), firstboot.end(), word);
  if (found == firstboot.end())
    throw UsageError(
        fmt::format("--firstboot: '{}' is not one of {}", word, fmt::join(firstboot, ", ")));
  return static_cast<FirstBootChoice>(found - firstboot.begin());
}

// What only a first-boot script can do must not be asked for without one.
void check_firstboot(const Settings& settings) {
  if (settings.work.size() > most_user_work)
    throw UsageError(fmt::format(
        "--firstboot-command, --firstboot-script: {} of them, and {} is the most; put several "
        "commands into one script",
        settings.work.size(), most_user_work));
  if (settings.firstboot != FirstBootChoice::none) return;
  const std::array<std::pair<const Setting*, std::string_view>, 3> options = {
      {{&settings.autotuning, "--autotuning"},
       {&settings.congestion_provider, "--congestion-provider"},
       {&settings.forcews, "--forcews"}}};
  for (const auto& [setting, option] : options)
    if (setting->origin == Origin::option && setting->value != "keep")
      throw UsageError(fmt::format(
          "--firstboot none: {} is set by the first-boot script; leave one of them out", option));
  if (!settings.work.empty())
    throw UsageError(
        "--firstboot none: --firstboot-command and --firstboot-script need the first-boot script; "
        "leave one of them out");
}

}  // namespace

std::span<const KnownValue> known_values() {
  return known;
}
std::span<const std::string_view> profile_names() {
  return profiles;
}
std::span<const std::string_view> autotuning_words() {
  return autotuning;
}
std::span<const std::string_view> congestion_provider_words() {
  return providers;
}
std::span<const std::string_view> switch_words() {
  return switches;
}
std::span<const std::string_view> firstboot_words() {
  return firstboot;
}

Settings make_settings(const SettingOptions& options) {
  Settings settings;
  settings.profile = options.profile;
  if (options.profile == "kvm") {
    settings.autotuning = {"normal", Origin::profile_default};
    settings.congestion_provider = {"auto", Origin::profile_default};
    settings.heuristics = {"disabled", Origin::profile_default};
    settings.forcews = {"enabled", Origin::profile_default};
  } else if (options.profile == "wiki") {  // the KVM wiki page to the letter
    settings.autotuning = {"disabled", Origin::profile_named};
    settings.congestion_provider = {"ctcp", Origin::profile_named};
    settings.heuristics = {"disabled", Origin::profile_named};
    settings.forcews = {"enabled", Origin::profile_named};
  } else {
    throw UsageError(fmt::format("--profile: '{}' is not one of {}", options.profile,
                                 fmt::join(profiles, ", ")));
  }
  override_with(settings.autotuning, options.autotuning, autotuning, "--autotuning");
  override_with(settings.congestion_provider, options.congestion_provider, providers,
                "--congestion-provider");
  override_with(settings.heuristics, options.heuristics, switches, "--heuristics");
  override_with(settings.forcews, options.forcews, switches, "--forcews");
  settings.firstboot = parse_firstboot(options.firstboot);
  settings.work = options.work;
  check_firstboot(settings);
  add_registry(settings);
  for (const std::string& text : options.set) {
    const RegistrySetting wanted = parse_set(text);
    RegistrySetting* present = find_setting(settings.registry, *wanted.known);
    if (present == nullptr) present = &settings.registry.emplace_back(wanted);
    if (wanted.known == &known.back() && settings.heuristics.origin == Origin::option &&
        present->data != wanted.data)
      throw UsageError(fmt::format("--set {}: contradicts --heuristics", text));
    if (present->origin == Origin::option && present->data != wanted.data)
      throw UsageError(fmt::format("--set {}: the value is given twice", text));
    *present = wanted;
  }
  check_scaling(settings.registry);
  return settings;
}

}  // namespace kvmnet

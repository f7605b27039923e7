// SPDX-License-Identifier: GPL-2.0-or-later
// What is wanted: a built-in profile with the user's options on top, validated as far as that is
// possible without a guest.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/plan/reg_input.h"
#include "src/plan/user_work.h"
#include "src/plan/windows.h"

namespace kvmnet {

// Who wants a setting decides what happens when a Windows does not have it: a profile's default
// is left out, what a profile names is left out with a warning, what the user's option names is
// refused. A named congestion provider is also mandatory in the first-boot script.
enum class Origin { profile_default, profile_named, option };

// `value` is netsh's own word, or "keep" (leave as it is), or "auto" (provider only).
struct Setting {
  std::string value;
  Origin origin = Origin::profile_default;
  bool named() const { return origin != Origin::profile_default; }
  bool operator==(const Setting&) const = default;
};

// A registry value of the SYSTEM hive that kvmnet knows.
struct KnownValue {
  std::string_view key;  // relative to the control set
  std::string_view name;
  std::uint32_t smallest;
  std::uint32_t largest;
  bool legacy;  // true: read by NT 5.x only; false: by 6.0 and later only
  std::string_view meaning;
};
std::span<const KnownValue> known_values();

// One REG_DWORD that is to be set.
struct RegistrySetting {
  const KnownValue* known;
  std::uint32_t data;
  Origin origin = Origin::profile_default;
};

// What is to start the first-boot script.
enum class FirstBootChoice {
  automatic,  // what the guest needs: the service, and Windows Setup where it has still to run
  service,    // the service only
  none,       // there is to be no script: only the registry part
};

// The options of the command line, as the user wrote them.
struct SettingOptions {
  std::string profile = "kvm";
  std::optional<std::string> autotuning;
  std::optional<std::string> congestion_provider;
  std::optional<std::string> heuristics;
  std::optional<std::string> forcews;
  std::vector<std::string> set;  // KEY\VALUE=DATA
  std::string firstboot = "auto";
  std::vector<UserWork> work;  // of --firstboot-command and --firstboot-script
};

struct Settings {
  std::string profile;
  Setting autotuning;
  Setting congestion_provider;
  Setting heuristics;
  Setting forcews;
  std::vector<RegistrySetting> registry;  // in the order of known_values()
  FirstBootChoice firstboot = FirstBootChoice::automatic;
  std::vector<UserWork> work;  // for the first boot, in this order
  RegInput reg;                // .reg files for the SYSTEM hive, which win over the rest
};

// The words each option takes, for --help and validation.
std::span<const std::string_view> profile_names();
std::span<const std::string_view> autotuning_words();
std::span<const std::string_view> congestion_provider_words();
std::span<const std::string_view> switch_words();  // --heuristics and --forcews
std::span<const std::string_view> firstboot_words();

// Throws UsageError, naming the option, on a word that the option does not take, an unknown or
// malformed --set, a number out of range, and combinations that Windows would not honour.
Settings make_settings(const SettingOptions& options);

}  // namespace kvmnet

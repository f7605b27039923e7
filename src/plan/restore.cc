// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "src/plan/settings.h"

namespace kvmnet {
namespace {

constexpr std::size_t largest_dump = 256 << 10;
constexpr std::size_t longest_line = 1000;

enum class Words { autotuning, provider, on_or_off };

// A setting: how our commands and a dump's lines make it, and its default. The defaults are the
// words with which netsh itself goes back, where it has one; "normal" is the default of Windows'
// auto-tuning (learn.microsoft.com, netsh-interface).
struct Known {
  std::string_view name;
  std::string_view context;    // the first words of the line
  std::string_view parameter;  // "NAME="; empty: the word stands alone
  std::string_view dumped_as;  // the parameter in a dump, where it has a name of its own
  Words words;
  std::string_view by_default;
};
constexpr std::array<Known, 7> known = {{
    {"window-scaling heuristics", "set heuristics", "", "wsh=", Words::on_or_off, "default"},
    {"forced window scaling", "set heuristics", "forcews=", "", Words::on_or_off, "default"},
    {"receive window auto-tuning level", "set global", "autotuninglevel=", "", Words::autotuning,
     "normal"},
    {"congestion provider", "set global", "congestionprovider=", "", Words::provider, "default"},
    {"congestion provider of template internet", "set supplemental template=internet",
     "congestionprovider=", "", Words::provider, "default"},
    {"congestion provider of template custom", "set supplemental template=custom",
     "congestionprovider=", "", Words::provider, "default"},
    {"congestion provider of template internetcustom", "set supplemental template=internetcustom",
     "congestionprovider=", "", Words::provider, "default"},
}};

constexpr std::array<std::string_view, 2> custom_templates = {
    "set supplemental template=internetcustom", "set supplemental template=custom"};
// The one that Windows uses unless it is told otherwise: it chooses by itself between two others
// (learn.microsoft.com, netsh-interface, "set supplemental").
constexpr std::string_view default_template = "set supplemental template=automatic";

std::span<const std::string_view> words_of(Words words) {
  switch (words) {
    case Words::autotuning:
      return autotuning_words();
    case Words::provider:
      return congestion_provider_words();
    case Words::on_or_off:
      break;
  }
  return switch_words();
}

// A word that netsh takes: "keep" and "auto" are only ours.
bool is_word(Words words, std::string_view word) {
  const auto all = words_of(words);
  return word != "keep" && word != "auto" && std::find(all.begin(), all.end(), word) != all.end();
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> words;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    if (end > 0) words.push_back(lower(line.substr(0, end)));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

// What a line with the context of a setting says of it.
std::optional<std::string> value_in(const std::vector<std::string>& line, const Known& setting) {
  const std::vector<std::string> context = split(setting.context);
  if (line.size() <= context.size() || !std::equal(context.begin(), context.end(), line.begin()))
    return std::nullopt;
  for (auto word = line.begin() + static_cast<std::ptrdiff_t>(context.size()); word != line.end();
       ++word) {
    std::string_view value = *word;
    for (const std::string_view prefix : {setting.parameter, setting.dumped_as})
      if (!prefix.empty() && value.starts_with(prefix)) value.remove_prefix(prefix.size());
    if (value.size() == word->size() && !setting.parameter.empty()) continue;
    if (is_word(setting.words, value)) return std::string(value);
  }
  return std::nullopt;
}

std::optional<std::string> value_in(std::string_view dump, const Known& setting) {
  if (dump.size() > largest_dump) return std::nullopt;
  std::optional<std::string> found;
  while (!dump.empty()) {
    const std::size_t end = std::min(dump.find('\n'), dump.size());
    const std::string_view line = dump.substr(0, end);
    dump.remove_prefix(std::min(end + 1, dump.size()));
    if (line.size() > longest_line) continue;
    if (auto value = value_in(split(line), setting)) found = std::move(value);
  }
  return found;
}

NetshCommand command_for(const Known& setting, std::string_view value, Duty duty) {
  return {fmt::format("{} {}{}", setting.context, setting.parameter, value), duty};
}

// A custom template's other values, and that it is made the default.
bool is_part_of_custom_template(std::string_view arguments) {
  constexpr std::array<std::string_view, 6> parts = {"",
                                                     " minrto=300",
                                                     " icw=4",
                                                     " icw=10",
                                                     " enablecwndrestart=disabled",
                                                     " delayedacktimeout=50"};
  for (const std::string_view start : custom_templates)
    if (arguments.starts_with(start) &&
        std::find(parts.begin(), parts.end(), arguments.substr(start.size())) != parts.end())
      return true;
  return false;
}

bool is_in_custom_template(const Known& setting) {
  return setting.context.find("template=") != std::string_view::npos &&
         setting.context.ends_with("custom");
}

}  // namespace

bool is_known_netsh(std::string_view arguments) {
  for (const Known& setting : known) {
    const std::string start = fmt::format("{} {}", setting.context, setting.parameter);
    if (arguments.starts_with(start) && is_word(setting.words, arguments.substr(start.size())))
      return true;
  }
  return is_part_of_custom_template(arguments);
}

Restoration plan_restoration(const std::vector<std::string>& commands, std::string_view dump) {
  Restoration result;
  const auto was_set = [&](const Known& setting) {
    return std::any_of(commands.begin(), commands.end(), [&](const std::string& command) {
      return value_in(split(command), setting).has_value();
    });
  };
  for (const Known& setting : known) {
    if (!was_set(setting)) continue;
    const auto before = value_in(dump, setting);
    const std::string value = before.value_or(std::string(setting.by_default));
    // Soft: a Windows that refuses it has refused the command that it undoes, too.
    result.steps.push_back({command_for(setting, value, Duty::soft), {}});
    // A custom template is touched only where template internet cannot be changed.
    if (!is_in_custom_template(setting))
      result.settings.push_back({std::string(setting.name), value, before.has_value()});
  }
  const bool has_switched =
      std::any_of(commands.begin(), commands.end(), [](const std::string& command) {
        return std::find(custom_templates.begin(), custom_templates.end(), command) !=
               custom_templates.end();
      });
  if (has_switched) result.steps.push_back({{std::string(default_template), Duty::soft}, {}});
  return result;
}

}  // namespace kvmnet

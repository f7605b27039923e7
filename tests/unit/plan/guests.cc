// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/plan/guests.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "src/plan/firstboot.h"
#include "src/support/overloaded.h"

namespace kvmnet::plan_tests {
namespace {

std::string line(const NetshCommand& command) {
  return (command.duty == Duty::mandatory ? "mandatory " : "soft ") + command.arguments;
}

std::string line(const Edit& edit) {
  return std::visit(Overloaded{[](const SetValue& e) {
                                 return fmt::format("set {}\\{}: {} -> {}", e.key.to_string(),
                                                    e.name,
                                                    e.old ? hive::describe(*e.old) : "absent",
                                                    hive::describe(e.value));
                               },
                               [](const DeleteValue& e) {
                                 return fmt::format("delete {}\\{}", e.key.to_string(), e.name);
                               },
                               [](const CreateKey& e) { return "create " + e.key.to_string(); },
                               [](const DeleteKey& e) { return "delete " + e.key.to_string(); },
                               [](const WriteFile& e) { return "write " + e.path; },
                               [](const RemoveFile& e) { return "remove " + e.path; },
                               [](const RemoveDirectory& e) { return "remove " + e.path; }},
                    edit);
}

ControlSet control_set(const WindowsVersion& version) {
  const hive::NamedValue start = {"Start", hive::dword(1)};
  ControlSet set;
  set.name = "ControlSet001";
  for (const std::string& key : asked_keys()) set.keys[key] = std::nullopt;
  set.keys["Services\\AFD"] = {start};
  set.keys[afd_key] = std::vector<hive::NamedValue>();
  set.keys["Services\\Tcpip"] = {start};
  set.keys[tcpip_key] = {{"Hostname", hive::sz("guest")}};
  if (version.major >= 6) set.keys["Services\\nsi"] = {start};
  return set;
}

// The values of the edited key, if its control set is there, and is asked for it.
std::optional<std::vector<hive::NamedValue>>* key_of(Facts& facts, const hive::KeyPath& key) {
  const std::string path = key.to_string();
  const std::size_t slash = path.find('\\');
  for (auto* sets : {&facts.control_sets, &facts.other_sets})
    for (ControlSet& set : *sets)
      if (set.name == path.substr(0, slash)) return &set.keys[path.substr(slash + 1)];
  return nullptr;
}

void apply(Facts& facts, const SetValue& edit) {
  auto* key = key_of(facts, edit.key);
  if (key == nullptr) return;
  if (!*key) key->emplace();
  std::vector<hive::NamedValue>& there = **key;
  const auto same = std::find_if(there.begin(), there.end(), [&](const hive::NamedValue& v) {
    return hive::same_name(v.name, edit.name);
  });
  if (same == there.end())
    there.push_back({edit.name, edit.value});
  else
    same->value = edit.value;
}

void apply(Facts& facts, const DeleteValue& edit) {
  if (auto* key = key_of(facts, edit.key); key != nullptr && *key)
    std::erase_if(**key,
                  [&](const hive::NamedValue& v) { return hive::same_name(v.name, edit.name); });
}

// No plan for a guest has one.
void apply(Facts& /*facts*/, const CreateKey& edit) {
  throw std::logic_error("a key is created: " + edit.key.to_string());
}

void apply(Facts& facts, const DeleteKey& edit) {
  if (auto* key = key_of(facts, edit.key)) key->reset();
}

void apply(Facts& facts, const WriteFile& edit) {
  put_file(facts, edit.path, edit.content);
  if (!edit.make_private) return;
  facts.open_paths.erase(edit.path);
  facts.open_paths.erase("kvmnet");
}

void apply(Facts& facts, const RemoveFile& edit) {
  remove_file(facts, edit.path);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// A thing more in the directory, if it is one that counts; it is made where it is missing.
void add_to_directory(Facts& facts, const std::string& directory) {
  const auto known = known_directories();
  if (std::find(known.begin(), known.end(), directory) == known.end()) return;
  const auto [there, made] = facts.directories.try_emplace(directory, 0);
  ++there->second;
  if (made) add_to_directory(facts, parent_of(directory));
}

void take_from_directory(Facts& facts, const std::string& directory) {
  const auto there = facts.directories.find(directory);
  if (there != facts.directories.end()) --there->second;
}

void apply(Facts& facts, const RemoveDirectory& edit) {
  if (facts.directories.at(edit.path) != 0) throw std::logic_error("not empty: " + edit.path);
  facts.directories.erase(edit.path);
  take_from_directory(facts, parent_of(edit.path));
}

}  // namespace

std::string name_of(const WindowsVersion& version) {
  return fmt::format("{}.{}.{}", version.major, version.minor, version.build);
}

std::string name_of(const WindowsVersion& version, ProductType product) {
  return fmt::format("{} {}", name_of(version), to_string(product));
}

SettingOptions wiki_options() {
  SettingOptions options;
  options.profile = "wiki";
  return options;
}

SettingOptions autotuning_option(std::string word) {
  SettingOptions options;
  options.autotuning = std::move(word);
  return options;
}

SettingOptions provider_option(std::string word) {
  SettingOptions options;
  options.congestion_provider = std::move(word);
  return options;
}

SettingOptions heuristics_option(std::string word) {
  SettingOptions options;
  options.heuristics = std::move(word);
  return options;
}

SettingOptions forcews_option(std::string word) {
  SettingOptions options;
  options.forcews = std::move(word);
  return options;
}

SettingOptions set_option(std::string text) {
  SettingOptions options;
  options.set = {std::move(text)};
  return options;
}

SettingOptions keep_options() {
  SettingOptions options;
  for (auto* setting :
       {&options.autotuning, &options.congestion_provider, &options.heuristics, &options.forcews})
    *setting = "keep";
  return options;
}

NetshPlan netsh_of(const WindowsVersion& version, ProductType product, const Settings& settings) {
  const auto plan = plan_netsh(version, product, settings);
  if (const auto* refusal = std::get_if<Refusal>(&plan)) {
    ADD_FAILURE() << name_of(version, product) << " was refused: " << refusal->message;
    return {};
  }
  return std::get<NetshPlan>(plan);
}

Plan plan_of(const Facts& facts, const Settings& settings, Scope scope) {
  const auto plan = make_plan(facts, settings, scope);
  if (const auto* refusal = std::get_if<Refusal>(&plan)) {
    ADD_FAILURE() << "was refused: " << refusal->message;
    return {};
  }
  return std::get<Plan>(plan);
}

Refusal refusal_of(const Facts& facts, const Settings& settings, Scope scope) {
  const auto plan = make_plan(facts, settings, scope);
  if (std::holds_alternative<Plan>(plan)) {
    ADD_FAILURE() << "was not refused";
    return {};
  }
  return std::get<Refusal>(plan);
}

std::vector<std::string> lines(const std::vector<NetshStep>& steps) {
  std::vector<std::string> all;
  for (const NetshStep& step : steps) {
    all.push_back(line(step.command));
    for (const NetshCommand& command : step.otherwise) all.push_back("else " + line(command));
  }
  return all;
}

std::vector<std::string> lines(const std::vector<Edit>& edits) {
  std::vector<std::string> all;
  for (const Edit& edit : edits) all.push_back(line(edit));
  std::erase(all, "write " + std::string(record_path));
  return all;
}

bool any_has(const std::vector<std::string>& texts, std::string_view part) {
  return std::any_of(texts.begin(), texts.end(),
                     [=](const std::string& text) { return text.find(part) != std::string::npos; });
}

Facts guest(const WindowsVersion& version, ProductType product) {
  Facts facts;
  facts.system = {hive::Condition::clean, ""};
  facts.software = {hive::Condition::clean, ""};
  facts.version = version;
  facts.architecture = version.major == 5 ? Architecture::x86 : Architecture::amd64;
  facts.product_type = product;
  facts.product_name = "Windows";
  facts.system_root = version.major == 5 ? "/WINDOWS" : "/Windows";
  facts.select = {1, 1, 0, 1};
  facts.control_sets = {control_set(version)};
  return facts;
}

void put_file(Facts& facts, const std::string& path, const std::string& content) {
  const bool is_new =
      is_our_file(path) ? !facts.our_files.contains(path) : !facts.files.contains(path);
  if (is_new) add_to_directory(facts, parent_of(path));
  facts.files[path] = content;
  if (!is_our_file(path)) return;
  facts.our_files.insert(path);
  if (path == record_path) facts.record = parse_record(content);
}

void remove_file(Facts& facts, const std::string& path) {
  const bool was_ours = facts.our_files.erase(path) != 0;
  if (facts.files.erase(path) != 0 || was_ours) take_from_directory(facts, parent_of(path));
  if (path == record_path) facts.record.reset();
}

void boot(Facts& facts, const std::string& status) {
  const auto script = facts.files.find(std::string(firstboot::script_path));
  if (script == facts.files.end()) return;
  const std::string id = script->second.substr(script->second.find("set \"ID=") + 8, 16);
  remove_file(facts, std::string(firstboot::script_path));
  put_file(facts, std::string(firstboot::result_path),
           "kvmnet-firstboot-result 1\r\nid " + id + "\r\nboot 1\r\nstatus " + status + "\r\n");
  put_file(facts, "kvmnet/firstboot.log", "log");
  for (ControlSet& set : facts.control_sets) set.keys[our_service_key] = std::nullopt;
}

void add_current_set(Facts& facts, std::uint32_t number) {
  ControlSet copy = facts.control_sets.front();
  copy.name = fmt::format("ControlSet{:03}", number);
  facts.control_sets.push_back(std::move(copy));
  facts.select.current = number;
}

std::vector<hive::NamedValue>& values(ControlSet& set, const std::string& key) {
  auto& present = set.keys[key];
  if (!present) present.emplace();
  return *present;
}

Facts applied(Facts facts, const std::vector<Edit>& edits) {
  for (const Edit& edit : edits) std::visit([&](const auto& e) { apply(facts, e); }, edit);
  return facts;
}

}  // namespace kvmnet::plan_tests

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/foretell.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string>

#include "src/plan/firstboot.h"
#include "src/plan/firstboot_service.h"
#include "src/plan/record.h"
#include "src/support/overloaded.h"

namespace kvmnet {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

// The files and directories of a guest, while edits are made.
class Files {
 public:
  explicit Files(Facts& facts) : facts_(facts) {}

  void apply(const WriteFile& edit) {
    make_directories(edit.path);
    if (!is_there(edit.path)) count(edit.path, 1);
    facts_.files[edit.path] = edit.content;
    facts_.unreadable_files.erase(edit.path);
    if (is_our_file(edit.path)) facts_.our_files.insert(edit.path);
    if (edit.make_private) facts_.open_paths.erase(edit.path);
    // Whatever is written there makes the directory private, too.
    if (parent_of(edit.path) == firstboot::directory)
      facts_.open_paths.erase(std::string(firstboot::directory));
    if (edit.path != record_path) return;
    facts_.record = parse_record(edit.content);  // which we have written ourselves
    facts_.record_damage.clear();
    facts_.record_is_newer = false;
  }
  void apply(const RemoveFile& edit) {
    if (is_there(edit.path)) count(edit.path, -1);
    facts_.files.erase(edit.path);
    facts_.unreadable_files.erase(edit.path);
    facts_.our_files.erase(edit.path);
    facts_.open_paths.erase(edit.path);
    if (edit.path == record_path) facts_.record.reset();
  }
  void apply(const RemoveDirectory& edit) {
    if (facts_.directories.erase(edit.path) > 0) count(edit.path, -1);
    facts_.open_paths.erase(edit.path);
  }

 private:
  bool is_there(const std::string& path) const {
    return facts_.files.contains(path) || facts_.unreadable_files.contains(path) ||
           facts_.our_files.contains(path);
  }
  // Something comes into, or leaves, the directory that it is in.
  void count(const std::string& path, int more) {
    const auto parent = facts_.directories.find(parent_of(path));
    if (parent != facts_.directories.end()) parent->second += static_cast<std::size_t>(more);
  }
  void make_directories(const std::string& file) {
    for (const std::string& path : known_directories())
      if (file.starts_with(path + "/") && facts_.directories.try_emplace(path, 0).second)
        count(path, 1);
  }

  Facts& facts_;
};

// What is read of a SYSTEM hive besides the values of the profile: see src/apply/hive_facts.cc.
struct ReadValue {
  std::string_view key;
  std::string_view name;
};
constexpr std::array read_values = {
    ReadValue{"Setup", "SystemSetupInProgress"}, ReadValue{"Setup", "OOBEInProgress"},
    ReadValue{"Setup\\Status\\SysprepStatus", "GeneralizationState"}};
constexpr std::array read_values_of_set = {
    ReadValue{"Control\\ProductOptions", "ProductType"},
    ReadValue{"Control\\Session Manager\\Environment", "PROCESSOR_ARCHITECTURE"}};

bool is_read(const hive::KeyPath& key, const std::string& name) {
  const auto is = [&](const hive::KeyPath& above, const ReadValue& value) {
    return key == above / value.key && hive::same_name(name, value.name);
  };
  if (key.elements().empty()) return false;
  const hive::KeyPath set = hive::KeyPath() / key.elements().front();
  return std::any_of(read_values.begin(), read_values.end(),
                     [&](const ReadValue& v) { return is({}, v); }) ||
         std::any_of(read_values_of_set.begin(), read_values_of_set.end(),
                     [&](const ReadValue& v) { return is(set, v); });
}

// Of that key only whether it is there is read: an edit in or below it may make it.
bool may_make_read_key(const hive::KeyPath& key) {
  const auto nsi = hive::KeyPath::parse(firstboot::nsi_service_key).elements();
  const auto& names = key.elements();
  return names.size() > nsi.size() &&
         std::equal(nsi.begin(), nsi.end(), names.begin() + 1, hive::same_name);
}

// Those edits are of .reg files: they have a place as why.
bool changes_value(const Edit& edit) {
  return std::visit(Overloaded{[](const SetValue& e) { return is_read(e.key, e.name); },
                               [](const DeleteValue& e) { return is_read(e.key, e.name); },
                               [](const auto&) { return false; }},
                    edit);
}

bool may_make_key(const Edit& edit) {
  return std::visit(Overloaded{[](const SetValue& e) { return !e.old && may_make_read_key(e.key); },
                               [](const CreateKey& e) { return may_make_read_key(e.key); },
                               [](const auto&) { return false; }},
                    edit);
}

// Each place once.
std::vector<std::string> places_of(const std::vector<Edit>& edits, bool (*matters)(const Edit&)) {
  std::vector<std::string> places;
  for (const Edit& edit : edits) {
    if (!matters(edit)) continue;
    std::string why = describe(edit).why;
    if (std::find(places.begin(), places.end(), why) == places.end())
      places.push_back(std::move(why));
  }
  return places;
}

// The places in .reg files that change what is read.
std::string causes(const std::vector<Edit>& edits) {
  std::vector<std::string> places = places_of(edits, changes_value);
  if (places.empty()) places = places_of(edits, may_make_key);
  return places.empty() ? "--reg" : fmt::format("{}", fmt::join(places, "; "));
}

Refusal refusal(const std::vector<Edit>& edits, const std::string& what) {
  return {Reason::option_unsupported,
          fmt::format("{}: this changes what kvmnet goes by: with it {}", causes(edits), what)};
}

}  // namespace

Facts facts_after(const Facts& before, const Facts& edited, const std::vector<Edit>& edits) {
  Facts after = before;
  after.system = edited.system;
  after.architecture = edited.architecture;
  after.product_type = edited.product_type;
  after.setup_unfinished = edited.setup_unfinished;
  after.select = edited.select;
  after.control_sets = edited.control_sets;
  after.other_sets = edited.other_sets;
  after.reg = {};
  Files files(after);
  for (const Edit& edit : edits)
    std::visit(Overloaded{[&](const WriteFile& e) { files.apply(e); },
                          [&](const RemoveFile& e) { files.apply(e); },
                          [&](const RemoveDirectory& e) { files.apply(e); }, [](const auto&) {}},
               edit);
  return after;
}

std::optional<Refusal> check_settled(const std::variant<Plan, Refusal>& again,
                                     const std::vector<Edit>& edits) {
  if (const auto* refused = std::get_if<Refusal>(&again))
    return refusal(edits, fmt::format("the guest would be refused: {}", refused->message));
  const Plan& plan = std::get<Plan>(again);
  if (plan.edits.empty()) return std::nullopt;
  const EditText first = describe(plan.edits.front());
  return refusal(edits, fmt::format("something would be left to be done: {} {} ({})", first.verb,
                                    first.target, first.why));
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/plan/foretell.h"

#include <fmt/format.h>

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
constexpr std::array<std::string_view, 1> read_keys = {"Setup"};
constexpr std::array<std::string_view, 3> read_keys_of_set = {
    "Control\\ProductOptions", "Control\\Session Manager\\Environment", firstboot::nsi_service_key};

bool is_at_or_below(const hive::KeyPath& key, const hive::KeyPath& above) {
  const auto& names = key.elements();
  const auto& start = above.elements();
  return names.size() >= start.size() &&
         std::equal(start.begin(), start.end(), names.begin(), hive::same_name);
}

bool is_read(const hive::KeyPath& key) {
  if (key.elements().empty()) return false;
  const hive::KeyPath set = hive::KeyPath() / key.elements().front();
  return std::any_of(
             read_keys.begin(), read_keys.end(),
             [&](std::string_view k) { return is_at_or_below(key, hive::KeyPath::parse(k)); }) ||
         std::any_of(read_keys_of_set.begin(), read_keys_of_set.end(),
                     [&](std::string_view k) { return is_at_or_below(key, set / k); });
}

// The place in a .reg file that changes what is read, if there is one: only they edit such keys.
std::string cause(const std::vector<Edit>& edits) {
  const auto place = [](const auto& edit) { return is_read(edit.key) ? edit.why : std::string(); };
  for (const Edit& edit : edits) {
    const std::string found = std::visit(Overloaded{[&](const SetValue& e) { return place(e); },
                                                    [&](const DeleteValue& e) { return place(e); },
                                                    [&](const CreateKey& e) { return place(e); },
                                                    [](const auto&) { return std::string(); }},
                                         edit);
    if (!found.empty()) return found;
  }
  return {};
}

Refusal refusal(const std::vector<Edit>& edits, const std::string& what) {
  const std::string place = cause(edits);
  return {Reason::option_unsupported,
          fmt::format("{}: this changes what kvmnet goes by: with it {}",
                      place.empty() ? "--reg" : place, what)};
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

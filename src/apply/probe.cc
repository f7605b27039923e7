// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "hive/key_path.h"
#include "src/plan/firstboot.h"
#include "src/plan/foretell.h"
#include "src/plan/plan.h"
#include "src/plan/plan_reg.h"
#include "src/plan/record.h"
#include "src/support/error.h"
#include "src/support/refusal.h"

namespace kvmnet {
namespace {

using guestfs::GuestFiles;

// Far more than any of them needs.
constexpr std::uint64_t largest_file = 1 << 20;

// Ten times what Windows makes of it; more would fill the host's memory.
constexpr std::uint64_t largest_system_hive = 256 << 20;

std::vector<Fd> download(GuestFiles& guest, const std::vector<GuestLog>& logs) {
  std::vector<Fd> files;
  for (const GuestLog& log : logs) {
    files.push_back(make_memory_file("log"));
    guest.download(log.path, files.back().get());
  }
  return files;
}

// Where logs were replayed into the hive in memory it is fetched once more: such guests are few,
// and a copy of each hive would cost all the others.
MemoryView as_downloaded(GuestFiles& guest, const Probe& probe) {
  const HiveFacts& system = probe.facts.system;
  if (system.replayed == 0 && !system.logs_given_up) return MemoryView(probe.system_hive);
  const Fd again = make_memory_file("SYSTEM");
  guest.download(probe.system_path, again.get());
  return MemoryView(again);
}

void probe_software(GuestFiles& guest, const std::string& path, DirtyHive policy, Probe& probe) {
  std::vector<std::string> paths = {path};
  DistantHive hive{{guest.size(path)}, {}};
  std::vector<GuestLog> logs = find_logs(guest, path);
  logs.resize(count_in_use(logs));
  for (const GuestLog& log : logs) {
    paths.push_back(log.path);
    hive.sizes.push_back(log.size);
  }
  hive.read_at = [&](unsigned file, std::uint64_t offset, std::size_t size) {
    return guest.read_at(paths.at(file), offset, size);
  };
  const SoftwareFacts software = probe_software_hive(hive, policy);
  Facts& facts = probe.facts;
  facts.software = software.condition;
  facts.version = software.version;
  facts.product_name = software.product_name;
  probe.is_generalised = software.is_generalised;
  if (software.is_generalised) facts.setup_unfinished = true;
  facts.is_complete = software.is_complete;
  facts.is_windows_pe = software.is_windows_pe;
  facts.setup_in_progress = software.is_undeployable;
}

// `entry` in `directory` is the asked file `path`. There may be two, in other letter cases: which
// one is meant nobody knows.
void read_file(GuestFiles& guest, const std::string& directory,
               const guestfs::DirectoryEntry& entry, const std::string& path, Facts& facts) {
  const std::string found = directory + "/" + entry.name;
  if (facts.files.erase(path) != 0 || entry.type != guestfs::FileType::regular ||
      guest.size(found) > largest_file) {
    facts.unreadable_files.insert(path);
    return;
  }
  const auto bytes = guest.read_at(found, 0, largest_file);
  facts.files[path].assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void note_our_file(const guestfs::DirectoryEntry& entry, Facts& facts) {
  std::string path = hive::folded(std::string(firstboot::directory) + "/" + entry.name);
  if (entry.type == guestfs::FileType::regular && is_our_file(path))
    facts.our_files.insert(std::move(path));
}

// Of this path below `root`; nothing if there is none, or something else has its name: nothing is
// where a file or a link is in the way.
std::optional<std::string> find_directory(GuestFiles& guest, const std::string& root,
                                          const std::string& path) {
  auto found = guest.resolve(root + "/" + path);
  if (!found) return std::nullopt;
  const std::size_t slash = found->rfind('/');
  const auto siblings = guest.list(slash == 0 ? "/" : found->substr(0, slash));
  const guestfs::DirectoryEntry wanted = {found->substr(slash + 1), guestfs::FileType::directory};
  if (std::find(siblings.begin(), siblings.end(), wanted) == siblings.end()) return std::nullopt;
  return found;
}

// In ours also what is not asked for by name: the logs of the first boot.
void look_into_directories(GuestFiles& guest, const std::string& root, Facts& facts) {
  for (const std::string& path : known_directories()) {
    const auto directory = find_directory(guest, root, path);
    if (!directory) continue;
    const auto entries = guest.list(*directory);
    facts.directories[path] = entries.size();
    if (path != firstboot::directory) continue;
    for (const guestfs::DirectoryEntry& entry : entries) note_our_file(entry, facts);
  }
}

void read_record(Facts& facts) {
  const std::string path(record_path);
  if (facts.unreadable_files.contains(path))
    facts.record_damage = "not one plain file of 1 MiB at most";
  const auto text = facts.files.find(path);
  if (text == facts.files.end()) return;
  RecordReading reading = kvmnet::read_record(text->second);
  facts.record = std::move(reading.record);
  facts.record_damage = std::move(reading.damage);
  facts.record_is_newer = reading.is_newer;
}

void read_files(GuestFiles& guest, const std::string& root, Facts& facts) {
  std::map<std::string, std::vector<std::string>> names;  // by directory
  for (const std::string& path : asked_files()) {
    const std::size_t slash = path.rfind('/');
    names[path.substr(0, slash)].push_back(path.substr(slash + 1));
  }
  for (const auto& [parent, wanted] : names) {
    const auto directory = find_directory(guest, root, parent);
    if (!directory) continue;
    for (const guestfs::DirectoryEntry& entry : guest.list(*directory))
      for (const std::string& name : wanted)
        if (hive::same_name(entry.name, name))
          read_file(guest, *directory, entry, parent + "/" + name, facts);
  }
}

void look_for_open_paths(GuestFiles& guest, const std::string& root, Facts& facts) {
  for (const std::string& path : private_paths()) {
    const bool is_directory = path.find('/') == std::string::npos;
    if (!is_directory && !facts.files.contains(path)) continue;
    const auto found = guest.resolve(root + "/" + path);
    const auto type = is_directory ? guestfs::FileType::directory : guestfs::FileType::regular;
    if (found && !guest.is_private(*found, type)) facts.open_paths.insert(path);
  }
}

std::string find_hive(GuestFiles& guest, const std::string& root, const std::string& name) {
  const std::string wanted = root + "/System32/config/" + name;
  const auto path = guest.resolve(wanted);
  if (!path) throw Error(wanted + ": is not there any more");
  const std::size_t slash = path->rfind('/');
  for (const guestfs::DirectoryEntry& entry : guest.list(path->substr(0, slash)))
    if (entry.name == path->substr(slash + 1) && entry.type != guestfs::FileType::regular)
      throw Refused{{Reason::damaged_hive,
                     fmt::format("the {} hive is damaged: {} is no plain file", name, *path)}};
  return *path;
}

// The record, which says what else is asked for, is known last.
void ask_hive(const Fd& hive, const std::vector<hive::RegSection>& reg, Facts& facts) {
  if (facts.system.condition != hive::Condition::clean) return;
  const RegQuestion question = reg_question(facts, reg);
  if (!question.empty()) facts.reg = ask_reg(hive, question);
}

// All but what the SYSTEM hive says by itself.
void probe_rest(GuestFiles& guest, const std::string& root, DirtyHive policy, const Fd& system_hive,
                const std::vector<hive::RegSection>& reg, Probe& probe) {
  probe.facts.system_root = root;
  probe_software(guest, find_hive(guest, root, "SOFTWARE"), policy, probe);
  read_files(guest, root, probe.facts);
  look_for_open_paths(guest, root, probe.facts);
  look_into_directories(guest, root, probe.facts);
  read_record(probe.facts);
  ask_hive(system_hive, reg, probe.facts);
}

}  // namespace

Probe probe_guest(GuestFiles& guest, const std::string& root, DirtyHive policy,
                  const std::vector<hive::RegSection>& reg) {
  Probe probe;
  probe.system_path = find_hive(guest, root, "SYSTEM");
  probe.system_hive = make_memory_file("SYSTEM");
  if (guest.size(probe.system_path) > largest_system_hive) {
    probe.facts.system.reason = "larger than any SYSTEM hive";
  } else {
    guest.download(probe.system_path, probe.system_hive.get());
    probe.logs = find_logs(guest, probe.system_path);
    probe.log_files = download(guest, probe.logs);
    probe.facts = probe_system_hive(probe.in_memory(), policy);
    probe.downloaded = as_downloaded(guest, probe);
  }
  probe_rest(guest, root, policy, probe.system_hive, reg, probe);
  return probe;
}

Probe probe_guest_with(const EditedHive& hive, GuestFiles& guest, const std::string& root,
                       const std::vector<hive::RegSection>& reg) {
  Probe probe;
  probe.system_path = find_hive(guest, root, "SYSTEM");
  probe.logs = find_logs(guest, probe.system_path);
  probe.facts = hive.facts;
  probe_rest(guest, root, DirtyHive::use_primary, hive.file, reg, probe);
  return probe;
}

Facts facts_after(const Probe& probe, const EditedHive& edited, const std::vector<Edit>& edits,
                  const std::vector<hive::RegSection>& reg) {
  Facts after = facts_after(probe.facts, edited.facts, edits);
  if (probe.is_generalised) after.setup_unfinished = true;
  ask_hive(edited.file, reg, after);
  return after;
}

}  // namespace kvmnet

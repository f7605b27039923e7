// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "hive/edit.h"
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

std::vector<Fd> memory_files(std::size_t count) {
  std::vector<Fd> files;
  while (files.size() < count) files.push_back(make_memory_file("log"));
  return files;
}

// The process that is to work on them starts meanwhile.
std::unique_ptr<HiveInMemory> download(GuestFiles& guest, const std::string& path,
                                       const std::vector<GuestLog>& logs, std::uint64_t size) {
  for (const GuestLog& log : logs) size += log.size;
  auto hive = std::make_unique<HiveInMemory>(logs, size);
  hive->work.start();
  guest.download(path, hive->file.get());
  for (std::size_t i = 0; i < logs.size(); ++i) guest.download(logs[i].path, hive->logs[i].get());
  return hive;
}

// Where logs were replayed into the hive in memory it is fetched once more: such guests are few,
// and a copy of each hive would cost all the others.
MemoryView as_downloaded(GuestFiles& guest, const HiveFacts& system, const Probe& probe) {
  if (system.replayed == 0 && !system.logs_given_up) return MemoryView(probe.hive->file);
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
  const SoftwareFacts software = probe.software->probe(hive, policy);
  Facts& facts = probe.facts;
  facts.software = software.condition;
  facts.version = software.version;
  facts.product_name = software.product_name;
  probe.is_generalised = software.is_generalised;
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

void read_record(SystemHive& hive, Facts& facts) {
  const std::string path(record_path);
  if (facts.unreadable_files.contains(path))
    facts.record_damage = "not one plain file of 1 MiB at most";
  const auto text = facts.files.find(path);
  if (text == facts.files.end()) return;
  // What it makes of its reader must not reach the hive.
  RecordReading reading = facts.open_paths.empty() ? hive.read_record(text->second)
                                                   : SystemHive::read_foreign_record(text->second);
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
void ask_hive(SystemHive& hive, SystemHive::State state, const std::vector<hive::RegSection>& reg,
              Facts& facts) {
  if (facts.system.condition != hive::Condition::clean) return;
  const RegQuestion question = reg_question(facts, reg);
  if (!question.empty()) facts.reg = hive.ask(question, state);
}

// All that is not in the SYSTEM hive.
void probe_files(GuestFiles& guest, const std::string& root, DirtyHive policy, Probe& probe) {
  probe.facts.system_root = root;
  probe_software(guest, find_hive(guest, root, "SOFTWARE"), policy, probe);
  read_files(guest, root, probe.facts);
  look_for_open_paths(guest, root, probe.facts);
  look_into_directories(guest, root, probe.facts);
}

// `of_hive`: what the SYSTEM hive gives of the facts.
void add(const Facts& of_hive, Probe& probe) {
  probe.facts = facts_after(probe.facts, of_hive, {});
  if (probe.is_generalised) probe.facts.setup_unfinished = true;
}

}  // namespace

HiveInMemory::HiveInMemory(const std::vector<GuestLog>& found, std::uint64_t size)
    : file(make_memory_file("SYSTEM")),
      logs(memory_files(found.size())),
      work({file, logs, count_in_use(found)}, size) {}

Probe probe_guest(GuestFiles& guest, const std::string& root, DirtyHive policy,
                  const std::vector<hive::RegSection>& reg,
                  std::shared_ptr<SoftwareHive> software) {
  Probe probe;
  probe.software = std::move(software);
  probe.system_path = find_hive(guest, root, "SYSTEM");
  const std::uint64_t size = guest.size(probe.system_path);
  const bool is_too_large = size > hive::largest_hive;
  if (is_too_large) {
    probe.hive = std::make_unique<HiveInMemory>(probe.logs, 0);
  } else {
    probe.logs = find_logs(guest, probe.system_path);
    probe.hive = download(guest, probe.system_path, probe.logs, size);
    probe.hive->work.begin_probe(policy);
  }
  // While the hive is being checked.
  probe_files(guest, root, policy, probe);
  Facts of_hive;
  if (is_too_large) {
    of_hive.system.reason = "larger than any SYSTEM hive";
  } else {
    of_hive = probe.hive->work.finish_probe();
    probe.downloaded = as_downloaded(guest, of_hive.system, probe);
  }
  add(of_hive, probe);
  read_record(probe.hive->work, probe.facts);
  ask_hive(probe.hive->work, SystemHive::State::found, reg, probe.facts);
  return probe;
}

Probe probe_again(const Probe& before, GuestFiles& guest, const std::string& root,
                  const std::vector<hive::RegSection>& reg) {
  Probe probe;
  probe.software = before.software;
  probe.system_path = find_hive(guest, root, "SYSTEM");
  probe.logs = find_logs(guest, probe.system_path);
  probe_files(guest, root, DirtyHive::use_primary, probe);
  add(before.hive->work.proven(), probe);
  read_record(before.hive->work, probe.facts);
  ask_hive(before.hive->work, SystemHive::State::edited, reg, probe.facts);
  return probe;
}

Facts facts_after(const Probe& probe, const std::vector<Edit>& edits,
                  const std::vector<hive::RegSection>& reg) {
  Facts after = facts_after(probe.facts, probe.hive->work.proven(), edits);
  if (probe.is_generalised) after.setup_unfinished = true;
  ask_hive(probe.hive->work, SystemHive::State::edited, reg, after);
  return after;
}

}  // namespace kvmnet

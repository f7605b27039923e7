// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_child.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "hive/base_block.h"
#include "hive/check.h"
#include "hive/contents.h"
#include "hive/edit.h"
#include "hive/error.h"
#include "hive/file.h"
#include "hive/merge.h"
#include "hive/preload.h"
#include "hive/reg_path.h"
#include "hive/replay.h"
#include "src/apply/hive_facts.h"
#include "src/apply/hive_messages.h"
#include "src/apply/read_reg.h"
#include "src/apply/reg_messages.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

using hive::Condition;
using hive::Source;
using wall::Call;

// The hive, and the logs behind it, among the files of a call.
struct Files {
  int hive = -1;
  std::vector<Source> logs;
};

std::vector<Source> sources_of(std::span<const int> files) {
  std::vector<Source> sources;
  for (const int fd : files) sources.push_back(hive::source_of(fd));
  return sources;
}

Files files_of(const Call& call) {
  if (call.files.empty()) throw Error("no hive was handed over");
  return {call.files.front(), sources_of(call.files.subspan(1))};
}

// The hive, one file that is to be written, and the logs behind them.
struct FilesWithResult {
  Files files;
  int result = -1;
};

FilesWithResult files_with_result(const Call& call) {
  if (call.files.size() < 2) throw Error("there is no file for what is to be written");
  return {{call.files[0], sources_of(call.files.subspan(2))}, call.files[1]};
}

// What is to be replayed into a hive, as far as it can be; says in `facts` what came of it.
std::optional<hive::Replay> plan(const Source& primary, std::span<const Source> logs,
                                 DirtyHive policy, HiveFacts& facts) {
  facts = {Condition::clean, {}, 0, false};
  try {
    try {
      hive::Replay replay = plan_replay(primary, logs);
      facts.replayed = replay.entries;
      return replay;
    } catch (const hive::NotReplayable& e) {
      facts = {Condition::dirty, e.what(), 0, false};
      if (policy == DirtyHive::replay) return std::nullopt;
      hive::Replay replay = hive::plan_without_logs(primary);
      facts = {Condition::clean, {}, 0, true};
      return replay;
    }
  } catch (const hive::Error& e) {
    facts = {Condition::damaged, e.what(), 0, false};
    return std::nullopt;
  }
}

// Makes the hive of a call clean, and its numbers higher than those in all logs: until these are
// made invalid, Windows must not take them for newer.
HiveFacts make_clean(const Files& files, const Cleaning& cleaning) {
  HiveFacts facts;
  const auto logs = std::span(files.logs).first(std::min(cleaning.logs_in_use, files.logs.size()));
  const auto replay = plan(hive::source_of(files.hive), logs, cleaning.policy, facts);
  if (!replay || (facts.replayed == 0 && !facts.logs_given_up)) return facts;
  hive::apply(files.hive, *replay, logs);
  hive::outnumber(files.hive, files.logs);
  return facts;
}

// The file's content now. This process lives for one session, in which a file is mapped once: to
// map one costs as much as to read it.
std::span<const std::byte> mapped(int fd) {
  static std::map<int, hive::MappedFile> files;
  const auto found = files.find(fd);
  if (found != files.end()) {
    if (found->second.bytes().size() == hive::file_size(fd)) return found->second.bytes();
    files.erase(found);
  }
  return files.try_emplace(fd, fd).first->second.bytes();
}

void read_facts(int fd, Facts& facts) {
  read_system(hive::Contents(mapped(fd)), facts);
}

std::string probe(const Call& call) {
  const Files files = files_with_result(call).files;
  Facts facts;
  facts.system = make_clean(files, decode_cleaning(call.message));
  if (facts.system.condition != Condition::clean) return encode(facts);
  try {
    hive::require_sound(mapped(files.hive));
    read_facts(files.hive, facts);
  } catch (const hive::Error& e) {
    facts.system = {Condition::damaged, e.what(), 0, false};
  }
  return encode(facts);
}

std::vector<hive::LogKind> kinds_of(std::span<const Source> logs, const Source& hive) {
  std::vector<hive::LogKind> kinds;
  for (const Source& log : logs) kinds.push_back(kind_of(log, hive));
  return kinds;
}

std::string edit(const Call& call) {
  const auto& [files, result] = files_with_result(call);
  Edited edited;
  edited.logs = kinds_of(files.logs, hive::source_of(files.hive));
  try {
    hive::make_edit(files.hive, result, decode_edits(call.message), files.logs);
  } catch (const hive::UnsupportedEdit& e) {
    edited.unsupported = e.what();
    edited.unsupported_key = e.key();
  } catch (const hive::Unsupported& e) {
    edited.unsupported = e.what();
  }
  return encode(edited);
}

std::string prove(const Call& call) {
  const auto& [files, result] = files_with_result(call);
  hive::prove_edit(mapped(files.hive), mapped(result), decode_edits(call.message));
  Facts facts;
  facts.system.condition = Condition::clean;
  read_facts(result, facts);
  return encode(facts);
}

std::string read_software_hive(const Call& call) {
  const RemoteHive remote = decode_remote(call.message);
  std::vector<Source> sources;
  for (unsigned file = 0; file < remote.sizes.size(); ++file)
    sources.push_back({[read_at = call.read_at, file](std::uint64_t offset, std::size_t size) {
                         return read_at(file, offset, size);
                       },
                       remote.sizes[file]});
  if (sources.empty()) throw Error("no hive was handed over");
  const Source primary = sources.front();
  const std::span logs = std::span(sources).subspan(1);
  SoftwareFacts facts;
  const auto replay = plan(primary, logs, remote.policy, facts.condition);
  if (!replay) return encode(facts);
  try {
    const Source whole = recovered(*replay, primary, logs);
    hive::Reader reader(whole.read_at, whole.size);
    if (reader.base_block().condition != Condition::clean)
      throw hive::Error(reader.base_block().reason);
    read_software(reader, facts);
  } catch (const hive::Error& e) {
    facts = {};
    facts.condition = {Condition::damaged, e.what(), 0, false};
  }
  return encode(facts);
}

std::string check(const Call& call) {
  const Files files = files_of(call);
  HiveCheck check;
  check.condition = make_clean(files, decode_cleaning(call.message));
  const hive::MappedFile file(files.hive);
  check.structure = hive::check(file.bytes());
  if (check.condition.condition == Condition::clean)
    check.logs = kinds_of(files.logs, hive::source_of(files.hive));
  return encode(check);
}

// Makes the hive clean, and looks whether it is sound.
HiveFacts make_usable(const Files& files, const Cleaning& cleaning) {
  HiveFacts facts = make_clean(files, cleaning);
  if (facts.condition != Condition::clean) return facts;
  try {
    hive::require_sound(mapped(files.hive));
  } catch (const hive::Error& e) {
    facts = {Condition::damaged, e.what(), 0, false};
  }
  return facts;
}

void copy_hive(int from, int to) {
  const hive::MappedFile file(from);
  hive::resize_file(to, file.bytes().size());
  hive::write_file(to, 0, file.bytes());
}

// Also a SYSTEM hive that is said to be elsewhere in the registry, as HKLM\OFFLINE, has control
// sets.
bool has_control_sets(const hive::Contents& hive, bool is_system) {
  return is_system || hive.value(hive::KeyPath::parse("Select"), "Default").has_value();
}

hive::Merge plan_merge(int fd, std::vector<hive::RegSection> sections, bool is_system) {
  const hive::MappedFile file(fd);
  const hive::Contents contents(file.bytes());
  if (has_control_sets(contents, is_system))
    for (hive::RegSection& section : sections)
      hive::in_line(section.line, [&] {
        hive::resolve_control_set(contents, section.key);
        hive::refuse_link_of_windows(section.key);
      });
  return hive::merge(hive::Tree(file.bytes()), sections);
}

void make_merge(const Files& files, int result, const hive::Merge& merge) {
  try {
    if (!merge.first.empty()) {
      hive::edit(files.hive, result, merge.first, files.logs);
      if (!merge.second.empty()) copy_hive(result, files.hive);
    }
    if (!merge.second.empty()) hive::edit(files.hive, result, merge.second, files.logs);
  } catch (const hive::UnsupportedEdit& e) {
    throw hive::UnsupportedInLine(e.what(), line_of(merge, e.key()));
  }
}

std::string merge(const Call& call) {
  const auto& [files, result] = files_with_result(call);
  Merging merging = decode_merging(call.message);
  Merged merged;
  merged.condition = make_usable(files, merging.cleaning);
  if (merged.condition.condition != Condition::clean) return encode(merged);
  merged.logs = kinds_of(files.logs, hive::source_of(files.hive));
  try {
    hive::Merge merge = plan_merge(files.hive, std::move(merging.sections), merging.is_system);
    make_merge(files, result, merge);
    merged.count = merge.changes.size();
    merged.changes = std::move(merge.changes);
  } catch (const hive::UnsupportedInLine& e) {
    merged.unsupported = e.what();
    merged.unsupported_line = e.line();
  } catch (const hive::Unsupported& e) {
    merged.unsupported = e.what();
  }
  return encode(merged);
}

std::string answer_reg(int hive, const Call& call) {
  const hive::MappedFile file(hive);
  return encode(read_reg(file.bytes(), decode_reg_question(call.message)));
}

std::string write_reg(const Call& call) {
  const auto& [files, result] = files_with_result(call);
  Exporting exporting = decode_exporting(call.message);
  Exported exported;
  exported.condition = make_usable(files, exporting.cleaning);
  if (exported.condition.condition != Condition::clean) return encode(exported);
  const hive::MappedFile file(files.hive);
  const hive::Tree tree(file.bytes());
  std::string path = fmt::format("{}", fmt::join(exporting.path, "\\"));
  for (const std::string& name : exporting.key) {
    hive::require_fit_for_reg(name, exporting.encoding);
    path += "\\" + name;
  }
  // regedit, too, writes CurrentControlSet where that was asked for.
  const hive::Contents contents(file.bytes());
  if (has_control_sets(contents, hive::is_system_hive(exporting.path)))
    hive::resolve_control_set(contents, exporting.key);
  std::optional<hive::CellOffset> key = tree.root();
  for (const std::string& name : exporting.key)
    if (key) key = hive::find_subkey(tree, *key, name);
  exported.found = key.has_value();
  if (!key) return encode(exported);
  std::uint64_t at = 0;
  exported.left_out =
      hive::export_reg(tree, *key, path, exporting.encoding, [&](std::span<const std::byte> piece) {
        hive::write_file(result, at, piece);
        at += piece.size();
      });
  return encode(exported);
}

std::string read_record(const Call& call) {
  RecordReading reading;
  try {
    reading.record = parse_record(call.message);
  } catch (const NewerRecord& e) {
    reading.damage = e.what();
    reading.is_newer = true;
  } catch (const Error& e) {
    reading.damage = e.what();
  }
  return encode(reading);
}

std::string handle(const Call& call) {
  if (call.operation == hive_operation::probe) return probe(call);
  if (call.operation == hive_operation::edit) return edit(call);
  if (call.operation == hive_operation::prove) return prove(call);
  if (call.operation == hive_operation::software) return read_software_hive(call);
  if (call.operation == hive_operation::check) return check(call);
  if (call.operation == hive_operation::merge) return merge(call);
  if (call.operation == hive_operation::reg)
    return answer_reg(files_with_result(call).files.hive, call);
  if (call.operation == hive_operation::reg_of_edited)
    return answer_reg(files_with_result(call).result, call);
  if (call.operation == hive_operation::write_reg) return write_reg(call);
  if (call.operation == hive_operation::record) return read_record(call);
  throw Error(fmt::format("unknown operation {}", call.operation));
}

}  // namespace

wall::Child hive_child() {
  return {hive::preload_conversions, handle};
}

}  // namespace kvmnet

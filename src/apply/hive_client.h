// SPDX-License-Identifier: GPL-2.0-or-later
// Work on a guest's hives, done behind the wall (src/wall/wall.h). A hive that makes the process
// behind it crash, hang or do what it must not is refused as damaged: everything here throws
// Refused then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/apply/hive_messages.h"
#include "src/apply/reg_messages.h"
#include "src/plan/edit.h"
#include "src/plan/facts.h"
#include "src/plan/reg_input.h"
#include "src/support/fd.h"
#include "src/wall/wall.h"

namespace kvmnet {

// A hive and all of its transaction logs, copies in memory.
struct HiveFiles {
  const Fd& hive;
  std::span<const Fd> logs = {};
  std::size_t logs_in_use = logs.size();  // the first of them: LOG1, LOG2, or the one LOG
};

struct EditedHive {
  Fd file;  // in memory
  std::vector<hive::LogKind> logs;
};

// A SYSTEM hive, and all that a job asks about it. One process answers, because starting one costs
// as much as most answers; after a question that brings it down the next one gets a new process.
//
// That process may have been taken over by the hive, and lie in all that it answers from then on.
// Each lie is one that the guest could as well have in its files: what it answers is about that
// hive and the record beside it, and whoever can make such a hive is the guest's SYSTEM and can
// write a record. What it may do to the files meanwhile it could have put into them before. (Other
// parts of the guest, and what the host has to judge, go to other processes.)
class SystemHive {
 public:
  // The files stay where they are. They may be filled between start() and the first question, with
  // `size` bytes at most together.
  explicit SystemHive(const HiveFiles& files, std::uint64_t size = 0);
  SystemHive(const SystemHive&) = delete;
  SystemHive& operator=(const SystemHive&) = delete;
  ~SystemHive();

  // The process, so that it is ready when it is asked.
  void start() { start(0); }
  // Nobody else has the files any more.
  void end();
  // The process, if there is one, which is not asked any more.
  std::unique_ptr<wall::Session> retire() { return std::move(process_); }

  // The facts that the hive gives. If that goes well, the file is the clean hive afterwards.
  Facts probe(DirtyHive policy);
  // The same in two steps, between which nothing else is asked.
  void begin_probe(DirtyHive policy);
  Facts finish_probe();

  // What the registry edits, and nothing else, make of a hive that probe() has made clean, and that
  // stays as it is. There must be such edits; it is done once. Throws hive::Unsupported for an edit
  // that would damage the hive, and Error. The file is final, but it is of use only if proven().
  // `meanwhile`: what else is to be done, which asks nothing here. If it throws, so does this,
  // unless the edits cannot be made.
  EditedHive edit(
      const std::vector<Edit>& edits, const std::function<void()>& meanwhile = [] {});
  // Waits for the proof, which goes on meanwhile, that the edits have done what they were to do and
  // nothing else, and that the hive is sound. Throws Error if there is none. The facts that the
  // edited hive gives.
  const Facts& proven();

  enum class State { found, edited };  // as probe() and edit() have left it
  RegFacts ask(const RegQuestion& question, State state);

  // The record that an earlier patch has left in the guest, from its text. One that brings down its
  // reader is damaged, too.
  RecordReading read_record(const std::string& text);
  // The same in a process of its own, for a record that others than SYSTEM may have written.
  static RecordReading read_foreign_record(const std::string& text);

 private:
  void start(std::size_t message);
  void begin(std::string_view operation, const std::string& message);
  std::string answer();
  std::string ask(std::string_view operation, const std::string& message);

  const HiveFiles files_;
  const std::uint64_t size_;
  const Fd edited_;
  std::size_t longest_ = 0;  // message that the process is given memory and time for
  std::unique_ptr<wall::Session> process_;
  bool is_proving_ = false;
  std::optional<Facts> edited_facts_;
};

// The SOFTWARE hive and its logs, read where they are: only what is needed is asked for.
struct DistantHive {
  std::vector<std::uint64_t> sizes;  // of the hive and its logs, in bytes
  std::function<std::vector<std::byte>(unsigned file, std::uint64_t offset, std::size_t size)>
      read_at;
};
class SoftwareHive {
 public:
  SoftwareHive();  // starts the process that answers
  SoftwareHive(const SoftwareHive&) = delete;
  SoftwareHive& operator=(const SoftwareHive&) = delete;
  ~SoftwareHive();

  SoftwareFacts probe(const DistantHive& hive, DirtyHive policy);
  std::unique_ptr<wall::Session> retire() { return std::move(process_); }

 private:
  std::vector<std::byte> read_at(unsigned file, std::uint64_t offset, std::size_t size) const;

  const DistantHive* asked_ = nullptr;
  std::unique_ptr<wall::Session> process_;
};

// Any hive, and its structure. If its condition and the structure are good, the file is the clean
// hive afterwards.
HiveCheck check_hive(const HiveFiles& files, DirtyHive policy);

// The place of a key in .reg files.
struct RegKey {
  std::vector<std::string> hive;  // of the hive's root, e.g. HKEY_LOCAL_MACHINE, SYSTEM
  std::vector<std::string> key;   // below it
};

// What .reg files make of any hive. Their keys are below its root, which is `root` of the registry.
// In a SYSTEM hive CurrentControlSet is the control set that boots next.
struct MergedHive {
  Fd file;  // in memory; of no use where nothing changes
  Merged merged;
};
MergedHive merge_into_hive(const HiveFiles& files, DirtyHive policy, RegInput input,
                           const std::vector<std::string>& root);

// A key of any hive with all that is below it, as a .reg file.
struct ExportedKey {
  Fd file;  // in memory
  Exported exported;
};
ExportedKey export_key(const HiveFiles& files, DirtyHive policy, const RegKey& key,
                       hive::RegEncoding encoding);

bool has_registry_edits(const std::vector<Edit>& edits);

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>

#include "hive/error.h"
#include "hive/reg_path.h"
#include "src/apply/hive_child.h"
#include "src/support/error.h"
#include "src/support/overloaded.h"
#include "src/support/refusal.h"
#include "src/wall/wall.h"

namespace kvmnet {
namespace {

Fd duplicate(const Fd& file) {
  Fd other(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!other.is_open()) throw system_error("duplicating a descriptor", errno);
  return other;
}

std::uint64_t size_of(const Fd& file) {
  struct stat st {};
  if (::fstat(file.get(), &st) != 0) throw system_error("reading a file", errno);
  return static_cast<std::uint64_t>(st.st_size);
}

std::uint64_t size_of(const std::vector<const Fd*>& files) {
  std::uint64_t size = 0;
  for (const Fd* file : files) size += size_of(*file);
  return size;
}

// The work needs the hive a few times over: as it was, as it is, and in hivex; and the message as
// parsed, as sorted, and in the answer.
wall::Limits limits_for(std::uint64_t files, std::uint64_t message) {
  constexpr std::uint64_t times = 6;
  constexpr std::uint64_t times_of_message = 32;
  constexpr std::uint64_t per_second = 1 << 16;  // of a message, at the least
  wall::Limits limits;
  limits.memory += times * files;
  limits.memory += times_of_message * message;
  const std::chrono::seconds more(message / per_second);
  limits.cpu += more;
  limits.time += more;
  return limits;
}

// What brings the child down where it merges .reg files may be theirs as well as the hive's.
Refusal refusal(const wall::Breach& breach, std::string_view reg_files) {
  if (reg_files.empty() || breach.how() != wall::Breach::How::limit)
    return {Reason::damaged_hive,
            fmt::format("{}: {}", wall::describe(breach.how(), "hive"), breach.what())};
  return {Reason::hive_not_editable,
          fmt::format("{}: to merge them into this hive takes more than kvmnet gives: {}; merge "
                      "fewer or smaller files at once",
                      reg_files, breach.what())};
}

wall::Request request_for(std::string_view operation, std::string message,
                          std::vector<const Fd*> files) {
  wall::Request request;
  request.operation = operation;
  request.limits = limits_for(size_of(files), message.size());
  request.message = std::move(message);
  request.files = std::move(files);
  return request;
}

// `reg_files`: those that the question comes from, for people.
template <typename Ask>
auto or_refuse(const Ask& ask, std::string_view reg_files = {}) {
  try {
    return ask();
  } catch (const wall::Breach& e) {
    throw Refused{refusal(e, reg_files)};
  }
}

std::string answer_to(const wall::Request& request, std::string_view reg_files = {}) {
  return or_refuse([&] { return wall::call(request); }, reg_files);
}

std::string call(std::string_view operation, std::string message, std::vector<const Fd*> files) {
  return answer_to(request_for(operation, std::move(message), std::move(files)));
}

std::vector<const Fd*> pointers(const HiveFiles& files) {
  std::vector<const Fd*> all = {&files.hive};
  for (const Fd& log : files.logs) all.push_back(&log);
  return all;
}

std::string cleaning(const HiveFiles& files, DirtyHive policy) {
  return encode(Cleaning{policy, files.logs_in_use});
}

std::vector<hive::LogKind> checked(std::vector<hive::LogKind> kinds, const HiveFiles& files) {
  if (kinds.size() != files.logs.size()) throw Error("not every log was looked at");
  return kinds;
}

// All edits of a key go into one: hivex rewrites its values each time.
std::vector<hive::KeyEdit> by_key(const std::vector<Edit>& edits) {
  std::vector<hive::KeyEdit> keys;
  const auto of = [&keys](const hive::KeyPath& key) -> hive::KeyEdit& {
    const auto found = std::find_if(keys.begin(), keys.end(),
                                    [&](const hive::KeyEdit& k) { return k.key == key; });
    return found != keys.end() ? *found : keys.emplace_back(hive::KeyEdit{key, {}});
  };
  for (const Edit& edit : edits)
    std::visit(
        Overloaded{[&of](const SetValue& e) {
                     of(e.key).set.push_back({e.name, e.value});
                   },
                   [&of](const DeleteValue& e) { of(e.key).remove.push_back(e.name); },
                   [&of](const CreateKey& e) { of(e.key); },
                   [&of](const DeleteKey& e) { of(e.key).remove_key = true; }, [](const auto&) {}},
        edit);
  return keys;
}

// The first edit in that key, and why it is made: what .reg files want has their line there.
std::string with_edit(const std::vector<Edit>& edits, const hive::KeyPath& key,
                      const std::string& what) {
  const auto is_in_key = [&key](const auto& edit) { return edit.key == key; };
  for (const Edit& edit : edits)
    if (std::visit(Overloaded{[&](const SetValue& e) { return is_in_key(e); },
                              [&](const DeleteValue& e) { return is_in_key(e); },
                              [&](const CreateKey& e) { return is_in_key(e); },
                              [&](const DeleteKey& e) { return is_in_key(e); },
                              [](const auto&) { return false; }},
                   edit)) {
      const EditText text = describe(edit);
      return fmt::format("{} ({}): {}", text.target, text.why, what);
    }
  return what;
}

template <typename Ask>
RecordReading record_from(const Ask& ask) {
  try {
    return decode_record(ask());
  } catch (const wall::Breach& e) {
    return {std::nullopt, fmt::format("it brings down the process that reads it: {}", e.what()),
            false};
  }
}

std::exception_ptr error_of(const std::function<void()>& work) {
  try {
    work();
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

SystemHive::SystemHive(const HiveFiles& files, std::uint64_t size)
    : files_(files), size_(size), edited_(make_memory_file("edited hive")) {}

SystemHive::~SystemHive() = default;

void SystemHive::start(std::size_t message) {
  constexpr std::size_t usual = 1 << 20;
  longest_ = std::max(usual, message);
  wall::Means means;
  means.files = pointers(files_);
  means.limits = limits_for(std::max(size_, size_of(means.files)), longest_);
  means.files.insert(means.files.begin() + 1, &edited_);
  process_ = std::make_unique<wall::Session>(std::move(means));
}

void SystemHive::end() {
  process_.reset();
}

void SystemHive::begin(std::string_view operation, const std::string& message) {
  if (is_proving_) proven();
  if (!process_ || message.size() > longest_) start(message.size());
  process_->begin(operation, message);
}

std::string SystemHive::answer() {
  try {
    return process_->answer();
  } catch (const wall::Breach&) {
    end();
    throw;
  }
}

std::string SystemHive::ask(std::string_view operation, const std::string& message) {
  begin(operation, message);
  return answer();
}

void SystemHive::begin_probe(DirtyHive policy) {
  or_refuse([&] { begin(hive_operation::probe, cleaning(files_, policy)); });
}

Facts SystemHive::finish_probe() {
  return decode_facts(or_refuse([&] { return answer(); }));
}

Facts SystemHive::probe(DirtyHive policy) {
  begin_probe(policy);
  return finish_probe();
}

EditedHive SystemHive::edit(const std::vector<Edit>& edits,
                            const std::function<void()>& meanwhile) {
  const std::string message = encode(by_key(edits));
  or_refuse([&] { begin(hive_operation::edit, message); });
  const std::exception_ptr error = error_of(meanwhile);
  Edited edited = decode_edited(or_refuse([&] { return answer(); }));
  if (!edited.unsupported.empty())
    throw hive::Unsupported(with_edit(edits, edited.unsupported_key, edited.unsupported));
  if (error) std::rethrow_exception(error);
  or_refuse([&] { begin(hive_operation::prove, message); });
  is_proving_ = true;
  return {duplicate(edited_), checked(std::move(edited.logs), files_)};
}

const Facts& SystemHive::proven() {
  if (std::exchange(is_proving_, false))
    edited_facts_ = decode_facts(or_refuse([&] { return answer(); }));
  if (!edited_facts_) throw Error("there is no proof that the edited hive is sound");
  return *edited_facts_;
}

RegFacts SystemHive::ask(const RegQuestion& question, State state) {
  const std::string_view reg_files = question.sections.empty() ? "" : "the files of --reg";
  return or_refuse(
      [&] {
        const bool edited = state == State::edited;
        return decode_reg_facts(
            ask(edited ? hive_operation::reg_of_edited : hive_operation::reg, encode(question)),
            question);
      },
      reg_files);
}

RecordReading SystemHive::read_record(const std::string& text) {
  return record_from([&] { return ask(hive_operation::record, text); });
}

RecordReading SystemHive::read_foreign_record(const std::string& text) {
  return record_from([&] { return wall::call(request_for(hive_operation::record, text, {})); });
}

// A patch asks twice.
SoftwareHive::SoftwareHive() {
  wall::Means means;
  means.limits.read *= 2;
  means.limits.cpu *= 2;
  means.read_at = [this](unsigned file, std::uint64_t offset, std::size_t size) {
    return read_at(file, offset, size);
  };
  process_ = std::make_unique<wall::Session>(std::move(means));
}

SoftwareHive::~SoftwareHive() = default;

std::vector<std::byte> SoftwareHive::read_at(unsigned file, std::uint64_t offset,
                                             std::size_t size) const {
  if (asked_ == nullptr || file >= asked_->sizes.size())
    throw Error("the process that reads the hive asks for what there is not");
  if (offset >= asked_->sizes[file]) return {};
  return asked_->read_at(file, offset, size);
}

SoftwareFacts SoftwareHive::probe(const DistantHive& hive, DirtyHive policy) {
  asked_ = &hive;
  const std::string answer = or_refuse([&] {
    return process_->ask(hive_operation::software, encode(RemoteHive{policy, hive.sizes}));
  });
  asked_ = nullptr;
  return decode_software(answer);
}

HiveCheck check_hive(const HiveFiles& files, DirtyHive policy) {
  HiveCheck check =
      decode_check(call(hive_operation::check, cleaning(files, policy), pointers(files)));
  if (check.condition.condition == hive::Condition::clean)
    check.logs = checked(std::move(check.logs), files);
  return check;
}

MergedHive merge_into_hive(const HiveFiles& files, DirtyHive policy, RegInput input,
                           const std::vector<std::string>& root) {
  MergedHive result = {make_memory_file("merged hive"), {}};
  std::vector<const Fd*> all = pointers(files);
  all.insert(all.begin() + 1, &result.file);
  const Merging merging = {
      {policy, files.logs_in_use}, hive::is_system_hive(root), input.take_sections()};
  result.merged = decode_merged(
      answer_to(request_for(hive_operation::merge, encode(merging), std::move(all)), input.names()),
      merging.sections);
  if (result.merged.condition.condition == hive::Condition::clean)
    result.merged.logs = checked(std::move(result.merged.logs), files);
  return result;
}

ExportedKey export_key(const HiveFiles& files, DirtyHive policy, const RegKey& key,
                       hive::RegEncoding encoding) {
  ExportedKey result = {make_memory_file("key"), {}};
  std::vector<const Fd*> all = pointers(files);
  all.insert(all.begin() + 1, &result.file);
  const Exporting exporting = {{policy, files.logs_in_use}, key.key, key.hive, encoding};
  result.exported =
      decode_exported(call(hive_operation::write_reg, encode(exporting), std::move(all)));
  return result;
}

bool has_registry_edits(const std::vector<Edit>& edits) {
  return std::any_of(edits.begin(), edits.end(), is_registry_edit);
}

}  // namespace kvmnet

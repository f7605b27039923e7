// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/reg_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "hive/code_page.h"
#include "hive/error.h"
#include "hive/key_path.h"
#include "hive/reg_path.h"
#include "src/apply/bare_hive.h"
#include "src/apply/hive_client.h"
#include "src/apply/hive_lock.h"
#include "src/apply/job.h"
#include "src/plan/plan.h"
#include "src/support/error.h"

namespace kvmnet {
namespace {

constexpr std::size_t largest_reg_file = 512 << 20;

// Microsoft, "Registry Hives": the files that are loaded at these places. Which user's NTUSER.DAT
// is, or UsrClass.dat, its name does not say: it is the one whose files they are.
struct KnownHive {
  std::string_view file;
  std::string_view path;
};
constexpr std::array known_hives = {
    KnownHive{"SYSTEM", "HKLM\\SYSTEM"},
    KnownHive{"SOFTWARE", "HKLM\\SOFTWARE"},
    KnownHive{"SAM", "HKLM\\SAM"},
    KnownHive{"SECURITY", "HKLM\\SECURITY"},
    KnownHive{"DEFAULT", "HKU\\.DEFAULT"},
    KnownHive{"NTUSER", "HKCU"},
    KnownHive{"UsrClass", "HKCU\\Software\\Classes"},
};

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& name : path) text += (text.empty() ? "" : "\\") + name;
  return text;
}

Edit edit_of(hive::Change change, const RegInput& files) {
  using What = hive::Change::What;
  std::string why = files.place(change.line);
  switch (change.what) {
    case What::set_value:
      return SetValue{std::move(change.key), std::move(change.name), std::move(change.old),
                      std::move(change.value).value(), std::move(why)};
    case What::delete_value:
      return DeleteValue{std::move(change.key), std::move(change.name),
                         std::move(change.old).value(), std::move(why)};
    case What::create_key:
      return CreateKey{std::move(change.key), std::move(why)};
    case What::delete_key:
      break;
  }
  return DeleteKey{std::move(change.key), std::move(why)};
}

void check(const HiveFacts& condition, const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  if (auto refusal = check_condition(condition, name)) throw Refused{*refusal};
}

void import(const std::string& path, RegInput files, const RegRequest& request, Outcome& outcome) {
  BareHive hive(path, request.logs, use_for(request.mode));
  MergedHive result = merge_into_hive(hive.in_memory(), request.dirty_hive, files, request.root);
  check(result.merged.condition, path);
  if (!result.merged.unsupported.empty())
    throw hive::Unsupported(
        files.place_before(result.merged.unsupported_line, result.merged.unsupported));
  for (hive::Change& change : result.merged.changes)
    outcome.edits.push_back(edit_of(std::move(change), files));
  if (result.merged.count > outcome.edits.size())
    outcome.warnings.push_back(
        fmt::format("{} more changes are not listed", result.merged.count - outcome.edits.size()));
  outcome.status = outcome.edits.empty() ? Status::unchanged : Status::pending;
  if (outcome.edits.empty()) {
    if (request.mode == Mode::patch) hive.finish_interrupted(result.merged.condition);
    return;
  }
  if (request.mode == Mode::plan) {
    if (const std::string why = hive.why_not_replaceable(); !why.empty())
      outcome.warnings.push_back("import will fail: " + why);
    return;
  }
  hive.begin_replacing();
  hive.replace(result.file, result.merged.logs);
  outcome.status = Status::patched;
}

std::string read_piece(const Fd& fd, const std::string& path, std::size_t size) {
  try {
    return read_text(fd, size);
  } catch (const Error& e) {
    throw Error(path + ": " + e.what());
  }
}

// Also of a pipe, which does not say how much there is.
std::vector<std::byte> read_reg_file(const std::string& path) {
  constexpr std::size_t piece = 1 << 20;
  const Fd fd = open_file(path, O_RDONLY);
  std::vector<std::byte> bytes;
  while (true) {
    const std::string next = read_piece(fd, path, piece);
    const auto read = std::as_bytes(std::span(next));
    bytes.insert(bytes.end(), read.begin(), read.end());
    if (bytes.size() > largest_reg_file)
      throw Error(path + ": larger than 512 MiB, more than kvmnet takes into memory");
    if (next.size() < piece) return bytes;
  }
}

// As in .reg files there may be a backslash at the end.
RegKey parse_key(std::string_view text, const std::vector<std::string>& root) {
  RegKey key = {root, {}};
  if (text.empty()) return key;
  if (text.ends_with('\\')) text.remove_suffix(1);
  key.key = hive::KeyPath::parse(text).elements();
  std::vector<hive::RegSection> section(1);
  constexpr std::string_view any_root = "HKEY_";
  const std::string& first = key.key.front();
  if (hive::is_root(first) || hive::same_name(first.substr(0, any_root.size()), any_root)) {
    section.front().key = key.key;
    key.key = hive::below(root, std::move(section)).front().key;
  }
  return key;
}

RegKey key_of(const std::string& text, const std::vector<std::string>& root) {
  try {
    return parse_key(text, root);
  } catch (const hive::Error& e) {
    throw UsageError(fmt::format("key '{}': {}", hive::escaped(text), e.what()));
  }
}

}  // namespace

std::vector<std::string> registry_path(const std::string& hive_file, const std::string& given) {
  try {
    if (!given.empty()) return hive::parse_reg_path(given);
  } catch (const hive::Error& e) {
    throw UsageError(fmt::format("--prefix {}", e.what()));
  }
  const std::string name = std::filesystem::path(hive_file).filename().string();
  for (const KnownHive& known : known_hives)
    if (hive::same_name(name.substr(0, name.find('.')), known.file))
      return hive::parse_reg_path(known.path);
  throw UsageError(fmt::format(
      "{}: its name does not say where it is in the registry: give --prefix, e.g. 'HKLM\\SYSTEM'",
      hive_file));
}

RegInput read_reg_files(const std::vector<std::string>& files, std::optional<unsigned> code_page,
                        const std::vector<std::string>& root) {
  RegInput input;
  try {
    if (code_page) hive::CodePage{*code_page};
  } catch (const hive::Error& e) {
    throw UsageError(fmt::format("--code-page {}: {}", *code_page, e.what()));
  }
  try {
    for (const std::string& file : files) input.add(file, read_reg_file(file), code_page, root);
  } catch (const std::exception& e) {
    throw UsageError(hive::escaped(e.what()));  // with the file's name
  }
  return input;
}

Outcome import_reg_files(const std::string& path, RegInput files, const RegRequest& request) {
  return run_job(path, [&](Outcome& outcome) {
    outcome.registry_root = joined(request.root);
    import(path, std::move(files), request, outcome);
  });
}

Outcome export_reg_file(const std::string& path, const std::string& key, hive::RegEncoding encoding,
                        const Fd& to, const RegRequest& request) {
  const RegKey asked = key_of(key, request.root);
  return run_job(path, [&](Outcome& outcome) {
    const BareHive hive(path, request.logs, disk::Use::read);
    ExportedKey result = export_key(hive.in_memory(), request.dirty_hive, asked, encoding);
    check(result.exported.condition, path);
    if (!result.exported.found)
      throw Error(fmt::format("{}: there is no key {}", path, hive::escaped(key)));
    outcome.warnings = std::move(result.exported.left_out);
    copy_whole(result.file, to);
    outcome.status = Status::reported;
  });
}

}  // namespace kvmnet

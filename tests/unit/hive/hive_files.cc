// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/hive/hive_files.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "src/support/fd.h"
#include "src/support/subprocess.h"
#include "src/support/temp_dir.h"
#include "tests/support/minimal_hive.h"

namespace kvmnet::test {
namespace {

// "nt61.system" -> HKEY_LOCAL_MACHINE\SYSTEM
std::string prefix_of(const std::string& name) {
  const std::string kind = name.substr(name.rfind('.') + 1);
  return kind == "system" ? R"(HKEY_LOCAL_MACHINE\SYSTEM)" : R"(HKEY_LOCAL_MACHINE\SOFTWARE)";
}

Bytes built(const std::string& name) {
  const TempDir directory;
  const std::string path = directory.path() + "/hive";
  std::vector<std::string> words = {KVMNET_HIVE_TOOL, "build", path, prefix_of(name)};
  std::istringstream texts(name);
  for (std::string text; std::getline(texts, text, '+');)
    words.push_back(KVMNET_FIXTURES "/hives/" + text + ".reg");
  run_checked(words);
  return read_file(path);
}

}  // namespace

Bytes read_file(const std::string& path) {
  return read_whole(open_file(path, O_RDONLY));
}

void write_file(const std::string& path, const Bytes& bytes) {
  write_whole(open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), bytes);
}

const Bytes& fixture_hive(const std::string& name) {
  static std::map<std::string, Bytes> hives;
  auto found = hives.find(name);
  if (found == hives.end()) found = hives.emplace(name, built(name)).first;
  return found->second;
}

std::string fixture_file(const std::string& directory, const std::string& name) {
  std::string path = directory + "/" + name;
  write_file(path, fixture_hive(name));
  return path;
}

Bytes with_clean_header(Bytes hive) {
  const std::uint32_t primary = load_u32(hive, 4);
  set_sequence_numbers(hive, primary, primary);
  return hive;
}

Bytes with_dirty_header(Bytes hive) {
  const std::uint32_t primary = load_u32(hive, 4);
  set_sequence_numbers(hive, primary, primary - 1);
  return hive;
}

void merge(const std::string& hive_file, const std::string& reg) {
  const TempDir directory;
  const std::string text = directory.path() + "/text.reg";
  write_whole(open_file(text, O_WRONLY | O_CREAT, 0600),
              "Windows Registry Editor Version 5.00\n\n" + reg);
  run_checked({"hivexregedit", "--merge", hive_file, text});
}

std::vector<std::string> listing_with_times(const std::string& hive_file) {
  // By way of a file: run() keeps 64 KiB, and the list of a real hive has megabytes.
  const TempDir directory;
  const std::string list = directory.path() + "/list";
  run_checked({"sh", "-c", "exec reglookup -H \"$1\" > \"$2\"", "sh", hive_file, list});
  std::ifstream text(list);
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<std::string> listing(const std::string& hive_file) {
  std::vector<std::string> lines = listing_with_times(hive_file);
  for (std::string& line : lines) line.resize(line.rfind(','));
  std::sort(lines.begin(), lines.end());
  return lines;
}

std::vector<std::string> lines_added(const std::vector<std::string>& a,
                                     const std::vector<std::string>& b) {
  std::vector<std::string> added;
  std::set_difference(b.begin(), b.end(), a.begin(), a.end(), std::back_inserter(added));
  return added;
}

std::optional<std::string> real_hives() {
  const char* directory = std::getenv("KVMNET_TEST_HIVES");
  if (directory == nullptr || *directory == '\0') return std::nullopt;
  return directory;
}

Bytes real_hive(const std::string& name) {
  const TempDir directory;
  const std::string path = directory.path() + "/hive.xz";
  const std::string source = real_hives().value() + "/" + name + ".xz";
  // xz writes beside its input and keeps to the name.
  run_checked({"cp", "--", source, path});
  run_checked({"xz", "-d", path});
  return read_file(directory.path() + "/hive");
}

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
// hive-tool: makes the registry hives of the sample images.
//   build OUT PREFIX [REG...]  a hive from .reg texts, by way of hivexregedit. A text may name
//                              others to be merged before it: "; needs: common.system.reg ..."
//   clean-header IN OUT        a copy of a dirty hive that looks cleanly closed
//   dirty-header IN OUT        a copy of a hive that looks as if it had not been closed
//   record-logs IN OUT [REG]   what Windows 8.1 and later leave when they do not close the hive IN:
//   a
//                              dirty OUT, OUT.LOG1 and OUT.LOG2; what REG says is in LOG1 only
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "tests/support/log_writer.h"
#include "tests/support/minimal_hive.h"

namespace {

namespace fs = std::filesystem;
using kvmnet::test::load_u32;
using kvmnet::test::set_sequence_numbers;

constexpr std::size_t primary_offset = 4;

std::vector<std::byte> read_hive(const fs::path& path) {
  std::vector<std::byte> hive(fs::file_size(path));
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(hive.data()), static_cast<std::streamsize>(hive.size()));
  constexpr std::uint32_t regf = 0x66676572;
  if (!in || hive.size() < 4096 || load_u32(hive, 0) != regf) {
    throw std::runtime_error(path.string() + ": not a readable hive");
  }
  return hive;
}

void write_hive(const fs::path& path, const std::vector<std::byte>& hive) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(hive.data()), static_cast<std::streamsize>(hive.size()));
  out.close();
  if (!out) throw std::runtime_error(path.string() + ": cannot be written");
}

// Appends `reg` to `order` behind everything that its "; needs:" lines name, each text once.
void add_with_needs(const fs::path& reg, std::vector<std::string>& order) {
  if (std::find(order.begin(), order.end(), reg.string()) != order.end()) return;
  std::ifstream in(reg);
  if (!in) throw std::runtime_error(reg.string() + ": cannot be read");
  constexpr std::string_view keyword = "; needs:";
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(keyword)) continue;
    std::istringstream names(line.substr(keyword.size()));
    for (std::string name; names >> name;) add_with_needs(reg.parent_path() / name, order);
  }
  order.push_back(reg.string());
}

void run(std::vector<std::string> words) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    execvp(argv.front(), argv.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error(words.front() + " failed");
  }
}

void build(const fs::path& out, const std::string& prefix, const std::vector<std::string>& regs) {
  std::vector<std::string> words = {"hivexregedit", "--merge", "--prefix", prefix, out.string()};
  std::vector<std::string> ordered;
  for (const std::string& reg : regs) add_with_needs(reg, ordered);
  words.insert(words.end(), ordered.begin(), ordered.end());
  write_hive(out, kvmnet::test::minimal_hive());
  if (!ordered.empty()) run(std::move(words));
}

void clean_header(const fs::path& in, const fs::path& out) {
  std::vector<std::byte> hive = read_hive(in);
  const std::uint32_t primary = load_u32(hive, primary_offset);
  set_sequence_numbers(hive, primary, primary);
  write_hive(out, hive);
  std::cerr << "hive-tool: " << out.string()
            << ": a test copy whose header was made clean; changes that are only in the "
               "transaction logs are not in it\n";
}

void dirty_header(const fs::path& in, const fs::path& out) {
  std::vector<std::byte> hive = read_hive(in);
  const std::uint32_t primary = load_u32(hive, primary_offset);
  set_sequence_numbers(hive, primary, primary - 1);
  write_hive(out, hive);
}

void record_logs(const fs::path& in, const fs::path& out, const std::string& reg) {
  const std::vector<std::byte> before = read_hive(in);
  write_hive(out, before);
  if (!reg.empty()) {
    run({"hivexregedit", "--merge", out.string(), reg});
  } else {
    std::vector<std::byte> same = before;  // a page that is logged and not changed will do
    same[4096 + 20] ^= std::byte{1};
    write_hive(out, same);
  }
  kvmnet::test::HvleRecorder recorder(before);
  recorder.commit(read_hive(out));
  write_hive(out, recorder.files().primary);
  for (std::size_t i = 0; i < 2; ++i)
    write_hive(fs::path(out.string() + ".LOG" + std::to_string(i + 1)), recorder.files().logs[i]);
}

int usage() {
  std::cerr << "usage: hive-tool build OUT PREFIX [REG...]\n"
               "       hive-tool clean-header|dirty-header IN OUT\n"
               "       hive-tool record-logs IN OUT [REG]\n";
  return 2;
}

int dispatch(const std::vector<std::string>& words) {
  if (words.size() >= 3 && words[0] == "build") {
    build(words[1], words[2], {words.begin() + 3, words.end()});
  } else if (words.size() == 3 && words[0] == "clean-header") {
    clean_header(words[1], words[2]);
  } else if (words.size() == 3 && words[0] == "dirty-header") {
    dirty_header(words[1], words[2]);
  } else if ((words.size() == 3 || words.size() == 4) && words[0] == "record-logs") {
    record_logs(words[1], words[2], words.size() == 4 ? words[3] : "");
  } else {
    return usage();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return dispatch({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    std::cerr << "hive-tool: " << e.what() << '\n';
    return 1;
  }
}

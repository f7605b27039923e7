// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/firstboot/machine.h"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "src/support/error.h"

namespace kvmnet::test {
namespace {

namespace fs = std::filesystem;

std::string read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void write_text(const std::string& file, std::string_view text) {
  fs::create_directories(fs::path(file).parent_path());
  fs::remove(file);  // it may be a link to a file of Wine's
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw Error(file + ": cannot be written");
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

std::string replace_all(std::string text, std::string_view what, std::string_view by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at))
    text.replace(at, what.size(), by), at += by.size();
  return text;
}

// A line of a registry file.
std::string expand_sz(std::string_view name, std::string_view text) {
  std::string line = fmt::format("\"{}\"=hex(2):", name);
  for (const char c : text) line += fmt::format("{:02x},00,", c);
  return line + "00,00\n";
}

constexpr std::string_view tcp = "interface tcp ";
constexpr std::string_view setup_complete = R"(C:\windows\Setup\Scripts\SetupComplete.cmd)";
constexpr std::string_view other_root = R"(C:\other-root.cmd)";

}  // namespace

Machine::Machine(const PatchedGuest& guest, std::string_view played, std::string_view root)
    : root_(root), played_(played) {
  install_system32();
  for (const auto& [path, content] : guest.files) write_text(host_file(path), content);
  install_service(guest);
}

void Machine::install_system32() const {
  if (!is_own_root()) {
    for (const char* program : {"cmd.exe", "find.exe", "ping.exe", "reg.exe", "sc.exe"}) {
      const std::string own = wine_.host_path(R"(C:\windows\system32\)") + program;
      fs::create_directories(fs::path(system32(program)).parent_path());
      fs::copy(own, system32(program));
    }
  }
  write_text(system32("netsh.exe"), read_text(KVMNET_NETSH_RECORDER));
  write_text(system32("netsh.rules"), read_text(KVMNET_NETSH_RULES));
  write_text(system32("netsh.version"), played_);
}

void Machine::install_service(const PatchedGuest& guest) {
  std::string values = exported_service(guest.system_hive, std::string(service));
  if (root_ != R"(C:\windows)") {
    write_text(wine_.host_path(other_root),
               fmt::format("@echo off\r\nset \"SystemRoot={}\"\r\ncall %1\r\n", root_));
    const std::string expanded = replace_all(image_path(values), "%SystemRoot%", root_);
    const std::string script = fmt::format(" /d /c {}\\kvmnet\\firstboot.cmd", root_);
    values += expand_sz(
        "ImagePath",
        replace_all(expanded, script, fmt::format(" /d /c {} {}", other_root, script.substr(7))));
  }
  wine_.add_to_registry(fmt::format("System\\CurrentControlSet\\Services\\{}", service), values);
}

void Machine::netsh_has_set(std::string_view command) const {
  const std::string log = system32("netsh.log");
  write_text(log, read_text(log) + fmt::format("0\t{}{}\n", tcp, command));
}

void Machine::change_to(const PatchedGuest& guest) {
  fs::remove_all(host_file("kvmnet"));
  for (const auto& [path, content] : guest.files) write_text(host_file(path), content);
  install_service(guest);
}

std::map<std::string, std::string> Machine::our_files() const {
  std::map<std::string, std::string> files;
  for (const auto& file : fs::directory_iterator(host_file("kvmnet")))
    files[fmt::format("kvmnet/{}", file.path().filename().string())] = read_text(file.path());
  return files;
}

bool Machine::is_own_root() const {
  return ::strcasecmp(root_.c_str(), R"(C:\windows)") == 0;
}

std::string Machine::host_file(std::string_view path) const {
  return fmt::format("{}/{}", wine_.host_path(is_own_root() ? R"(C:\windows)" : root_), path);
}

std::string Machine::system32(std::string_view file) const {
  return host_file(fmt::format("{}/{}", is_own_root() ? "system32" : "System32", file));
}

std::size_t Machine::hanging() const {
  std::size_t count = 0;
  for (const auto& file : fs::directory_iterator(system32("")))
    if (file.path().extension() == ".log")
      for (const std::string& line : lines_of(read_text(file.path())))
        if (line.starts_with("hang\t")) ++count;
  return count;
}

void Machine::boot_and_lose_power() {
  wine_.boot_until([this, before = hanging()] { return hanging() > before; });
}

void Machine::boot_and_lose_power_when(const std::function<bool()>& moment) {
  wine_.boot_until(moment);
}

void Machine::boot_to_the_end_of_setup() {
  wine_.boot_and_run(setup_complete);
}

void Machine::end_setup_and_lose_power_when(const std::function<bool()>& moment) {
  wine_.run_until(setup_complete, moment);
}

void Machine::play(std::string_view lines) const {
  write_text(system32("netsh.play"), lines);
}

void Machine::stand_in(std::string_view program, std::string_view lines) const {
  const std::string exe = system32(program);
  fs::rename(exe, exe + ".own");
  write_text(exe, read_text(KVMNET_NETSH_RECORDER));
  write_text(fs::path(exe).replace_extension(".play"), lines);
}

void Machine::put_back(std::string_view program) const {
  const std::string exe = system32(program);
  fs::rename(exe + ".own", exe);
}

std::vector<std::string> Machine::calls_of(std::string_view program) const {
  const std::string log = fs::path(system32(program)).replace_extension(".log");
  std::vector<std::string> calls = lines_of(read_text(log));
  for (std::string& call : calls) call = replace_all(call, "\t", " ");
  return calls;
}

void Machine::remove_netsh() const {
  fs::remove(system32("netsh.exe"));
}

std::vector<std::string> Machine::sets() const {
  std::vector<std::string> found;
  for (std::string line : lines_of(read_text(system32("netsh.log")))) {
    if (line.find(" show ") != std::string::npos || line.ends_with(" dump")) continue;
    line = replace_all(line, "\t", " ");
    found.push_back(replace_all(line, tcp, ""));
  }
  return found;
}

std::size_t Machine::commands() const {
  return lines_of(read_text(system32("netsh.log"))).size();
}

std::vector<std::string> Machine::last_shows() const {
  std::vector<std::string> found;
  for (std::string line : lines_of(read_text(system32("netsh.log")))) {
    line = replace_all(replace_all(line, "\t", " "), tcp, "");
    if (line.find(" show ") == std::string::npos)
      found.clear();
    else
      found.push_back(replace_all(line, "show ", ""));
  }
  return found;
}

// The one place that knows the form of the file.
FirstBootResult Machine::result() const {
  FirstBootResult result;
  for (const std::string& line : lines_of(read_text(host_file("kvmnet/firstboot.result")))) {
    std::istringstream words(line);
    std::string duty;
    std::string code;
    std::string command;
    words >> duty;
    if (duty == "status") words >> result.status;
    if (duty == "work") {
      words >> code >> std::ws;  // its id
      std::getline(words, command);
      result.work.push_back(command);
    }
    if (duty != "mandatory" && duty != "soft") continue;
    words >> code >> std::ws;
    std::getline(words, command);
    result.commands.push_back(code + " " + replace_all(command, fmt::format("netsh {}", tcp), ""));
  }
  return result;
}

std::string Machine::text_of_file(std::string_view windows_path) const {
  return read_text(wine_.host_path(windows_path));
}

std::string Machine::log() const {
  return read_text(host_file("kvmnet/firstboot.log"));
}

std::vector<std::string> Machine::before() const {
  return lines_of(read_text(host_file("kvmnet/firstboot-before.txt")));
}

bool Machine::has_service() const {
  return wine_.has_key(fmt::format("System\\CurrentControlSet\\Services\\{}", service));
}

bool Machine::has_script() const {
  return fs::exists(host_file("kvmnet/firstboot.cmd"));
}

std::string Machine::record() const {
  return read_text(host_file(std::string("kvmnet/") + patch_record));
}

std::vector<std::string> Machine::files() const {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(host_file("kvmnet")))
    if (file.path().filename() != patch_record) names.push_back(file.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace kvmnet::test

// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/firstboot/wine_prefix.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/subprocess.h"

namespace kvmnet::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* wine = "/usr/lib/wine/wine64";
constexpr const char* wineserver = "/usr/lib/wine/wineserver64";
using Clock = std::chrono::steady_clock;
constexpr const char* over = R"(C:\boot-is-over)";  // the last of all services makes it
constexpr auto longest_boot = 120s;  // a boot takes two seconds; the script itself may wait for one

// Nothing of our own environment.
std::vector<std::string> environment(const std::string& directory) {
  return {"PATH=/usr/bin:/bin",
          "HOME=" + directory,
          "WINEPREFIX=" + directory + "/prefix",
          "WINEARCH=win64",
          "WINEDLLOVERRIDES=mscoree=;mshtml=;winemenubuilder.exe=",
          "WINEDEBUG=-all",
          fmt::format("WINESERVER={}", wineserver),
          "LC_ALL=C.UTF-8",
          "TZ=UTC"};
}

// Its output goes to a file: what it leaves running in the background would keep a pipe open.
pid_t start_in(const std::string& directory, const std::vector<std::string>& command,
               const Fd& input = open_file("/dev/null", O_RDONLY)) {
  const Fd log = open_file(directory + "/wine.log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  return start({command, environment(directory), {input.get(), log.get(), log.get()}});
}

// False: it did not end in time, and was killed.
bool ends_before(pid_t pid, Clock::time_point deadline) {
  while (Clock::now() < deadline) {
    if (::waitpid(pid, nullptr, WNOHANG) == pid) return true;
    std::this_thread::sleep_for(10ms);
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return false;
}

void run_in(const std::string& directory, const std::vector<std::string>& command) {
  if (!ends_before(start_in(directory, command), Clock::now() + longest_boot))
    throw Error(command.front() + " does not end");
}

void append(const std::string& file, std::string_view text) {
  std::ofstream out(file, std::ios::app | std::ios::binary);
  out << text;
  out.close();
  if (!out) throw Error(file + ": cannot be written");
}

// As Wine's registry files spell it: [System\\Setup].
std::string section(std::string_view key) {
  std::string text = "[";
  for (const char c : key) text += c == '\\' ? std::string("\\\\") : std::string(1, c);
  return text + "]";
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// The processes of the prefix: Wine's own programs and what they run.
std::vector<pid_t> processes(const std::string& directory) {
  const std::string mark = "WINEPREFIX=" + directory + "/prefix";
  std::vector<pid_t> found;
  for (const auto& process : fs::directory_iterator("/proc")) {
    const std::string name = process.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(process.path() / "environ", std::ios::binary);
    for (std::string entry; std::getline(in, entry, '\0');)
      if (entry == mark) found.push_back(std::stoi(name));
  }
  return found;
}

// The server first, before it can write down what the others have done. They would end when they
// next ask it for something, which may be long.
void kill_all(const std::string& directory) {
  run_in(directory, {wineserver, "-k9"});
  const auto deadline = Clock::now() + 10s;
  for (auto all = processes(directory); !all.empty(); all = processes(directory)) {
    if (Clock::now() > deadline) throw Error("Wine cannot be killed");
    for (const pid_t pid : all) ::kill(pid, SIGKILL);
    std::this_thread::sleep_for(10ms);
  }
}

}  // namespace

WinePrefix::WinePrefix() {
  run_checked({"cp", "-a", KVMNET_WINE_TEMPLATE, path()});
}

WinePrefix::~WinePrefix() {
  try {
    kill_all(directory_.path());
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
}

std::string WinePrefix::host_path(std::string_view windows_path) const {
  const char letter = static_cast<char>(windows_path.at(0) | 0x20);
  const std::string drive = path() + "/drive_" + letter;
  if (!fs::exists(drive)) {
    fs::create_directory(drive);
    fs::create_symlink(drive, fmt::format("{}/dosdevices/{}:", path(), letter));
  }
  std::string rest(windows_path.substr(2));
  for (char& c : rest)
    if (c == '\\') c = '/';
  return drive + rest;
}

void WinePrefix::add_to_registry(std::string_view key, std::string_view lines) {
  append(path() + "/system.reg", fmt::format("\n{} 1\n{}\n", section(key), lines));
}

bool WinePrefix::has_key(std::string_view key) const {
  std::ifstream in(path() + "/system.reg");
  const std::string wanted = lower_case(section(key));
  for (std::string line; std::getline(in, line);)
    if (lower_case(line).starts_with(wanted)) return true;
  return false;
}

// Every session of Wine begins with a boot: its first process starts the service manager. The
// server ends a session, and kills the services, once it has no process but them: a script whose
// service was slow to start it was cut off, or never begun (seen on busy machines). So a process of
// ours waits at its standard input, whose other end is ours.
WinePrefix::Session WinePrefix::begin_session() const {
  fs::remove(host_path(over));
  run_in(directory_.path(), {wineserver, "-p0"});
  Pipe input = make_pipe();
  const pid_t pid =
      start_in(directory_.path(), {wine, "cmd.exe", "/d", "/c", "set /p x="}, input.read_end);
  return {pid, std::move(input.write_end)};
}

pid_t WinePrefix::start_batch(std::string_view batch_file) const {
  return start_in(directory_.path(), {wine, "cmd.exe", "/d", "/c", std::string(batch_file)});
}

// Once the service manager has started all services, the session is theirs: what they have started
// is no service, and Wine waits for it.
void WinePrefix::end(Session session, Clock::time_point deadline) const {
  while (!fs::exists(host_path(over))) {
    if (Clock::now() > deadline) throw Error("Wine does not start all services");
    std::this_thread::sleep_for(10ms);
  }
  session.held.reset();
  const bool ended = ends_before(session.pid, deadline) &&
                     ends_before(start_in(directory_.path(), {wineserver, "-w"}), deadline);
  if (!ended) throw Error("Wine does not come to an end");
}

void WinePrefix::boot() {
  end(begin_session(), Clock::now() + longest_boot);
}

void WinePrefix::boot_and_run(std::string_view batch_file) {
  const auto deadline = Clock::now() + longest_boot;
  Session session = begin_session();
  if (!ends_before(start_batch(batch_file), deadline)) throw Error("the batch file does not end");
  end(std::move(session), deadline);
}

void WinePrefix::boot_until(const std::function<bool()>& moment) {
  const Session session = begin_session();
  lose_power_when(moment);
  ends_before(session.pid, Clock::now() + 10s);
}

void WinePrefix::run_until(std::string_view batch_file, const std::function<bool()>& moment) {
  const Session session = begin_session();
  const pid_t batch = start_batch(batch_file);
  lose_power_when(moment);
  for (const pid_t pid : {session.pid, batch}) ends_before(pid, Clock::now() + 10s);
}

void WinePrefix::lose_power_when(const std::function<bool()>& moment) {
  const auto deadline = Clock::now() + longest_boot;
  bool come = moment();
  while (!come && Clock::now() < deadline) {
    std::this_thread::sleep_for(10ms);
    come = moment();
  }
  kill_all(directory_.path());
  if (!come) throw Error("the moment to cut the power did not come");
}

}  // namespace kvmnet::test

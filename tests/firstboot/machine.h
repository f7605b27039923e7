// SPDX-License-Identifier: GPL-2.0-or-later
// A Windows that kvmnet has patched, as Wine boots it, with a recorder in place of netsh.exe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/firstboot/patched_guest.h"
#include "tests/firstboot/wine_prefix.h"

namespace kvmnet::test {

// What the result file says.
struct FirstBootResult {
  std::string status;                 // done, retry, failed; empty: there is no result
  std::vector<std::string> commands;  // each with its exit code: "1 set heuristics disabled"
  std::vector<std::string> work;      // "begun command", "exit 0"
};

class Machine {
 public:
  static constexpr std::string_view service = "kvmnet-firstboot";

  // `played`: the Windows whose netsh is played, "6.1.7601 client". The service key comes from the
  // hive's bytes, and what it starts is at the path that the files say, not at one known here.
  //
  // A `root` that is not C:\windows: Wine's own directory has that name for good, and each process
  // gets it as %SystemRoot%. So the service's command line is expanded here, and starts the script
  // through another that sets the variable.
  Machine(const PatchedGuest& guest, std::string_view played,
          std::string_view root = R"(C:\windows)");

  WinePrefix& wine() { return wine_; }
  void boot() { wine_.boot(); }
  // A boot at whose end Windows Setup runs SetupComplete.cmd.
  void boot_to_the_end_of_setup();
  // A boot that ends with a loss of power: while a command is running that the play lets hang, or
  // at a moment of one's own.
  void boot_and_lose_power();
  void boot_and_lose_power_when(const std::function<bool()>& moment);
  void end_setup_and_lose_power_when(const std::function<bool()>& moment);

  // Somebody else has used netsh before: "set global autotuninglevel=restricted".
  void netsh_has_set(std::string_view command) const;
  // kvmnet has been at work again on the disk: the service is the one in that hive, and these are
  // all files of ours. Those that there are now:
  void change_to(const PatchedGuest& guest);
  std::map<std::string, std::string> our_files() const;  // by path, as PatchedGuest has them

  // What goes wrong from now on: lines of netsh.play (netsh_recorder.c).
  void play(std::string_view lines) const;
  // The recorder takes the place of another program of System32, too, which plays `lines`; or the
  // program is back.
  void stand_in(std::string_view program, std::string_view lines) const;
  void put_back(std::string_view program) const;
  void remove_netsh() const;
  // What a program that is stood in for was called with, each with its exit code: "0 /r /t 20".
  std::vector<std::string> calls_of(std::string_view program) const;

  // The commands of netsh's recorder that are no `show` and no `dump`, in their order, with what
  // they ended with: "0 set heuristics disabled", "hang set heuristics disabled".
  std::vector<std::string> sets() const;
  std::size_t commands() const;  // all of them
  // Those of its last commands that are a `show`: "0 global".
  std::vector<std::string> last_shows() const;
  FirstBootResult result() const;
  std::string log() const;
  // "C:\\ran.txt"; "" if there is no such file.
  std::string text_of_file(std::string_view windows_path) const;
  // What was saved before the first command.
  std::vector<std::string> before() const;

  bool has_service() const;
  bool has_script() const;
  // What the patch notes of itself there for revert: not the first boot's business.
  static constexpr const char* patch_record = "record.json";
  std::string record() const;
  // Names of all other files in the directory of ours, sorted.
  std::vector<std::string> files() const;
  std::string host_file(std::string_view path) const;  // relative to the system root

 private:
  void install_service(const PatchedGuest& guest);
  void install_system32() const;
  bool is_own_root() const;
  std::string system32(std::string_view file) const;
  std::size_t hanging() const;  // commands that have ever been written down as hanging

  WinePrefix wine_;
  std::string root_;
  std::string played_;
};

}  // namespace kvmnet::test

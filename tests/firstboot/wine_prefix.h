// SPDX-License-Identifier: GPL-2.0-or-later
// A Wine prefix of its own for a test: a machine that can be booted, and lose its power.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/support/fd.h"
#include "src/support/temp_dir.h"

namespace kvmnet::test {

class WinePrefix {
 public:
  WinePrefix();  // a copy of the template that make-wine-template.sh has made
  WinePrefix(const WinePrefix&) = delete;
  WinePrefix& operator=(const WinePrefix&) = delete;
  ~WinePrefix();  // no process of it is left

  // Where "C:\..." is on this machine; drives other than C: come into being. Letter case counts
  // here, though not in Wine.
  std::string host_path(std::string_view windows_path) const;

  // While no boot goes on. `key`: below HKLM; `lines`: "Name"=dword:00000001, "Name"=hex(2):25,00
  // and so on, one a line. Wine takes the data of hex(TYPE) as they are.
  void add_to_registry(std::string_view key, std::string_view lines);
  bool has_key(std::string_view key) const;

  // One boot: to the end of everything that Wine's service manager has started.
  void boot();
  // The same, while a batch file is run, as by Windows Setup when it ends.
  void boot_and_run(std::string_view batch_file);
  // A boot in which all processes are killed once `moment` is true; the registry is as it was
  // written to disk last. Throws Error if the moment does not come.
  void boot_until(const std::function<bool()>& moment);
  // The same, while a batch file is run.
  void run_until(std::string_view batch_file, const std::function<bool()>& moment);

 private:
  struct Session {
    pid_t pid = -1;
    Fd held;  // the session goes on as long as this is open
  };
  Session begin_session() const;
  pid_t start_batch(std::string_view batch_file) const;
  void end(Session session, std::chrono::steady_clock::time_point deadline) const;
  void lose_power_when(const std::function<bool()>& moment);
  std::string path() const { return directory_.path() + "/prefix"; }

  TempDir directory_;
};

}  // namespace kvmnet::test

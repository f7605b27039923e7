// SPDX-License-Identifier: GPL-2.0-or-later
// The command line as a struct; no behaviour.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/apply/batch.h"
#include "src/apply/patch_image.h"
#include "src/plan/facts.h"
#include "src/plan/settings.h"

namespace kvmnet::cli {

enum class Command {
  patch,
  plan,
  revert,
  plan_revert,  // revert -n
  status,
  recover,
  script,
  reasons,
  hive_patch,
  hive_plan,
  hive_check,
  hive_replay,
  hive_export,
  hive_import,
  hive_plan_import,  // import -n
};

// --firstboot-command or --firstboot-script.
struct WorkOption {
  bool is_script = false;
  std::string word;  // the command, or the script's file
  bool operator==(const WorkOption&) const = default;
};

struct Options {
  Command command = Command::plan;
  SettingOptions settings;
  std::vector<WorkOption> work;    // in the order of the command line
  std::vector<std::string> files;  // images
  std::string hive_file;
  std::vector<std::string> logs;  // of the hive file; none: those beside it
  std::vector<std::string> reg_files;
  std::string key;                    // hive export
  std::string prefix;                 // of a hive's keys in .reg files; empty: by the file's name
  std::optional<unsigned> code_page;  // of .reg files in an ANSI code page
  bool utf8 = false;                  // hive export
  std::optional<std::string> format;
  std::string root = "single";
  Backend backend = default_backend();
  AcceleratorChoice accelerator = AcceleratorChoice::automatic;
  std::string output;  // of the patched copy, or the .reg file; empty: in place, standard output
  std::string backup;  // patch: directory for the untouched hive; empty: none
  bool allow_backing_file = false;
  bool discard = false;  // recover
  bool force = false;    // revert
  bool accept_unclean_ntfs = false;
  std::vector<std::string> keys;  // --key
  bool keys_from_stdin = false;
  DirtyHive dirty_hive = DirtyHive::replay;
  bool no_sandbox = false;
  int time_limit = 600;  // seconds
  bool exit_code = false;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool trace = false;
  std::string windows;  // --windows
  int build = 0;
  bool server = false;
};

// Options, or the exit status if there is nothing left to do: --help was printed, or the usage was
// wrong and the user has been told.
std::variant<Options, int> parse_options(int argc, const char* const* argv);

}  // namespace kvmnet::cli

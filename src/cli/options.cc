// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <span>
#include <sstream>

#include "guestfs/appliance.h"
#include "src/cli/exit_status.h"
#include "version.h"

namespace kvmnet::cli {
namespace {

constexpr const char* examples = R"(Examples:
  kvmnet plan win10.qcow2                     what would be changed; writes nothing
  kvmnet patch win10.qcow2 xp.img             change them, all or nothing
  kvmnet patch --autotuning experimental --congestion-provider cubic win2022.qcow2
  kvmnet patch --set 'Tcpip\Parameters\TcpWindowSize=0x40000' win2003.qcow2
  kvmnet patch --reg wiki.reg win2003.qcow2   .reg files, too, and revert takes them back
  kvmnet patch --output new.qcow2 base.qcow2  a patched copy; base.qcow2 is left alone
  kvmnet patch --firstboot-command 'net user test /delete' --firstboot-script setup.cmd w7.qcow2
  kvmnet plan --json *.qcow2                  one JSON object per image
  kvmnet status win10.qcow2                   what was done in it, and what its first boot says
  kvmnet revert win10.qcow2                   take all of it back
  kvmnet patch --key all:file:recovery.txt bitlocker.qcow2
  kvmnet recover win10.qcow2                  finish a patch that was interrupted
  kvmnet script --windows 10.0.19045          the first-boot script of that Windows
  kvmnet hive patch SYSTEM --windows 5.2      the registry part, on a bare hive file
  kvmnet hive check SYSTEM                    is the hive's structure sound?
  kvmnet hive export SYSTEM 'CurrentControlSet\Services\Tcpip' >tcpip.reg
  kvmnet hive import SYSTEM tcpip.reg         merge .reg files, all or nothing

Exit status: 0 done or nothing to do, 1 failed, 2 wrong usage, 3 refused (the image was not
touched), 4 changes pending (with --exit-code), 128+n interrupted by signal n.)";

// Of a command the examples that are its own; it would have all of them otherwise.
void add_footers(CLI::App& app, const std::string& name) {
  for (CLI::App* command : app.get_subcommands({})) {
    const std::string words = name + " " + command->get_name();
    std::istringstream lines(examples);
    std::string own;
    bool is_example = true;
    for (std::string line; std::getline(lines, line);) {
      is_example = is_example && !line.empty();
      if (!is_example || line.starts_with("Examples") || line.starts_with("  " + words + " "))
        own += line + "\n";
    }
    own.pop_back();
    const std::string_view none = "Examples:\n\n";
    command->footer(own.starts_with(none) ? own.substr(none.size()) : own);
    add_footers(*command, words);
  }
}

// The library's own check; its list of words is left out of --help, where the type has it already.
CLI::Validator one_of(std::span<const std::string_view> words) {
  return CLI::IsMember(std::vector<std::string>(words.begin(), words.end())).description("");
}

// An unset variable in a script must not turn a copy into a change in place.
CLI::Validator not_empty() {
  return {[](const std::string& word) {
            return word.empty() ? std::string("needs a name") : std::string();
          },
          ""};
}

// Those that have no place in a bare hive are left out there.
void add_setting_options(CLI::App& app, SettingOptions& settings, bool bare_hive) {
  const auto word_list = [](std::span<const std::string_view> words) {
    return fmt::format("{}", fmt::join(words, "|"));
  };
  app.add_option("--profile", settings.profile,
                 "kvm: recommended settings; wiki: the KVM wiki page's own")
      ->check(one_of(profile_names()))
      ->type_name(word_list(profile_names()))
      ->capture_default_str()
      ->group("Settings");
  const auto add = [&](const char* name, std::optional<std::string>& value,
                       std::span<const std::string_view> words, const char* help) {
    app.add_option(name, value, help)
        ->check(one_of(words))
        ->type_name(word_list(words))
        ->group("Settings");
  };
  if (!bare_hive) {
    add("--autotuning", settings.autotuning, autotuning_words(),
        "receive window auto-tuning level (Vista and later); disabled limits it to 64 KiB");
    add("--congestion-provider", settings.congestion_provider, congestion_provider_words(),
        "congestion control; auto: CTCP below build 16299, else the system's CUBIC");
    add("--forcews", settings.forcews, switch_words(),
        "force window scaling on retransmit (Windows 7 and later)");
  }
  add("--heuristics", settings.heuristics, switch_words(),
      "window-scaling heuristics (Vista and later)");
  app.add_option(
         "--set", settings.set,
         "change one of the registry values, e.g. 'AFD\\Parameters\\DefaultSendWindow=65536'")
      ->type_name("KEY\\VALUE=DATA")
      ->allow_extra_args(false)
      ->group("Settings");
}

// Their order counts across both; collect_work() finds it when all is parsed.
constexpr const char* command_option = "--firstboot-command";
constexpr const char* script_option = "--firstboot-script";

void add_firstboot_options(CLI::App& app, SettingOptions& settings) {
  constexpr const char* group = "First boot (Vista and later)";
  app.add_option("--firstboot", settings.firstboot,
                 "what starts the first-boot script: auto: a service, and in a generalised "
                 "(sysprepped) image SetupComplete.cmd, too; service: the service only; none: no "
                 "script, only the registry part")
      ->check(one_of(firstboot_words()))
      ->type_name(fmt::format("{}", fmt::join(firstboot_words(), "|")))
      ->capture_default_str()
      ->group(group);
  app.add_option(command_option,
                 "run this, too, as SYSTEM, after the settings (repeatable, in order); a line of a "
                 "batch file, so a percent sign itself is %%. The guest begins it once, also if it "
                 "fails or is cut off; the same command is not run again by a later patch")
      ->type_name("CMD")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(group);
  app.add_option(script_option,
                 "the same with a batch file (.cmd), which must be ASCII and ask nothing; it is "
                 "removed after it ran")
      ->type_name("FILE")
      ->check(CLI::ExistingFile.description(""))
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group(group);
}

void collect_work(const CLI::App& app, Options& options) {
  std::map<std::string, std::size_t> seen;
  for (const CLI::Option* option : app.parse_order()) {
    const std::string name = option->get_name();
    if (name == command_option || name == script_option)
      options.work.push_back({name == script_option, option->results().at(seen[name]++)});
  }
}

void add_output_options(CLI::App& app, Options& options) {
  app.add_flag("--json", options.json, "print one JSON object per image")->group("Output");
  app.add_flag("-q,--quiet", options.quiet, "print only what went wrong")->group("Output");
  app.add_flag("-v,--verbose", options.verbose, "print phases and their times")->group("Output");
}

void add_no_sandbox(CLI::App& app, Options& options) {
  app.add_flag("--no-sandbox", options.no_sandbox,
               "read guests without locking up the processes that parse what is in them, nor the "
               "QEMU of --backend direct (for kernels that cannot)");
}

void add_dirty_hive(CLI::App& app, Options& options) {
  app.add_option_function<std::string>(
         "--dirty-hive",
         [&options](const std::string& word) {
           options.dirty_hive = word == "replay" ? DirtyHive::replay : DirtyHive::use_primary;
         },
         "a hive that Windows has not closed, and whose transaction logs do not apply: replay "
         "refuses it, use-primary goes on and loses what is only in the logs")
      ->check(CLI::IsMember({"replay", "use-primary"}).description(""))
      ->type_name("replay|use-primary")
      ->default_str("replay");
}

void add_hive_reading_options(CLI::App& app, Options& options) {
  add_dirty_hive(app, options);
  add_no_sandbox(app, options);
}

void add_images(CLI::App& app, Options& options) {
  app.add_option("IMAGE,-a,--add", options.files, "disk image of a shut-down guest (repeatable)")
      ->type_name("FILE");
}

void add_key_options(CLI::App& app, Options& options) {
  app.add_option("--key", options.keys,
                 "key or password of an encrypted volume (BitLocker, LUKS; repeatable): "
                 "ID:key:WORDS, or ID:file:FILE; ID is a device (/dev/sda2), a UUID, or 'all'")
      ->type_name("SELECTOR")
      ->allow_extra_args(false);
  app.add_flag("--keys-from-stdin", options.keys_from_stdin,
               "read such keys from standard input, one a line, each for all volumes");
}

void add_timeout(CLI::App& app, Options& options) {
  app.add_option("--timeout", options.time_limit,
                 "seconds after which a step that hangs is given up; writing to the image is not")
      ->check(CLI::Range(1, 86400).description(""))
      ->type_name("SECONDS")
      ->capture_default_str();
}

void add_guest_options(CLI::App& app, Options& options) {
  // Without it CLI11 lets the environment set options of commands that are not the one given.
  app.parse_complete_callback([] {});
  add_images(app, options);
  app.add_option("--format", options.format, "format of the images; default: by their content")
      ->check(CLI::IsMember({"qcow2", "raw"}).description(""))
      ->type_name("qcow2|raw");
  app.add_option("--root", options.root,
                 "which Windows of a multi-boot disk: single (refuse several), first, a device, or "
                 "DEVICE:/DIRECTORY")
      ->type_name("single|first|DEVICE")
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--backend",
         [&options](const std::string& word) {
           options.backend = word == "direct" ? Backend::direct
                             : word == "auto" ? Backend::automatic
                                              : Backend::libguestfs;
         },
         "how to reach a guest's files: in an appliance; direct, without one; auto: direct, and "
         "the appliance for layouts of disks that only it reads" +
             std::string(guestfs::is_built_in() ? "" : "; this kvmnet was built without one"))
      ->check(CLI::IsMember({"libguestfs", "direct", "auto"}).description(""))
      ->type_name("libguestfs|direct|auto")
      ->envname("KVMNET_BACKEND")
      ->default_str(guestfs::is_built_in() ? "libguestfs" : "direct");
  app.add_option_function<std::string>(
         "--accel",
         [&options](const std::string& word) {
           options.accelerator = word == "kvm"   ? AcceleratorChoice::kvm
                                 : word == "tcg" ? AcceleratorChoice::tcg
                                                 : AcceleratorChoice::automatic;
         },
         "how to run the appliance; auto: KVM, or TCG where KVM cannot be used; "
         "LIBGUESTFS_BACKEND_SETTINGS in the environment wins")
      ->check(CLI::IsMember({"auto", "kvm", "tcg"}).description(""))
      ->type_name("auto|kvm|tcg")
      ->default_str("auto");
  add_no_sandbox(app, options);
  add_key_options(app, options);
  add_timeout(app, options);
  add_output_options(app, options);
  app.add_flag("-x,--trace", options.trace, "trace libguestfs calls on standard error")
      ->group("Output");
}

// How a guest may be patched that Windows has not left at rest; status looks at any.
void add_risk_options(CLI::App& app, Options& options) {
  add_dirty_hive(app, options);
  app.add_option_function<std::string>(
         "--unclean-ntfs",
         [&options](const std::string& word) { options.accept_unclean_ntfs = word == "accept"; },
         "an NTFS that was not cleanly unmounted: refuse, or accept and lose what is only in its "
         "journal (libguestfs only)")
      ->check(CLI::IsMember({"refuse", "accept"}).description(""))
      ->type_name("refuse|accept")
      ->default_str("refuse");
}

void add_code_page(CLI::App& app, Options& options) {
  app.add_option("--code-page", options.code_page,
                 "of .reg files that are not Unicode; default: UTF-8 if they are, else 1252")
      ->type_name("N");
}

// What goes into the SYSTEM hive besides the settings.
void add_reg_options(CLI::App& app, Options& options) {
  app.add_option("--reg", options.reg_files,
                 "merge this .reg file, too (repeatable, in order); its keys are in "
                 "HKEY_LOCAL_MACHINE\\SYSTEM, and none is removed as a whole. Its values win over "
                 "the profile's")
      ->type_name("FILE")
      ->check(CLI::ExistingFile.description(""))
      ->allow_extra_args(false)
      ->group("Settings");
  add_code_page(app, options);
  app.get_option("--code-page")->group("Settings");
}

void add_image_options(CLI::App& app, Options& options) {
  add_guest_options(app, options);
  add_risk_options(app, options);
  add_setting_options(app, options.settings, false);
  add_reg_options(app, options);
  add_firstboot_options(app, options.settings);
}

void add_windows_options(CLI::App& app, Options& options) {
  app.add_option("--windows", options.windows, "NT version, e.g. 5.2, 6.1 or 10.0.19045")
      ->required()
      ->type_name("VERSION");
  app.add_option("--build", options.build, "build number, e.g. 19045")
      ->check(CLI::Range(1, 999999))
      ->type_name("N");
}

void add_exit_code(CLI::App& app, Options& options) {
  app.add_flag("--exit-code", options.exit_code, "exit with status 4 if changes are pending")
      ->group("Output");
}

void add_hive_command(CLI::App& hive, const char* name, const char* help, Command command,
                      Options& options) {
  CLI::App* app = hive.add_subcommand(name, help);
  const bool is_patch = command == Command::hive_patch || command == Command::hive_plan;
  app->add_option("FILE", options.hive_file, is_patch ? "a SYSTEM hive" : "a hive of any kind")
      ->required()
      ->type_name("FILE");
  app->add_option("--log", options.logs,
                  "a transaction log of the hive (repeatable; .LOG1 before .LOG2); default: those "
                  "beside it")
      ->type_name("FILE")
      ->allow_extra_args(false);
  if (is_patch) add_windows_options(*app, options);
  if (command == Command::hive_check)
    add_no_sandbox(*app, options);
  else
    add_hive_reading_options(*app, options);
  if (is_patch) {
    add_setting_options(*app, options.settings, true);
    add_reg_options(*app, options);
  }
  add_output_options(*app, options);
  if (command == Command::hive_plan) add_exit_code(*app, options);
  app->callback([&options, command] { options.command = command; });
}

// What the commands for .reg files have in common.
void add_reg_command(CLI::App& app, Options& options) {
  app.add_option("--prefix", options.prefix,
                 "where the hive's root is in the registry, e.g. 'HKLM\\SYSTEM'; default: by the "
                 "file's name")
      ->check(not_empty())
      ->type_name("PATH");
  app.add_option("--log", options.logs,
                 "a transaction log of the hive (repeatable; .LOG1 before .LOG2); default: those "
                 "beside it")
      ->type_name("FILE")
      ->allow_extra_args(false);
  add_hive_reading_options(app, options);
}

void add_export(CLI::App& hive, Options& options) {
  CLI::App* app = hive.add_subcommand(
      "export", "write a key with all that is below it as a .reg file, as regedit does");
  app->add_option("FILE", options.hive_file, "a hive of any kind")->required()->type_name("FILE");
  app->add_option("KEY", options.key,
                  "its path below the hive's root, or a whole one (HKLM\\...); default: the root; "
                  "in a SYSTEM hive CurrentControlSet is the control set that boots next")
      ->type_name("KEY");
  app->add_flag("--utf8", options.utf8, "for people: UTF-8 and Unix lines; default: UTF-16");
  app->add_option("-o,--output", options.output,
                  "write to this file, which must not exist yet; default: standard output")
      ->check(not_empty())
      ->type_name("FILE");
  add_reg_command(*app, options);
  app->callback([&options] { options.command = Command::hive_export; });
}

void add_import(CLI::App& hive, Options& options, bool& dry_run) {
  CLI::App* app = hive.add_subcommand(
      "import", "merge .reg files into the hive, atomically, one after the other");
  app->add_option("FILE", options.hive_file, "a hive of any kind")->required()->type_name("FILE");
  app->add_option("REG", options.reg_files,
                  ".reg files (REGEDIT4 or version 5.00; UTF-16, UTF-8 or an ANSI code page)")
      ->required()
      ->type_name("REG");
  add_code_page(*app, options);
  add_reg_command(*app, options);
  add_output_options(*app, options);
  app->add_flag("-n,--dry-run", dry_run, "only say what would be changed");
  add_exit_code(*app, options);
  app->callback(
      [&] { options.command = dry_run ? Command::hive_plan_import : Command::hive_import; });
}

void add_patch_options(CLI::App& app, Options& options) {
  app.add_option("-o,--output", options.output,
                 "leave the image alone and write a patched copy, which must not exist yet")
      ->check(not_empty())
      ->type_name("FILE");
  app.add_option("--backup", options.backup,
                 "keep the untouched SYSTEM hive and its logs in this directory")
      ->check(CLI::ExistingDirectory.description(""))
      ->type_name("DIR");
  app.add_flag("--allow-backing-file", options.allow_backing_file,
               "patch an image even though other images are based on it, which breaks them");
}

void add_recover(CLI::App& app, Options& options) {
  CLI::App* recover =
      app.add_subcommand("recover", "finish a patch that was interrupted while it was written");
  add_images(*recover, options);
  recover->add_flag("--discard", options.discard,
                    "drop the patch instead, if nothing of it has been written yet");
  add_timeout(*recover, options);
  add_output_options(*recover, options);
  recover->callback([&options] { options.command = Command::recover; });
}

void add_revert(CLI::App& app, Options& options, bool& dry_run) {
  CLI::App* revert = app.add_subcommand(
      "revert", "take back what patch has done: every value as it was, and nothing of kvmnet left");
  add_guest_options(*revert, options);
  add_risk_options(*revert, options);
  add_patch_options(*revert, options);
  revert->add_flag("--force", options.force,
                   "also where somebody has changed a value since, or the guest cannot restore "
                   "what its first boot has set");
  revert
      ->add_option("--firstboot", options.settings.firstboot,
                   "auto: what a first boot has set, the next one puts back; none: it stays")
      ->check(CLI::IsMember({"auto", "none"}).description(""))
      ->type_name("auto|none")
      ->capture_default_str();
  revert->add_flag("-n,--dry-run", dry_run, "only say what would be changed");
  add_exit_code(*revert, options);
  revert->callback([&] { options.command = dry_run ? Command::plan_revert : Command::revert; });
}

void add_status(CLI::App& app, Options& options) {
  CLI::App* status = app.add_subcommand(
      "status", "say what was patched, and what became of it in the guest; write nothing");
  add_guest_options(*status, options);
  add_exit_code(*status, options);
  status->callback([&options] { options.command = Command::status; });
}

void add_commands(CLI::App& app, Options& options, bool& dry_run) {
  CLI::App* patch = app.add_subcommand("patch", "apply the settings to shut-down guests");
  add_image_options(*patch, options);
  add_patch_options(*patch, options);
  patch->add_flag("-n,--dry-run", dry_run, "only say what would be changed, as plan does");
  add_exit_code(*patch, options);
  patch->callback([&] { options.command = dry_run ? Command::plan : Command::patch; });

  CLI::App* plan = app.add_subcommand("plan", "say what patch would change; write nothing");
  add_image_options(*plan, options);
  plan->add_flag("-n,--dry-run", dry_run, "accepted and without effect: plan writes nothing");
  add_exit_code(*plan, options);
  plan->callback([&] { options.command = Command::plan; });

  add_revert(app, options, dry_run);
  add_status(app, options);
  add_recover(app, options);

  CLI::App* script =
      app.add_subcommand("script", "print the first-boot script of a Windows version");
  add_windows_options(*script, options);
  script->add_flag("--server", options.server, "for the server edition of that version");
  add_setting_options(*script, options.settings, false);
  add_firstboot_options(*script, options.settings);
  script->callback([&] { options.command = Command::script; });

  app.add_subcommand("reasons", "print why an image may be refused, and what to do then")
      ->callback([&options] { options.command = Command::reasons; });

  CLI::App* hive = app.add_subcommand("hive", "work on a bare hive file");
  hive->require_subcommand(1);
  add_hive_command(*hive, "plan", "say what hive patch would change", Command::hive_plan, options);
  add_hive_command(*hive, "patch", "set the registry values in the file, atomically",
                   Command::hive_patch, options);
  add_hive_command(*hive, "check", "say whether a hive's structure is sound; write nothing",
                   Command::hive_check, options);
  add_hive_command(*hive, "replay",
                   "apply its transaction logs to a hive that Windows has not closed, atomically",
                   Command::hive_replay, options);
  add_export(*hive, options);
  add_import(*hive, options, dry_run);
}

// `command`: that was given; empty: none.
int usage_error(const std::string& message, const std::string& command = {}) {
  std::cerr << fmt::format("kvmnet: {}\nkvmnet: 'kvmnet {}{}--help' tells more\n", message, command,
                           command.empty() ? "" : " ");
  return static_cast<int>(ExitStatus::usage);
}

// What is wrong with the options as a whole; empty: nothing.
std::string contradiction(const Options& options) {
  const bool on_images = options.command <= Command::recover;
  if (on_images && options.files.empty()) return "IMAGE is required: name a disk image, or several";
  if (!options.output.empty() && options.files.size() > 1)
    return "--output takes one image: it names the copy of it";
  if (!options.output.empty() && options.allow_backing_file)
    return "--output leaves the image alone: --allow-backing-file makes no sense with it";
  return {};
}

// Words that may be keys are repeated in no message: messages get into logs, command lines do not.
// What is wrong with the way in which keys are given; empty: nothing that can be told from here.
std::string misplaced_key(std::span<const char* const> words) {
  constexpr std::string_view option = "--keys-from-stdin";
  constexpr std::string_view where = "keys come from standard input, one a line";
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word.starts_with(option) && word.substr(option.size()).starts_with('='))
      return fmt::format("{} takes no value: {}", option, where);
    std::error_code error;
    if (word == option && i + 1 < words.size() && words[i + 1][0] != '-' &&
        !std::filesystem::exists(words[i + 1], error))
      return fmt::format("{} takes no value, and the word behind it is no image that is there: {}",
                         option, where);
  }
  return {};
}

// Of a command that takes no keys CLI11 would repeat them.
std::string error_of(const CLI::ParseError& error, std::span<const char* const> words) {
  const bool has_key = std::any_of(words.begin(), words.end(), [](std::string_view word) {
    return word.starts_with("--key") || word.starts_with("-key");
  });
  const std::string what = error.what();
  const bool names_backend = std::any_of(words.begin(), words.end(), [](std::string_view word) {
    return word.starts_with("--backend");
  });
  if (what.starts_with("--backend: ") && !names_backend)
    return "KVMNET_BACKEND in the environment: " + what.substr(std::string("--backend: ").size());
  if (has_key && error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError))
    return "there are arguments that this command does not take; --key is for commands on images";
  return what;
}

// "hive check"
std::string command_of(const CLI::App& app) {
  std::string words;
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    words += (words.empty() ? "" : " ") + at->get_name();
  }
  return words;
}

std::string version_text() {
  return fmt::format("kvmnet {}\nbackends: {}", version,
                     guestfs::is_built_in() ? "libguestfs, direct" : "direct");
}

}  // namespace

std::variant<Options, int> parse_options(int argc, const char* const* argv) {
  Options options;
  bool dry_run = false;
  CLI::App app(
      "kvmnet applies TCP/IP settings to Windows guests on KVM from the host, while they "
      "are shut down.",
      "kvmnet");
  app.set_version_flag("-V,--version", version_text());
  app.require_subcommand(1);
  app.footer(examples);
  app.get_formatter()->column_width(36);
  add_commands(app, options, dry_run);
  add_footers(app, "kvmnet");
  const std::span<const char* const> words(argv, static_cast<std::size_t>(argc));
  if (const std::string problem = misplaced_key(words); !problem.empty())
    return usage_error(problem);
  try {
    app.parse(argc, argv);
    for (const CLI::App* command : app.get_subcommands()) collect_work(*command, options);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e, std::cout, std::cerr);
    const bool no_command = app.get_subcommands().empty();
    return usage_error(no_command && argc > 1 && argv[1][0] != '-'
                           ? fmt::format("'{}' is not a command", argv[1])
                           : error_of(e, words),
                       command_of(app));
  }
  if (const std::string problem = contradiction(options); !problem.empty())
    return usage_error(problem, command_of(app));
  return options;
}

}  // namespace kvmnet::cli

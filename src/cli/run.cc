// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

#include "guestfs/appliance.h"
#include "src/apply/hive_file.h"
#include "src/apply/job.h"
#include "src/apply/patch_image.h"
#include "src/apply/recover_image.h"
#include "src/apply/reg_files.h"
#include "src/cli/exit_status.h"
#include "src/cli/report.h"
#include "src/disk/beside.h"
#include "src/plan/firstboot.h"
#include "src/plan/netsh.h"
#include "src/plan/plan_reg.h"
#include "src/support/error.h"
#include "src/support/fd.h"
#include "src/support/reasons_manual.h"
#include "src/support/secrets.h"
#include "src/wall/wall.h"

namespace kvmnet::cli {
namespace {

int number(ExitStatus status) {
  return static_cast<int>(status);
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return;
  const int reason = errno;
  const Error error = system_error("writing to standard output", reason);
  if (reason == EPIPE) throw OutputClosed(error.what());
  throw error;
}

ReportOptions report_options(const Options& options) {
  // https://no-color.org; read before there is a second thread.
  const bool no_colour = std::getenv("NO_COLOR") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  const bool colour = ::isatty(STDOUT_FILENO) == 1 && !no_colour;
  return {options.json, options.quiet, options.verbose, colour};
}

// Two workers on one image would refuse each other; a list that names one twice is a mistake.
void check_images(const std::vector<std::string>& images) {
  // An unset variable in a script.
  if (std::any_of(images.begin(), images.end(), [](const std::string& i) { return i.empty(); }))
    throw UsageError("IMAGE is empty: name a disk image");
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      std::error_code ignored;
      if (images[i] == images[j] || std::filesystem::equivalent(images[i], images[j], ignored))
        throw UsageError(fmt::format("{} and {} are the same image", images[j], images[i]));
    }
}

UserWork user_work(const WorkOption& option) {
  if (!option.is_script) return work_of_command(option.word);
  const Fd file = open_file(option.word, O_RDONLY);
  return work_of_script(option.word, read_text(file, largest_user_script + 1));
}

// What is wrong with the user's files is known before any image is opened.
RegInput reg_input(const Options& options) {
  try {
    RegInput input =
        read_reg_files(options.reg_files, options.code_page, {"HKEY_LOCAL_MACHINE", "SYSTEM"});
    require_revertible(input);
    return input;
  } catch (const std::exception& e) {
    throw UsageError(fmt::format("--reg: {}", e.what()));
  }
}

Settings settings_of(const Options& options) {
  SettingOptions words = options.settings;
  for (const WorkOption& work : options.work) words.work.push_back(user_work(work));
  Settings settings = make_settings(words);
  settings.reg = reg_input(options);
  return settings;
}

// `from` is what the user knows it by.
std::string read_keys(const Fd& file, const std::string& from) {
  constexpr std::size_t largest = 64 << 10;
  std::string text = read_text(file, largest + 1);
  if (text.size() > largest) throw UsageError(from + ": is longer than 64 KiB, as no key is");
  return text;
}

std::string read_key_file(const std::string& name) {
  try {
    return read_keys(open_file(name, O_RDONLY), name);
  } catch (const Error& e) {
    throw UsageError(fmt::format("--key: {}", e.what()));
  }
}

// ID:key:WORDS or ID:file:FILE, as virt-* tools take it.
VolumeKey volume_key(const std::string& word) {
  const std::size_t first = word.find(':');
  const std::size_t second = word.find(':', first == std::string::npos ? first : first + 1);
  const std::string kind =
      second == std::string::npos ? "" : word.substr(first + 1, second - first - 1);
  // The word itself may hold the key.
  if (kind != "key" && kind != "file")
    throw UsageError("--key: write ID:key:WORDS or ID:file:FILE");
  VolumeKey key = {word.substr(0, first), word.substr(second + 1)};
  if (kind == "key") return key;
  std::string text = read_key_file(key.key);
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  key.key = std::move(text);
  return key;
}

// Before a key is read, which stays in memory until the end; the workers are forks of this process
// and stay as it is.
std::vector<VolumeKey> volume_keys(const Options& options) {
  std::vector<VolumeKey> keys;
  if (!options.keys.empty() || options.keys_from_stdin) keep_to_ourselves();
  for (const std::string& word : options.keys) keys.push_back(volume_key(word));
  if (!options.keys_from_stdin) return keys;
  std::istringstream lines(read_keys(Fd(::dup(STDIN_FILENO)), "--keys-from-stdin"));
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) keys.push_back({"all", line});
  }
  return keys;
}

void decide_by(const Options& options, PatchRequest& request) {
  const bool writes = options.command == Command::patch || options.command == Command::revert;
  request.guest.mode = writes ? Mode::patch : Mode::plan;
  request.only_look = options.command == Command::status;
  if (options.command == Command::revert || options.command == Command::plan_revert) {
    request.guest.decide = to_revert({options.force, options.settings.firstboot != "none"});
    request.guest.done = Status::reverted;
  } else if (!request.only_look) {
    Settings settings = settings_of(options);
    request.guest.reg = settings.reg.sections();
    request.guest.decide = to_patch(std::move(settings));
  }
}

PatchRequest patch_request(const Options& options) {
  PatchRequest request;
  decide_by(options, request);
  request.guest.accept_unclean_ntfs = options.accept_unclean_ntfs;
  request.guest.keys = volume_keys(options);
  request.guest.root = options.root;
  request.guest.dirty_hive = options.dirty_hive;
  request.guest.backup_directory = options.backup;
  request.format = options.format;
  request.output = options.output;
  request.umask = ::umask(0);  // it cannot be asked otherwise
  ::umask(request.umask);
  request.allow_backing_file = options.allow_backing_file;
  request.images = options.files;
  request.backend = options.backend;
  request.sandboxed = !options.no_sandbox;
  request.trace = options.trace;
  request.verbose = options.verbose && options.trace;
  return request;
}

BatchRequest batch_request(const Options& options) {
  BatchRequest request;
  request.images = options.files;
  request.writes = options.command == Command::patch || options.command == Command::revert ||
                   options.command == Command::recover;
  request.time_limit = std::chrono::seconds(options.time_limit);
  if (options.command == Command::recover) {
    request.accelerator = AcceleratorChoice::tcg;  // no appliance: nothing is to be tried or said
    const auto interruption =
        options.discard ? disk::Interruption::discard : disk::Interruption::keep;
    request.job = [interruption](const std::string& image, const JobContext& context) {
      return recover_image(image, interruption, context);
    };
    return request;
  }
  // Without an appliance nothing is to be tried or said.
  const bool without = options.backend == Backend::direct || !guestfs::is_built_in();
  request.accelerator = without ? AcceleratorChoice::tcg : options.accelerator;
  request.output = options.output;
  request.job = [patch = patch_request(options)](const std::string& image,
                                                 const JobContext& context) {
    return patch_image(image, patch, context);
  };
  return request;
}

int run_images(const Options& options) {
  check_images(options.files);
  if (!options.output.empty() && disk::is_there(options.output))
    throw UsageError(options.output + " exists already; --output replaces nothing");
  const BatchRequest request = batch_request(options);
  const ReportOptions how = report_options(options);
  ExitStatus status = ExitStatus::ok;
  BatchOutput output;
  output.render = [how](const Outcome& outcome) { return report(outcome, how); };
  output.result = [&](Status image_status, const std::string& text) {
    print(text);
    status = worse(status, exit_status(image_status, options.exit_code));
  };
  output.note = [&](const std::string& line) {
    if (!options.quiet) std::fprintf(stderr, "kvmnet: %s\n", line.c_str());
  };
  output.phase = [&](const std::string& image, Phase phase) {
    if (!options.verbose) return;
    std::fprintf(stderr, "kvmnet: %s: %s\n", image.c_str(), std::string(to_string(phase)).c_str());
  };
  const int signal = run_batch(request, output);
  return signal != 0 ? 128 + signal : number(status);
}

WindowsVersion windows_version(const Options& options) {
  WindowsVersion version = parse_windows_version(options.windows);
  if (options.build != 0) {
    if (version.build != 0 && version.build != options.build)
      throw UsageError(
          fmt::format("--build {} contradicts --windows {}", options.build, options.windows));
    version.build = options.build;
  }
  // For 10.0 a bare hive needs no build.
  const WindowsVersion checked = {version.major, version.minor, std::max(version.build, 1)};
  if (!is_supported(checked))
    throw UsageError(
        fmt::format("--windows {}: kvmnet knows 5.1, 5.2, 6.0 to 6.3 and 10.0", options.windows));
  return version;
}

// As Windows spells it.
std::string guest_name(std::string path) {
  std::replace(path.begin(), path.end(), '/', '\\');
  return path;
}

int run_script(const Options& options) {
  const WindowsVersion version = windows_version(options);
  if (version.major == 10 && version.build == 0)
    throw UsageError(
        "--windows 10.0 needs the build, because its commands differ: --build N, e.g. "
        "19045");
  if (is_legacy(version))
    throw UsageError(
        fmt::format("Windows NT {} has no first-boot script: its settings are registry "
                    "values only",
                    options.windows));
  const Settings settings = settings_of(options);
  if (settings.firstboot == FirstBootChoice::none)
    throw UsageError("--firstboot none: then there is no script");
  const auto plan =
      plan_netsh(version, options.server ? ProductType::server : ProductType::client, settings);
  if (const auto* refusal = std::get_if<Refusal>(&plan)) {
    std::fprintf(stderr, "kvmnet: %s; %s\n", refusal->message.c_str(),
                 std::string(remedy(refusal->reason)).c_str());
    return number(ExitStatus::refused);
  }
  const auto& netsh = std::get<NetshPlan>(plan);
  for (const std::string& warning : netsh.warnings)
    std::fprintf(stderr, "kvmnet: warning: %s\n", warning.c_str());
  for (std::size_t number = 1; number <= settings.work.size(); ++number)
    std::fprintf(stderr, "kvmnet: note: the script needs %%SystemRoot%%\\%s, which patch writes\n",
                 guest_name(firstboot::work_path(number)).c_str());
  print(firstboot::script(netsh, settings.work));
  return number(ExitStatus::ok);
}

int run_hive_check(const Options& options) {
  const ReportOptions how = report_options(options);
  bool good = false;
  const Outcome outcome = run_job(options.hive_file, [&](Outcome& /*outcome*/) {
    const HiveCheck check = check_hive_file(options.hive_file, options.logs);
    print(report(options.hive_file, check, how));
    good = check.structure.sound() && check.condition.condition == hive::Condition::clean;
  });
  const bool failed = !outcome.error.empty() || outcome.refusal;
  if (!failed) return number(good ? ExitStatus::ok : ExitStatus::refused);
  print(report(outcome, how));
  return number(exit_status(outcome.status, false));
}

int run_hive(const Options& options) {
  HiveFileRequest request;
  request.dirty_hive = options.dirty_hive;
  request.logs = options.logs;
  Outcome outcome;
  if (options.command == Command::hive_replay) {
    outcome = replay_hive_file(options.hive_file, request);
  } else {
    request.mode = options.command == Command::hive_patch ? Mode::patch : Mode::plan;
    request.version = windows_version(options);
    request.settings = settings_of(options);
    outcome = patch_hive_file(options.hive_file, request);
  }
  print(report(outcome, report_options(options)));
  return number(exit_status(outcome.status, options.exit_code));
}

RegRequest reg_request(const Options& options) {
  RegRequest request;
  request.mode = options.command == Command::hive_import ? Mode::patch : Mode::plan;
  request.root = registry_path(options.hive_file, options.prefix);
  request.dirty_hive = options.dirty_hive;
  request.logs = options.logs;
  return request;
}

int run_import(const Options& options) {
  const RegRequest request = reg_request(options);
  const Outcome outcome =
      import_reg_files(options.hive_file,
                       read_reg_files(options.reg_files, options.code_page, request.root), request);
  print(report(outcome, report_options(options)));
  return number(exit_status(outcome.status, options.exit_code));
}

// A new file that goes again unless keep() is called. What is in a hive may be secret.
class OutputFile {
 public:
  explicit OutputFile(std::string path) : path_(std::move(path)) {
    if (disk::is_there(path_))
      throw UsageError(path_ + " exists already; --output replaces nothing");
    fd_ = open_file(path_, O_WRONLY | O_CREAT | O_EXCL, 0600);
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (!kept_) ::unlink(path_.c_str());
  }
  const Fd& fd() const { return fd_; }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  Fd fd_;
  bool kept_ = false;
};

// The file goes to standard output, so that everything else goes to standard error.
int run_export(const Options& options) {
  const RegRequest request = reg_request(options);
  const auto encoding = options.utf8 ? hive::RegEncoding::utf8 : hive::RegEncoding::utf16;
  std::optional<OutputFile> file;
  if (!options.output.empty()) file.emplace(options.output);
  const Fd standard(file ? -1 : ::dup(STDOUT_FILENO));
  const Outcome outcome = export_reg_file(options.hive_file, options.key, encoding,
                                          file ? file->fd() : standard, request);
  for (const std::string& left_out : outcome.warnings)
    std::fprintf(stderr, "kvmnet: warning: %s\n", left_out.c_str());
  if (outcome.status != Status::reported) {
    ReportOptions how = report_options(options);
    how.colour = false;
    std::fputs(report(outcome, how).c_str(), stderr);
    return number(exit_status(outcome.status, false));
  }
  if (file) file->keep();
  return number(ExitStatus::ok);
}

}  // namespace

int run(const Options& options) {
  if (options.no_sandbox) wall::do_without();
  switch (options.command) {
    case Command::patch:
    case Command::plan:
    case Command::revert:
    case Command::plan_revert:
    case Command::status:
    case Command::recover:
      return run_images(options);
    case Command::script:
      return run_script(options);
    case Command::reasons:
      print(manual_of_reasons());
      return number(ExitStatus::ok);
    case Command::hive_patch:
    case Command::hive_plan:
    case Command::hive_replay:
      return run_hive(options);
    case Command::hive_check:
      return run_hive_check(options);
    case Command::hive_import:
    case Command::hive_plan_import:
      return run_import(options);
    case Command::hive_export:
      return run_export(options);
  }
  return number(ExitStatus::failed);
}

}  // namespace kvmnet::cli

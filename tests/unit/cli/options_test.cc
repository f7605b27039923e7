// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/options.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "src/support/temp_dir.h"

namespace kvmnet::cli {
namespace {

using Words = std::vector<std::string>;

struct Parsed {
  std::variant<Options, int> result;
  std::string out;
  std::string err;
};

Parsed parse(const Words& words) {
  std::vector<const char*> argv = {"kvmnet"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  auto result = parse_options(static_cast<int>(argv.size()), argv.data());
  return {std::move(result), testing::internal::GetCapturedStdout(),
          testing::internal::GetCapturedStderr()};
}

Options options_of(const Words& words) {
  const Parsed parsed = parse(words);
  if (const auto* options = std::get_if<Options>(&parsed.result)) return *options;
  ADD_FAILURE() << "refused: " << parsed.err;
  return {};
}

std::string joined(const Words& words) {
  std::string line;
  for (const std::string& word : words) line += word + " ";
  return line;
}

// Exit status 2, nothing on standard output, and a message that has `part`; returns the message.
std::string expect_usage_error(const Words& words, const std::string& part) {
  const Parsed parsed = parse(words);
  const int* const status = std::get_if<int>(&parsed.result);
  EXPECT_NE(status, nullptr) << joined(words);
  EXPECT_EQ(status == nullptr ? 0 : *status, 2) << joined(words);
  EXPECT_EQ(parsed.out, "") << joined(words);
  EXPECT_EQ(parsed.err.rfind("kvmnet: ", 0), 0U) << joined(words) << parsed.err;
  EXPECT_NE(parsed.err.find(part), std::string::npos) << joined(words) << parsed.err;
  return parsed.err;
}

TEST(Options, ImageCommandsTakeImagesAsWordsOrWithAdd) {
  for (const auto& [word, command] :
       {std::pair{"patch", Command::patch}, std::pair{"plan", Command::plan}}) {
    for (const Words& images : {Words{"a.img", "b.img"}, Words{"-a", "a.img", "-a", "b.img"},
                                Words{"--add", "a.img", "--add=b.img"},
                                Words{"a.img", "-a", "b.img"}, Words{"--", "a.img", "b.img"}}) {
      Words words = {word};
      words.insert(words.end(), images.begin(), images.end());
      const Options options = options_of(words);
      EXPECT_EQ(options.command, command);
      EXPECT_EQ(options.files, (Words{"a.img", "b.img"})) << images.front();
    }
  }
}

TEST(Options, DefaultsAreTheSafeOnes) {
  const Options options = options_of({"patch", "a.img"});
  EXPECT_EQ(options.settings.profile, "kvm");
  EXPECT_EQ(options.settings.autotuning, std::nullopt);
  EXPECT_EQ(options.settings.congestion_provider, std::nullopt);
  EXPECT_EQ(options.settings.heuristics, std::nullopt);
  EXPECT_EQ(options.settings.forcews, std::nullopt);
  EXPECT_EQ(options.settings.firstboot, "auto");
  EXPECT_TRUE(options.settings.set.empty());
  EXPECT_EQ(options.format, std::nullopt);
  EXPECT_EQ(options.root, "single");
  EXPECT_EQ(options.accelerator, AcceleratorChoice::automatic);
  EXPECT_FALSE(options.exit_code || options.json || options.quiet || options.verbose ||
               options.trace || options.server);
}

TEST(Options, DryRunTurnsPatchIntoPlan) {
  EXPECT_EQ(options_of({"patch", "-n", "a.img"}).command, Command::plan);
  EXPECT_EQ(options_of({"patch", "a.img", "--dry-run"}).command, Command::plan);
  EXPECT_EQ(options_of({"plan", "-n", "a.img"}).command, Command::plan);
}

TEST(Options, SettingsArriveAsWritten) {
  const Options options =
      options_of({"patch", "--profile", "wiki", "--autotuning", "experimental",
                  "--congestion-provider=cubic", "--heuristics", "enabled", "--forcews", "keep",
                  "--firstboot", "service", "--set", "a\\b=1", "--set", "c\\d=2", "a.img"});
  EXPECT_EQ(options.settings.profile, "wiki");
  EXPECT_EQ(options.settings.autotuning, "experimental");
  EXPECT_EQ(options.settings.congestion_provider, "cubic");
  EXPECT_EQ(options.settings.heuristics, "enabled");
  EXPECT_EQ(options.settings.forcews, "keep");
  EXPECT_EQ(options.settings.firstboot, "service");
  EXPECT_EQ(options.settings.set, (Words{"a\\b=1", "c\\d=2"}));
  EXPECT_EQ(options.files, Words{"a.img"});
}

TEST(Options, SetTakesOneTextSoThatImagesMayFollow) {
  const Options options = options_of({"patch", "--set", "a\\b=1", "a.img", "b.img"});
  EXPECT_EQ(options.settings.set, Words{"a\\b=1"});
  EXPECT_EQ(options.files, (Words{"a.img", "b.img"}));
}

TEST(Options, ImageOptionsArriveAsWritten) {
  const Options options = options_of({"plan", "--format", "raw", "--root", "/dev/sda2", "--accel",
                                      "tcg", "-q", "-v", "-x", "--json", "--exit-code", "a.img"});
  EXPECT_EQ(options.format, "raw");
  EXPECT_EQ(options.root, "/dev/sda2");
  EXPECT_EQ(options.accelerator, AcceleratorChoice::tcg);
  EXPECT_TRUE(options.quiet && options.verbose && options.trace && options.json &&
              options.exit_code);
  EXPECT_EQ(options_of({"plan", "--accel", "kvm", "a"}).accelerator, AcceleratorChoice::kvm);
  EXPECT_EQ(options_of({"plan", "--accel", "auto", "a"}).accelerator, AcceleratorChoice::automatic);
}

TEST(Options, TheBackendIsChosenByOptionOrEnvironment) {
  EXPECT_EQ(options_of({"plan", "a"}).backend, default_backend());
  EXPECT_EQ(options_of({"plan", "--backend", "direct", "a"}).backend, Backend::direct);
  EXPECT_EQ(options_of({"patch", "--backend", "auto", "a"}).backend, Backend::automatic);
  ::setenv("KVMNET_BACKEND", "direct", 1);
  EXPECT_EQ(options_of({"plan", "a"}).backend, Backend::direct);
  EXPECT_EQ(options_of({"plan", "--backend", "libguestfs", "a"}).backend, Backend::libguestfs);
  ::setenv("KVMNET_BACKEND", "nbd", 1);
  expect_usage_error({"plan", "a"}, "KVMNET_BACKEND in the environment: nbd not in");
  ::unsetenv("KVMNET_BACKEND");
  expect_usage_error({"plan", "a", "--backend", "nbd"}, "--backend: nbd not in");
}

TEST(Options, ImagesMayHaveTheNamesOfCommands) {
  EXPECT_EQ(options_of({"patch", "plan"}).files, Words{"plan"});
  EXPECT_EQ(options_of({"plan", "patch", "hive"}).files, (Words{"patch", "hive"}));
}

TEST(Options, ImagesMayHaveAnyName) {
  for (const std::string name : {"a b.img", "\xff.img", "a=b", "../x", ":80:disk", "json:{}"})
    EXPECT_EQ(options_of({"plan", name}).files, Words{name});
  EXPECT_EQ(options_of({"plan", "--", "-n"}).files, Words{"-n"});
}

TEST(Options, ScriptTakesAWindowsVersion) {
  const Options options =
      options_of({"script", "--windows", "10.0", "--build", "19045", "--server"});
  EXPECT_EQ(options.command, Command::script);
  EXPECT_EQ(options.windows, "10.0");
  EXPECT_EQ(options.build, 19045);
  EXPECT_TRUE(options.server);
}

TEST(Options, HiveCommandsTakeOneFileAndAWindowsVersion) {
  const Options plan = options_of({"hive", "plan", "SYSTEM", "--windows", "5.2", "--exit-code"});
  EXPECT_EQ(plan.command, Command::hive_plan);
  EXPECT_EQ(plan.hive_file, "SYSTEM");
  EXPECT_EQ(plan.windows, "5.2");
  EXPECT_TRUE(plan.exit_code);
  EXPECT_EQ(options_of({"hive", "patch", "SYSTEM", "--windows", "5.2"}).command,
            Command::hive_patch);
  expect_usage_error({"hive", "patch", "A", "B", "--windows", "5.2"}, "B");
  const Options import = options_of({"hive", "import", "SYSTEM", "a.reg", "b.reg", "--code-page",
                                     "932", "--prefix", "HKLM\\SYSTEM"});
  EXPECT_EQ(import.command, Command::hive_import);
  EXPECT_EQ(import.hive_file, "SYSTEM");
  EXPECT_EQ(import.reg_files, (Words{"a.reg", "b.reg"}));
  EXPECT_EQ(import.code_page, 932U);
  EXPECT_EQ(import.prefix, "HKLM\\SYSTEM");
  EXPECT_EQ(options_of({"hive", "import", "SYSTEM", "a.reg", "-n"}).command,
            Command::hive_plan_import);
  EXPECT_EQ(options_of({"hive", "export", "SYSTEM", "Select", "--utf8"}).key, "Select");
  expect_usage_error({"hive", "import", "SYSTEM"}, "REG");
  expect_usage_error({"hive", "patch", "SYSTEM"}, "--windows");
  expect_usage_error({"hive", "patch", "--windows", "5.2"}, "FILE");
  expect_usage_error({"hive"}, "subcommand");
}

TEST(Options, TakesRegFilesForPatchAndPlanOnly) {
  const Options options = options_of({"patch", "--reg", "/dev/null", "a.img", "--reg", "/dev/zero",
                                      "b.img", "--code-page", "932"});
  EXPECT_EQ(options.reg_files, (Words{"/dev/null", "/dev/zero"}));
  EXPECT_EQ(options.files, (Words{"a.img", "b.img"}));
  EXPECT_EQ(options.code_page, 932U);
  EXPECT_EQ(options_of({"plan", "--reg", "/dev/null", "a.img"}).reg_files, Words{"/dev/null"});
  expect_usage_error({"patch", "--reg", "/no/such/file", "a.img"}, "/no/such/file");
  expect_usage_error({"revert", "--reg", "/dev/null", "a.img"}, "--reg");
  expect_usage_error({"status", "--reg", "/dev/null", "a.img"}, "--reg");
}

// It writes nothing, so nothing is lost.
TEST(Options, TakesRisksForWhatWritesOnly) {
  const auto options =
      options_of({"revert", "--dirty-hive", "use-primary", "--unclean-ntfs", "accept", "a.img"});
  EXPECT_EQ(options.dirty_hive, DirtyHive::use_primary);
  EXPECT_TRUE(options.accept_unclean_ntfs);
  expect_usage_error({"status", "--dirty-hive", "use-primary", "a.img"}, "--dirty-hive");
  expect_usage_error({"status", "--unclean-ntfs", "accept", "a.img"}, "--unclean-ntfs");
}

TEST(Options, WrongUsageIsSaidWithStatus2) {
  expect_usage_error({}, "subcommand");
  expect_usage_error({"patch"}, "required");
  expect_usage_error({"plan", "-n"}, "required");
  expect_usage_error({"plan", "--no-such-option", "a.img"}, "--no-such-option");
  expect_usage_error({"plan", "-z", "a.img"}, "-z");
  expect_usage_error({"plan", "a.img", "--format", "vmdk"}, "vmdk");
  expect_usage_error({"plan", "a.img", "--accel", "fast"}, "fast");
  expect_usage_error({"plan", "a.img", "--set"}, "--set");
  expect_usage_error({"script"}, "--windows");
  expect_usage_error({"script", "--windows", "10.0", "--build", "0"}, "--build");
  expect_usage_error({"script", "--windows", "10.0", "--build", "x"}, "--build");
  expect_usage_error({"script", "--windows", "10.0", "image"}, "image");
  for (const std::string option : {"--autotuning", "--firstboot"})
    expect_usage_error({"hive", "plan", "SYSTEM", "--windows", "6.1", option, "none"}, option);
}

TEST(Options, FirstBootWorkKeepsItsOrderAcrossBothOptions) {
  const std::string file = KVMNET_FIXTURES "/scripts/6.1.7601.cmd";
  for (const std::string command : {"patch", "plan"}) {
    const Options options =
        options_of({command, "--firstboot-command", "a b", "--firstboot-script", file, "x.img",
                    "--firstboot-command=--c", "--firstboot-command", "a b"});
    EXPECT_EQ(options.work, (std::vector<WorkOption>{
                                {false, "a b"}, {true, file}, {false, "--c"}, {false, "a b"}}));
    EXPECT_EQ(options.files, Words{"x.img"});
  }
  EXPECT_EQ(options_of({"script", "--windows", "6.1", "--firstboot-command", "a"}).work,
            (std::vector<WorkOption>{{false, "a"}}));
  EXPECT_TRUE(options_of({"patch", "x.img"}).work.empty());
  expect_usage_error({"patch", "--firstboot-script", "/nonexistent", "x.img"}, "/nonexistent");
  expect_usage_error({"patch", "x.img", "--firstboot-command"}, "--firstboot-command");
  expect_usage_error({"recover", "x.img", "--firstboot-command", "a"}, "--firstboot-command");
}

TEST(Options, WrongWordsAreRefusedWithThoseThatAreTaken) {
  const std::vector<std::pair<std::string, std::span<const std::string_view>>> options = {
      {"--profile", profile_names()},
      {"--autotuning", autotuning_words()},
      {"--congestion-provider", congestion_provider_words()},
      {"--heuristics", switch_words()},
      {"--forcews", switch_words()},
      {"--firstboot", firstboot_words()}};
  for (const auto& [option, words] : options) {
    const std::string message = expect_usage_error({"plan", option, "fast", "a.img"}, option);
    for (const std::string_view word : words) {
      EXPECT_NE(message.find(word), std::string::npos) << message;
      EXPECT_EQ(options_of({"plan", option, std::string(word), "a.img"}).files, Words{"a.img"});
    }
  }
}

TEST(Options, AWrongCommandAndAMissingImageAreNamed) {
  expect_usage_error({"mend", "a.img"}, "mend");
  expect_usage_error({"patch"}, "IMAGE");
}

TEST(Options, HelpAndVersionAreNoErrors) {
  for (const Words& words : {Words{"--help"}, Words{"-h"}, Words{"patch", "--help"},
                             Words{"hive", "plan", "--help"}, Words{"script", "--help"}}) {
    const Parsed parsed = parse(words);
    ASSERT_TRUE(std::holds_alternative<int>(parsed.result)) << words.front();
    EXPECT_EQ(std::get<int>(parsed.result), 0) << words.front();
    EXPECT_NE(parsed.out.find("sage"), std::string::npos) << parsed.out;
    EXPECT_EQ(parsed.err, "");
  }
  const Parsed version = parse({"--version"});
  EXPECT_EQ(std::get<int>(version.result), 0);
  EXPECT_EQ(version.out.rfind("kvmnet ", 0), 0U) << version.out;
}

TEST(Options, HelpOfACommandHasItsOwnExamples) {
  for (const auto& [words, own, other] :
       {std::tuple{Words{"plan"}, "kvmnet plan --json", "kvmnet patch "},
        std::tuple{Words{"hive", "check"}, "kvmnet hive check SYSTEM", "kvmnet hive import"},
        std::tuple{Words{"reasons"}, "Exit status: 0", "Examples:"}}) {
    Words asked = words;
    asked.emplace_back("--help");
    const std::string help = parse(asked).out;
    EXPECT_NE(help.find(own), std::string::npos) << help;
    EXPECT_EQ(help.find(other), std::string::npos) << help;
    EXPECT_NE(help.find("Exit status: 0"), std::string::npos) << help;
  }
}

TEST(Options, WrongUsageOfACommandLeadsToItsHelp) {
  expect_usage_error({"plan", "--foo", "a.img"}, "'kvmnet plan --help' tells more");
  expect_usage_error({"hive", "check", "--foo", "a"}, "'kvmnet hive check --help' tells more");
  expect_usage_error({"plan"}, "'kvmnet plan --help' tells more");
  expect_usage_error({"--foo"}, "'kvmnet --help' tells more");
}

TEST(Options, HelpNamesEveryWordOfEveryOption) {
  const std::string help = parse({"patch", "--help"}).out;
  for (const auto words : {profile_names(), autotuning_words(), congestion_provider_words(),
                           switch_words(), firstboot_words()})
    for (const std::string_view word : words) EXPECT_NE(help.find(word), std::string::npos) << word;
}

TEST(Options, RepeatNoWordThatMayBeAKey) {
  const std::vector<Words> lines = {
      {"plan", "--keys-from-stdin", "secret"},
      {"plan", "--keys-from-stdin", "secret", "a.img"},
      {"plan", "--keys-from-stdin=secret", "a.img"},
      {"script", "--windows", "10.0", "--key", "all:key:secret"},
      {"recover", "a.img", "secret", "--key=all:key:secret"},
  };
  for (const Words& words : lines) {
    const std::string message = expect_usage_error(words, "");
    EXPECT_EQ(message.find("secret"), std::string::npos) << message;
    EXPECT_NE(message.find("--key"), std::string::npos) << message;
  }
}

TEST(Options, TakeAnImageBehindKeysFromStandardInput) {
  const TempDir directory;
  EXPECT_EQ(options_of({"plan", "--keys-from-stdin", directory.path()}).files,
            Words{directory.path()});
  EXPECT_TRUE(options_of({"plan", "a.img", "--keys-from-stdin"}).keys_from_stdin);
  EXPECT_TRUE(options_of({"plan", "--keys-from-stdin", "-a", "a.img"}).keys_from_stdin);
}

}  // namespace
}  // namespace kvmnet::cli

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/hive_client.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "src/support/error.h"
#include "src/support/refusal.h"
#include "src/support/temp_dir.h"
#include "src/wall/sandbox.h"
#include "tests/support/log_writer.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/apply/windows_guest.h"
#include "tests/unit/wall/operations.h"

namespace kvmnet {
namespace {

using hive::Bytes;
using test::load_u32;
using test::store_u32;

// The hive with another bin behind it, all of it free: as large as one that Windows has filled.
Bytes enlarged(Bytes hive, std::uint32_t size) {
  const std::size_t at = hive.size();
  const auto bins_size = static_cast<std::uint32_t>(at - 4096);
  hive.resize(at + size);
  store_u32(hive, at, 0x6E696268);
  store_u32(hive, at + 4, bins_size);
  store_u32(hive, at + 8, size);
  store_u32(hive, at + 32, size - 32);
  store_u32(hive, 40, bins_size + size);
  test::update_checksum(hive);
  return hive;
}

Bytes with_build(const Bytes& hive, const std::string& build) {
  const TempDir directory;
  const std::string file = directory.path() + "/hive";
  test::write_file(file, hive);
  test::merge(file, "[\\Microsoft\\Windows NT\\CurrentVersion]\n\"CurrentBuildNumber\"=\"" + build +
                        "\"\n");
  return test::read_file(file);
}

// A hive and its logs as a guest's files, and how much of each was asked for.
struct Guest {
  std::vector<Bytes> files;
  std::vector<std::uint64_t> transferred = std::vector<std::uint64_t>(files.size());

  DistantHive hive() {
    DistantHive hive;
    for (const Bytes& file : files) hive.sizes.push_back(file.size());
    hive.read_at = [this](unsigned file, std::uint64_t offset, std::size_t size) {
      const Bytes& bytes = files.at(file);
      const std::size_t start = std::min<std::uint64_t>(offset, bytes.size());
      const std::size_t n = std::min(size, bytes.size() - start);
      transferred.at(file) += n;
      const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(start);
      return Bytes(from, from + static_cast<std::ptrdiff_t>(n));
    };
    return hive;
  }
};

// The state of `clean` after `next`, which is in the logs only.
Guest unclosed(const Bytes& clean, const Bytes& next) {
  test::HvleRecorder recorder(clean);
  recorder.commit(next);
  const test::HiveFiles files = recorder.files();
  return {{files.primary, files.logs[0], files.logs[1]}};
}

TEST(ProbeSoftwareHive, AsksForLittleOfAnUnclosedHiveOf80MiB) {
  const Bytes clean = enlarged(test::fixture_hive("nt100-19045.software"), 80 << 20);
  Guest guest = unclosed(clean, with_build(clean, "26100"));
  const SoftwareFacts facts = SoftwareHive().probe(guest.hive(), DirtyHive::replay);
  EXPECT_EQ(facts.condition.condition, hive::Condition::clean) << facts.condition.reason;
  EXPECT_EQ(facts.condition.replayed, 1U);
  EXPECT_EQ(facts.version, (WindowsVersion{10, 0, 26100}));
  EXPECT_LE(guest.transferred[0], 256U << 10);
  RecordProperty("bytes", std::to_string(guest.transferred[0]));
}

TEST(ProbeSoftwareHive, SaysWhyTheLogsDoNotApply) {
  const Bytes clean = test::fixture_hive("nt100-19045.software");
  Guest guest = unclosed(clean, with_build(clean, "26100"));
  test::spoil(guest.files[1], 700);
  const SoftwareFacts facts = SoftwareHive().probe(guest.hive(), DirtyHive::replay);
  EXPECT_EQ(facts.condition.condition, hive::Condition::dirty);
  EXPECT_NE(facts.condition.reason, "");
  EXPECT_FALSE(facts.version);
  const SoftwareFacts without = SoftwareHive().probe(guest.hive(), DirtyHive::use_primary);
  EXPECT_TRUE(without.condition.logs_given_up);
  EXPECT_EQ(without.version, (WindowsVersion{10, 0, 19045}));
}

TEST(ProbeSoftwareHive, PassesOnWhatTheGuestThrows) {
  DistantHive hive;
  hive.sizes = {8192};
  hive.read_at = [](unsigned, std::uint64_t, std::size_t) -> Bytes {
    throw guestfs::Error("the disk has gone");
  };
  EXPECT_THROW(SoftwareHive().probe(hive, DirtyHive::replay), guestfs::Error);
}

TEST(CheckHive, MakesAHiveCleanOrSaysWhyNot) {
  const Bytes clean = test::fixture_hive("nt61.system");
  const Fd file = make_memory_file("hive");
  write_whole(file, test::with_dirty_header(clean));
  EXPECT_EQ(check_hive({file}, DirtyHive::replay).condition.condition, hive::Condition::dirty);
  EXPECT_EQ(read_whole(file), test::with_dirty_header(clean));
  const HiveFacts given_up = check_hive({file}, DirtyHive::use_primary).condition;
  EXPECT_EQ(given_up.condition, hive::Condition::clean);
  EXPECT_TRUE(given_up.logs_given_up);
  EXPECT_NE(read_whole(file), test::with_dirty_header(clean));
  EXPECT_TRUE(check_hive({file}, DirtyHive::replay).structure.sound());
}

TEST(EditHive, TakesOutWhatIsToGo) {
  const Fd file = make_memory_file("hive");
  write_whole(file, test::fixture_hive("nt61.system"));
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");
  const auto nsi = hive::KeyPath::parse("ControlSet001\\Services\\nsi");
  SystemHive hive({file});
  hive.edit({SetValue{key, "New", std::nullopt, hive::dword(1), "test"},
             DeleteValue{key, "Hostname", hive::sz("guest"), "test"}, DeleteKey{nsi, "test"}});
  const ControlSet& set = hive.proven().control_sets.front();
  EXPECT_EQ(value_of(set, "Services\\Tcpip\\Parameters", "New"), hive::dword(1));
  EXPECT_FALSE(value_of(set, "Services\\Tcpip\\Parameters", "Hostname"));
  EXPECT_FALSE(has_key(set, "Services\\nsi"));
  EXPECT_THROW(SystemHive({file}).edit({DeleteValue{key, "Nothing", hive::dword(0), "test"}}),
               hive::Unsupported);
}

TEST(EditHive, WhatIsDoneMeanwhileFailsAfterAnEditThatCannotBeMade) {
  const Fd file = make_memory_file("hive");
  write_whole(file, test::fixture_hive("nt61.system"));
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");
  const SetValue set = {key, "New", std::nullopt, hive::dword(1), "test"};
  const DeleteValue missing = {key, "Nothing", hive::dword(0), "test"};
  int calls = 0;
  const auto fail = [&calls] {
    ++calls;
    throw guestfs::Error("the guest is full");
  };
  EXPECT_THROW(SystemHive({file}).edit({set}, fail), guestfs::Error);
  EXPECT_THROW(SystemHive({file}).edit({missing}, fail), hive::Unsupported);
  EXPECT_EQ(calls, 2);
  SystemHive hive({file});
  hive.edit({set}, [&calls] { ++calls; });
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(value_of(hive.proven().control_sets.front(), "Services\\Tcpip\\Parameters", "New"),
            hive::dword(1));
}

TEST(ProbeSystemHive, FindsAStructureThatIsNotSoundBeforeAnythingElseReadsIt) {
  Bytes damaged = test::fixture_hive("nt61.system");
  store_u32(damaged, 4096 + 32, 0x80000000);  // the size of the first cell
  const Fd file = make_memory_file("hive");
  write_whole(file, damaged);
  const Facts facts = SystemHive({file}).probe(DirtyHive::replay);
  EXPECT_EQ(facts.system.condition, hive::Condition::damaged);
  EXPECT_NE(facts.system.reason, "");
  EXPECT_FALSE(check_hive({file}, DirtyHive::replay).structure.sound());
  EXPECT_THROW(SystemHive({file}).edit({SetValue{hive::KeyPath::parse("Select"), "x", std::nullopt,
                                                 hive::dword(1), "test"}}),
               Error);
}

TEST(SystemHive, WithoutAProofNothingComesOfAnEdit) {
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\nsi");
  for (const char* end : {"crash", "abort", "forbidden call"}) {
    const Fd file = make_memory_file("hive");
    write_whole(file, test::fixture_hive("nt61.system"));
    std::vector<Fd> logs;
    logs.push_back(make_memory_file("log"));
    write_whole(logs[0], std::string(test::brings_to) + end + "|prove");
    SystemHive hive({file, logs, 0});
    hive.edit({SetValue{key, "New", std::nullopt, hive::dword(1), "test"}});
    EXPECT_THROW(hive.proven(), Refused) << end;
    EXPECT_THROW(hive.proven(), Error) << end;
  }
}

// Our child processes.
std::string children() {
  return read_text(open_file(fmt::format("/proc/self/task/{}/children", ::gettid()), O_RDONLY),
                   4096);
}

TEST(SoftwareHive, AnswersAgainInTheSameProcess) {
  Guest guest{{test::fixture_hive("nt100-19045.software")}};
  SoftwareHive software;
  const auto processes = children();
  EXPECT_EQ(software.probe(guest.hive(), DirtyHive::replay).version,
            software.probe(guest.hive(), DirtyHive::replay).version);
  EXPECT_EQ(children(), processes);
}

TEST(SystemHive, AnswersAllInOneProcess) {
  const Fd file = make_memory_file("hive");
  const Bytes content = test::fixture_hive("nt61.system");
  SystemHive hive({file}, content.size());
  hive.start();
  write_whole(file, content);
  const std::string process = children();
  EXPECT_EQ(std::count(process.begin(), process.end(), ' '), 1) << process;
  EXPECT_EQ(hive.probe(DirtyHive::replay).system.condition, hive::Condition::clean);
  const auto key = hive::KeyPath::parse("ControlSet001\\Services\\Tcpip\\Parameters");
  const RegQuestion question = {{}, {{key, {"New"}}}};
  EXPECT_TRUE(hive.ask(question, SystemHive::State::found).keys[0].named.empty());
  const EditedHive edited = hive.edit({SetValue{key, "New", std::nullopt, hive::dword(1), "test"}});
  EXPECT_EQ(hive.ask(question, SystemHive::State::edited).keys[0].named,
            (std::vector<hive::NamedValue>{{"New", hive::dword(1)}}));
  EXPECT_TRUE(hive.ask(question, SystemHive::State::found).keys[0].named.empty());
  EXPECT_NE(hive.read_record("no record").damage, "");
  EXPECT_EQ(children(), process);
  hive.end();
  EXPECT_EQ(children(), "");
  EXPECT_EQ(read_whole(file), content);
  EXPECT_NE(read_whole(edited.file), content);
}

TEST(SystemHive, ARecordThatBringsItsReaderDownIsNoWordAgainstTheHive) {
  const Fd file = make_memory_file("hive");
  write_whole(file, std::string(test::brings_to) + "crash|record");
  SystemHive hive({file});
  EXPECT_EQ(hive.probe(DirtyHive::replay).system.condition, hive::Condition::damaged);
  const std::string damage = hive.read_record("{}").damage;
  EXPECT_NE(damage.find("it brings down the process that reads it"), std::string::npos) << damage;
  EXPECT_EQ(hive.probe(DirtyHive::replay).system.condition, hive::Condition::damaged);
}

// A way to die, and the words for it.
struct Death {
  const char* operation;
  const char* words;
};

TEST(HiveClient, EveryWayToDieOfAHiveIsADamagedHive) {
  for (const Death& death :
       {Death{"crash", "crashes the process"}, Death{"abort", "crashes the process"},
        Death{"recurse", "crashes the process"}, Death{"say", "crashes the process"},
        Death{"forbidden call", "must not"}, Death{"allocate 2 GiB", "more than any sound hive"}}) {
    if (wall::sanitized && std::string_view(death.operation).starts_with("allocate")) continue;
    const std::string begin = std::string(test::brings_to) + death.operation;
    const Fd hive = make_memory_file("hive");
    write_whole(hive, begin);
    const auto work = {std::function<void()>([&] { check_hive({hive}, DirtyHive::replay); }),
                       std::function<void()>([&] { SystemHive({hive}).probe(DirtyHive::replay); })};
    for (const auto& work_on : work) {
      try {
        work_on();
        ADD_FAILURE() << death.operation;
      } catch (const Refused& e) {
        EXPECT_EQ(e.refusal.reason, Reason::damaged_hive) << death.operation;
        EXPECT_NE(e.refusal.message.find(death.words), std::string::npos) << e.refusal.message;
      }
    }
  }
}

}  // namespace
}  // namespace kvmnet

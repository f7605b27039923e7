// SPDX-License-Identifier: GPL-2.0-or-later
// What goes through the wall, and what a hostile child can make of it.
#include "src/wall/wall.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <stdexcept>

#include "hive/hive.h"
#include "src/wall/protocol.h"
#include "src/wall/sandbox.h"
#include "tests/support/minimal_hive.h"
#include "tests/unit/wall/operations.h"

namespace kvmnet::wall {
namespace {

using test::request;
using test::result_of;
using testing::PrintToString;

constexpr const char* process = "the process that reads the guest's data";

// "Breach: the process that reads the guest's data (OPERATION) WHAT".
std::string breach(const std::string& operation, const std::string& what) {
  return fmt::format("Breach: {} ({}) {}", process, operation, what);
}

// A file in memory that `text` was written to.
Fd file_with(std::string_view text) {
  Fd file = make_memory_file("test");
  write_whole(file, text);
  return file;
}

std::string text_of(const Fd& file) {
  const auto bytes = read_whole(file);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A file that only the parent has: every byte tells where it is.
std::vector<std::byte> numbered(unsigned file, std::uint64_t offset, std::size_t size) {
  constexpr std::uint64_t end = 5'000'000;
  std::vector<std::byte> bytes;
  for (std::uint64_t at = offset; at < std::min(end, offset + size); ++at)
    bytes.push_back(static_cast<std::byte>((at * 7 + (at >> 12) + file) & 0xFF));
  return bytes;
}

TEST(Wall, TheAnswerIsWhatTheHandlerReturns) {
  EXPECT_EQ(result_of(request("echo", "hello")), "hello");
  EXPECT_EQ(result_of(request("echo", "")), "");
  EXPECT_EQ(result_of(request("echo", std::string("\0\xff\n", 3))), std::string("\0\xff\n", 3));
}

TEST(Wall, MessagesAndAnswersMayBeLarge) {
  std::string text;
  for (int i = 0; i < 10'000'000; ++i) text.push_back(static_cast<char>(i * 7 + (i >> 12)));
  EXPECT_EQ(result_of(request("echo", text)) == text, true);
}

TEST(Wall, AnExceptionOfTheHandlerIsAnErrorWithItsText) {
  EXPECT_EQ(result_of(request("fail", "no such key")), "Error: no such key");
  EXPECT_EQ(result_of(request("fail", std::string(10'000, 'x'))),
            "Error: " + std::string(4096, 'x'));
}

TEST(Wall, FilesAreHandedOverInTheirOrder) {
  const Fd first = file_with("ab");
  const Fd second = file_with("cde");
  auto both = request("double files");
  both.files = {&second, &first};
  EXPECT_EQ(result_of(both), "5");
  EXPECT_EQ(text_of(first), "abab");
  EXPECT_EQ(text_of(second), "cdecde");
}

TEST(Wall, ManyFilesAreHandedOver) {
  std::vector<Fd> files;
  auto many = request("double files");
  for (int i = 0; i < 50; ++i) files.push_back(file_with(std::to_string(i)));
  for (const Fd& file : files) many.files.push_back(&file);
  EXPECT_EQ(result_of(many), "90");
  EXPECT_EQ(text_of(files[49]), "4949");
}

TEST(Wall, ADescriptorThatIsClosedIsAnError) {
  const Fd closed;
  auto with_closed = request("echo");
  with_closed.files = {&closed};
  EXPECT_EQ(result_of(with_closed), "Error: starting /proc/self/exe: Bad file descriptor");
}

TEST(Wall, AHiveIsEditedInAFileInMemoryByHivex) {
  const Fd file = make_memory_file("hive");
  write_whole(file, test::minimal_hive());
  auto edit = request("edit hive");
  edit.files = {&file};
  EXPECT_EQ(result_of(edit), "Key Gr\u00f6\u00dfe dword:0x00100000");
  const hive::Hive hive(proc_path(file), hive::Hive::Mode::read);
  EXPECT_EQ(hive.subkeys(hive::KeyPath::parse("Key")), std::vector<std::string>{"Below"});
}

TEST(Wall, TheChildReadsWhatOnlyTheParentHas) {
  auto read = request("read at", "3 4999990 5");
  read.read_at = numbered;
  const auto expected = [](unsigned file, std::uint64_t offset, std::size_t size) {
    const auto bytes = numbered(file, offset, size);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  EXPECT_EQ(result_of(read), expected(3, 4999990, 5));
  read.message = "1 4999990 100";
  EXPECT_EQ(result_of(read), expected(1, 4999990, 10)) << "over the end";
  read.message = "1 5000000 1";
  EXPECT_EQ(result_of(read), "") << "behind the end";
  read.message = "2 0 0";
  EXPECT_EQ(result_of(read), "") << "nothing";
  read.message = "2 10 4999000";
  EXPECT_EQ(result_of(read) == expected(2, 10, 4999000), true) << "more than one question";
  EXPECT_EQ(result_of(request("read at", "0 0 1")), "no read_at");
}

TEST(Wall, WhatReadAtThrowsIsThrown) {
  auto read = request("read at", "0 0 1");
  read.read_at = [](unsigned, std::uint64_t, std::size_t) -> std::vector<std::byte> {
    throw std::out_of_range("the disk is gone");
  };
  EXPECT_THROW(call(read), std::out_of_range);
}

TEST(Wall, TimeThatReadAtTakesIsNotTheChilds) {
  auto read = request("read at", "0 0 1");
  read.limits.time = std::chrono::milliseconds(2000);
  read.read_at = [](unsigned, std::uint64_t, std::size_t) {
    ::usleep(2'200'000);
    return std::vector<std::byte>(1, std::byte{'a'});
  };
  EXPECT_EQ(result_of(read), "a");
}

TEST(Wall, TheChildMayAskForSoMuchOnly) {
  auto read = request("read at", "0 0 100001");
  read.read_at = numbered;
  read.limits.read = 100'000;
  EXPECT_EQ(result_of(read), breach("read at", "asked for what it must not"));
  auto for_ever = request("read for ever");
  for_ever.limits.read = 1'000'000;
  unsigned questions = 0;
  for_ever.read_at = [&questions](unsigned, std::uint64_t, std::size_t) {
    ++questions;
    return std::vector<std::byte>();
  };
  EXPECT_EQ(result_of(for_ever), breach("read for ever", "asked for what it must not"));
  EXPECT_EQ(questions, 1'000'000U / 4096);
}

// ---- a child that breaks the rules of the conversation

std::string raw(const Header& header, const std::string& more = {}) {
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes + more;
}

TEST(Wall, AnUnknownWordIsABreach) {
  EXPECT_EQ(result_of(request("say", raw({static_cast<Kind>(6), 0, 0, 0}))),
            breach("say", "said what it must not"));
  EXPECT_EQ(result_of(request("say", std::string(24, '\xff'))),
            breach("say", "said what it must not"));
  EXPECT_EQ(result_of(request("say", raw({Kind::ready, 0, 0, 0}))),
            breach("say", "said what it must not"));
}

TEST(Wall, AnEndWithinAWordOrBeforeItIsABreach) {
  EXPECT_EQ(result_of(request("say", "")), breach("say", "ended without an answer"));
  EXPECT_EQ(result_of(request("say", "123")), breach("say", "ended without an answer"));
  EXPECT_EQ(result_of(request("say", raw({Kind::answer, 0, 0, 5}, "1234"))),
            breach("say", "ended within its answer"));
  EXPECT_EQ(result_of(request("say", raw({Kind::answer, 0, 0, 200 << 20}, "1234"))),
            breach("say", "ended within its answer"));
}

TEST(Wall, MoreThanAnAnswerIsABreach) {
  EXPECT_EQ(result_of(request("say", raw({Kind::answer, 0, 0, 3}, "123"))), "123");
  EXPECT_EQ(result_of(request("say", raw({Kind::answer, 0, 0, 3}, "1234"))),
            breach("say", "said more than it had announced"));
}

TEST(Wall, AnswersAreBounded) {
  auto echo = request("echo", "12345");
  echo.limits.answer = 5;
  EXPECT_EQ(result_of(echo), "12345");
  echo.limits.answer = 4;
  EXPECT_EQ(result_of(echo), breach("echo", "said more than it may"));
  for (const Kind kind : {Kind::answer, Kind::failure, Kind::out_of_memory})
    EXPECT_EQ(result_of(request("say", raw({kind, 0, 0, ~0ULL}))),
              breach("say", "said more than it may"));
  EXPECT_EQ(result_of(request("say", raw({Kind::failure, 0, 0, 4097}, std::string(4097, 'x')))),
            breach("say", "said more than it may"));
}

TEST(Wall, QuestionsAreBounded) {
  unsigned questions = 0;
  auto ask = request("say");
  ask.read_at = [&questions](unsigned, std::uint64_t, std::size_t) {
    ++questions;
    return std::vector<std::byte>();
  };
  for (const std::uint64_t size : {(2ULL << 20) + 1, ~0ULL, ~0ULL - 4095}) {
    ask.message = raw({Kind::question, 0, 0, size});
    EXPECT_EQ(result_of(ask), breach("say", "asked for what it must not"));
  }
  EXPECT_EQ(questions, 0U);
  ask.message = raw({Kind::question, ~0U, ~0ULL, 2 << 20});
  EXPECT_EQ(result_of(ask), breach("say", "ended without an answer"));
  EXPECT_EQ(questions, 1U) << "file and offset are the business of read_at";
  EXPECT_EQ(result_of(request("say", raw({Kind::question, 0, 0, 1}))),
            breach("say", "asked for what it must not"))
      << "there is no read_at";
}

TEST(Wall, AChildThatStaysAfterItsAnswerIsABreach) {
  auto stays = request("say and sleep", raw({Kind::answer, 0, 0, 2}, "ok"));
  stays.limits.time = std::chrono::milliseconds(2000);
  EXPECT_EQ(result_of(stays), breach("say and sleep", "ran into its limit of 2.0 s"));
  auto hides = request("close all and sleep");
  hides.limits.time = std::chrono::milliseconds(2000);
  EXPECT_EQ(result_of(hides), breach("close all and sleep", "ran into its limit of 2.0 s"));
}

// ---- a child that ends otherwise

TEST(Wall, ACrashIsABreach) {
  const std::string crashed = result_of(request("crash"));
  if (sanitized) {
    EXPECT_EQ(crashed.find(breach("crash", "ended with status 1; it said: ")), 0U) << crashed;
    EXPECT_NE(crashed.find("AddressSanitizer: SEGV"), std::string::npos) << crashed;
  } else {
    EXPECT_EQ(crashed, breach("crash", "crashed with signal 11 (Segmentation fault)"));
  }
  EXPECT_EQ(result_of(request("leave", "7")), breach("leave", "ended with status 7"));
}

TEST(Wall, AnAbortIsABreachWithWhatItSaidEscaped) {
  EXPECT_EQ(result_of(request("abort")),
            breach("abort",
                   "crashed with signal 6 (Aborted); it said: told before "
                   "\\x1b[31mabort\\x0a"));
}

TEST(Wall, ASanitizersReportIsToldWhereThereIsASanitizer) {
  const std::string result = result_of(request("overflow heap", "0123456789abcdef"));
  if (sanitized)
    EXPECT_NE(result.find("heap-buffer-overflow"), std::string::npos) << result;
  else
    EXPECT_EQ(result, "did not notice");
}

TEST(Wall, AsMuchAsTheChildSaysItIsNotStoppedAndLittleIsKept) {
  EXPECT_EQ(result_of(request("flood")), "told");
  EXPECT_EQ(result_of(request("flood", "abort")),
            breach("flood", "crashed with signal 6 (Aborted); it said: " + std::string(4096, 'e')));
}

TEST(Wall, EndlessRecursionIsABreach) {
  const std::string result = result_of(request("recurse"));
  if (sanitized)
    EXPECT_NE(result.find("stack-overflow"), std::string::npos) << result;
  else
    EXPECT_EQ(result, breach("recurse", "crashed with signal 11 (Segmentation fault)"));
}

TEST(Wall, MemoryIsLimited) {
  auto allocate = request("allocate", std::to_string(100 << 20));
  EXPECT_EQ(result_of(allocate), "allocated");
  if (sanitized) return;  // has no such limit
  allocate.limits.memory = 100 << 20;
  EXPECT_EQ(result_of(allocate), breach("allocate", "ran out of memory"));
  EXPECT_EQ(result_of(request("allocate", std::to_string(1ULL << 30))),
            breach("allocate", "ran out of memory"));
}

TEST(Wall, ProcessorTimeIsLimited) {
  auto spin = request("spin");
  spin.limits.cpu = std::chrono::seconds(1);
  EXPECT_EQ(result_of(spin), breach("spin", "ran into its limit of 1 s of processor time"));
}

TEST(Wall, TimeIsLimited) {
  auto sleep = request("sleep");
  sleep.limits.time = std::chrono::milliseconds(2000);
  EXPECT_EQ(result_of(sleep), breach("sleep", "ran into its limit of 2.0 s"));
}

TEST(Wall, FilesAreLimitedInMemoryToo) {
  const Fd file = make_memory_file("test");
  auto fill = request("fill file");
  fill.files = {&file};
  fill.limits.file = 3 << 20;
  EXPECT_EQ(result_of(fill), breach("fill file", "ran into its limit of 3145728 bytes in a file"));
  EXPECT_EQ(read_whole(file).size(), 3U << 20);
}

TEST(Wall, SaysWhatKindOfBreachItWas) {
  const auto how = [](const Request& request) {
    try {
      call(request);
    } catch (const Breach& e) {
      return std::optional(e.how());
    }
    return std::optional<Breach::How>();
  };
  EXPECT_EQ(how(request("abort")), Breach::How::crash);
  auto sleep = request("sleep");
  sleep.limits.time = std::chrono::milliseconds(2000);
  EXPECT_EQ(how(sleep), Breach::How::limit);
  EXPECT_EQ(how(test::system_call(SYS_socket)), Breach::How::forbidden);
  EXPECT_EQ(how(request("echo", "x")), std::nullopt);
}

TEST(Wall, AnOperationThatDoesNotExistIsAnError) {
  EXPECT_EQ(result_of(request("no such")).find("Error: "), 0U);
}

}  // namespace
}  // namespace kvmnet::wall

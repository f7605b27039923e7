// SPDX-License-Identifier: GPL-2.0-or-later
// Reading firstboot.result, which a guest wrote and anybody in it may have changed.
#include "src/plan/firstboot_result.h"

#include <gtest/gtest.h>

namespace kvmnet {
namespace {

using firstboot::parse_result;

const std::string id = "0123456789abcdef";
const std::string header = "kvmnet-firstboot-result 1\r\n";
const std::string commands =
    "mandatory 0 netsh interface tcp set heuristics disabled\r\n"
    "soft 1 netsh interface tcp set heuristics forcews=enabled\r\n";

std::string result_file(const std::string& status, const std::string& lines = commands) {
  return header + "id " + id + "\r\nboot 2\r\n" + lines + "status " + status + "\r\n";
}

// The id and the status that a file says, or "nothing".
std::string read(const std::string& content) {
  const auto result = parse_result(content);
  return result ? result->id + " " + std::string(to_string(result->status)) : "nothing";
}

TEST(FirstBootResult, ReadsWhatTheScriptWrites) {
  const auto result = parse_result(result_file("done"));
  ASSERT_TRUE(result);
  const firstboot::Result expected = {
      id,
      2,
      firstboot::Status::done,
      {{true, 0, "netsh interface tcp set heuristics disabled"},
       {false, 1, "netsh interface tcp set heuristics forcews=enabled"}},
      {}};
  EXPECT_EQ(*result, expected);
}

TEST(FirstBootResult, HasThreeStatuses) {
  for (const std::string status : {"done", "retry", "failed"})
    EXPECT_EQ(read(result_file(status)), id + " " + status);
  for (const std::string status : {"d", "do", "don", "donee", "success", "0", "", "done done"})
    EXPECT_EQ(read(result_file(status)), "nothing") << status;
}

TEST(FirstBootResult, ReadsOtherLineEndsAndBlanksBeforeThem) {
  const std::string lines = "id " + id + "\nboot 1\n";
  EXPECT_EQ(read("kvmnet-firstboot-result 1\n" + lines + "status done"), id + " done");
  EXPECT_EQ(read("kvmnet-firstboot-result 1 \r\nid " + id + "  \r\nboot 1 \r\nstatus done \r\n"),
            id + " done");
}

TEST(FirstBootResult, ATruncatedFileReadsAsNothing) {
  const std::string whole = result_file("done");
  const std::size_t status_ends = whole.find("status done") + std::string("status done").size();
  for (std::size_t size = 0; size < status_ends; ++size)
    EXPECT_EQ(read(whole.substr(0, size)), "nothing") << size;
  for (std::size_t size = status_ends; size <= whole.size(); ++size)
    EXPECT_EQ(read(whole.substr(0, size)), id + " done") << size;
}

TEST(FirstBootResult, AWrongHeaderReadsAsNothing) {
  const std::string body = "\r\nid " + id + "\r\nboot 1\r\nstatus done\r\n";
  for (const std::string wrong :
       {"", "kvmnet-firstboot-result", "kvmnet-firstboot-result 2", "kvmnet-firstboot-result 10",
        " kvmnet-firstboot-result 1", "KVMNET-FIRSTBOOT-RESULT 1",
        "\xef\xbb\xbfkvmnet-firstboot-result 1", "\r\nkvmnet-firstboot-result 1"})
    EXPECT_EQ(read(wrong + body), "nothing") << wrong;
  EXPECT_NE(read("kvmnet-firstboot-result 1" + body), "nothing");
}

TEST(FirstBootResult, EachOfItsThreeLinesIsThereOnce) {
  const std::vector<std::string> lines = {"id " + id + "\r\n", "boot 1\r\n", "status done\r\n"};
  for (std::size_t left_out = 0; left_out < lines.size(); ++left_out) {
    std::string missing = header;
    std::string twice = header;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (i != left_out) missing += lines[i];
      twice += lines[i] + (i == left_out ? lines[i] : "");
    }
    EXPECT_EQ(read(missing), "nothing") << missing;
    EXPECT_EQ(read(twice), "nothing") << twice;
  }
}

TEST(FirstBootResult, MalformedLinesReadAsNothing) {
  const std::string good_id = "id " + id + "\r\n";
  for (const std::string& body :
       {"id \r\nboot 1\r\nstatus done\r\n" + std::string(), good_id + "boot 1\r\nstatus \r\n",
        "id\r\nboot 1\r\nstatus done\r\n" + std::string(),
        "ID " + id + "\r\nboot 1\r\nSTATUS done\r\n", " " + good_id + "boot 1\r\n status done\r\n",
        good_id + "boot 0\r\nstatus done\r\n", good_id + "boot 4\r\nstatus done\r\n",
        good_id + "boot 11\r\nstatus done\r\n", good_id + "boot\r\nstatus done\r\n",
        good_id + "boot 1\r\nstatus done\r\nboot 1\r\n"})
    EXPECT_EQ(read(header + body), "nothing") << body;
}

TEST(FirstBootResult, ACommandWithoutItsCodeReadsAsNothing) {
  EXPECT_EQ(read(result_file("done", "soft -1073741510 netsh\r\n")), id + " done");
  for (const std::string code : {"", "x", "1x", "0x1", "2147483648", "1.0", "+1", " 1"})
    EXPECT_EQ(read(result_file("done", "mandatory " + code + " netsh\r\n")), "nothing") << code;
  EXPECT_EQ(read(result_file("done", "soft 0\r\n")), "nothing");
}

std::string work_id(char digit) {
  return std::string(16, digit);
}

TEST(FirstBootResult, ReadsTheUsersWork) {
  const std::string begun = "work " + work_id('a') + " begun command\r\n";
  const std::string cut_off = "work " + work_id('b') + " begun b_c.cmd\r\n";
  const auto result = parse_result(
      result_file("done", begun + "work " + work_id('a') + " exit -1\r\n\r\n" + cut_off));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->work,
            (std::vector<firstboot::WorkResult>{{work_id('a'), "command", -1},
                                                {work_id('b'), "b_c.cmd", std::nullopt}}));
}

// The lines were written one by one, and a power cut may have hit each of them.
TEST(FirstBootResult, WorkThatIsNotNotedRightIsLeftOut) {
  const auto plain = parse_result(result_file("done"));
  ASSERT_TRUE(plain);
  const std::string id_a = work_id('a');
  for (const std::string& line :
       {std::string("work"), "work " + id_a, "work " + id_a + " beg", "work " + id_a + " begun",
        "work " + id_a.substr(1) + " begun x", std::string("work X begun x"),
        "work " + id_a + " exit 0",  // never begun
        "work " + id_a + " begun x" + std::string(3, '\0')})
    EXPECT_EQ(parse_result(result_file("done", commands + line + "\r\n")), plain) << line;
}

TEST(FirstBootResult, LinesOfOtherKindsAreLeftOut) {
  const auto plain = parse_result(result_file("done"));
  ASSERT_TRUE(plain);
  for (const std::string& line :
       {std::string("later 1 2 3"), std::string(), std::string(" "),
        std::string("mandatory 0 \x1b[31m"), "soft 0 " + std::string(1, '\0'),
        "soft 0 " + std::string(1000, 'a'), std::string("id \xff")})
    EXPECT_EQ(parse_result(result_file("done", commands + line + "\r\n")), plain) << line;
}

TEST(FirstBootResult, HostileWordsReadAsNothing) {
  const std::string nul(1, '\0');
  for (const std::string& word :
       {"\x1b[31mdone" + std::string(), "done" + nul, nul + "done", std::string("done\tx"),
        std::string("Done"), std::string("d\xc3\xb6ne"), std::string("\xff"),
        std::string("done%PATH%"), std::string("../done"), std::string(65, 'a'),
        std::string(1 << 20, 'a')}) {
    EXPECT_EQ(read(result_file(word)), "nothing") << word.substr(0, 80);
    EXPECT_EQ(read(header + "id " + word + "\r\nboot 1\r\nstatus done\r\n"), "nothing")
        << word.substr(0, 80);
  }
}

TEST(FirstBootResult, AMebibyteOfAnythingIsReadWithoutHarm) {
  for (const char c : {'\0', 'a', '\xff', '\n'})
    EXPECT_EQ(read(header + std::string(1 << 20, c)), "nothing");
  std::string lines;
  while (lines.size() < 1 << 20) lines += "soft 0 a\n";
  EXPECT_EQ(read(result_file("done", lines)), "nothing");
}

}  // namespace
}  // namespace kvmnet

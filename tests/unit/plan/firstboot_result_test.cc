// SPDX-License-Identifier: GPL-2.0-or-later
// Reading firstboot.result, which a guest wrote and anybody in it may have changed.
#include <gtest/gtest.h>

#include "src/plan/firstboot.h"

namespace kvmnet {
namespace {

const std::string id = "0123456789abcdef";

// The id and the status that a file says, or "nothing".
std::string read(const std::string& content) {
  const auto result = firstboot::parse_result(content);
  return result ? result->id + " " + result->status : "nothing";
}

std::string result_file(const std::string& status) {
  return "kvmnet-firstboot-result 1\r\nid " + id +
         "\r\nboot 1\r\nmandatory 0 netsh interface tcp set heuristics disabled\r\n"
         "soft 1 netsh interface tcp set heuristics forcews=enabled\r\nstatus " +
         status + "\r\n";
}

TEST(FirstBootResult, ReadsWhatTheScriptWrites) {
  for (const std::string status : {"done", "retry", "failed"})
    EXPECT_EQ(read(result_file(status)), id + " " + status);
}

TEST(FirstBootResult, ReadsOtherLineEndsAndBlanksBeforeThem) {
  EXPECT_EQ(read("kvmnet-firstboot-result 1\nid " + id + "\nstatus done"), id + " done");
  EXPECT_EQ(read("kvmnet-firstboot-result 1 \r\nid " + id + "  \r\nstatus done \r\n"),
            id + " done");
}

TEST(FirstBootResult, ATruncatedFileReadsAsNothing) {
  const std::string whole = result_file("done");
  const std::size_t status_ends = whole.find("status done") + std::string("status done").size();
  for (std::size_t size = 0; size < whole.find("status "); ++size)
    EXPECT_EQ(read(whole.substr(0, size)), "nothing") << size;
  for (std::size_t size = status_ends; size <= whole.size(); ++size)
    EXPECT_EQ(read(whole.substr(0, size)), id + " done") << size;
}

TEST(FirstBootResult, NothingButTheThreeStatusesIsOne) {
  for (const std::string status : {"d", "do", "don", "donee", "success", "0"})
    EXPECT_EQ(read(result_file(status)), "nothing") << status;
}

TEST(FirstBootResult, AWrongHeaderReadsAsNothing) {
  const std::string body = "\r\nid " + id + "\r\nstatus done\r\n";
  for (const std::string header :
       {"", "kvmnet-firstboot-result", "kvmnet-firstboot-result 2", "kvmnet-firstboot-result 10",
        " kvmnet-firstboot-result 1", "KVMNET-FIRSTBOOT-RESULT 1",
        "\xef\xbb\xbfkvmnet-firstboot-result 1", "\r\nkvmnet-firstboot-result 1"})
    EXPECT_EQ(read(header + body), "nothing") << header;
  EXPECT_NE(read("kvmnet-firstboot-result 1" + body), "nothing");
}

TEST(FirstBootResult, MissingLinesReadAsNothing) {
  const std::string header = "kvmnet-firstboot-result 1\r\n";
  for (const std::string& body :
       {std::string(), "id " + id + "\r\n", std::string("status done\r\n"),
        "id \r\nstatus done\r\n" + std::string(), "id " + id + "\r\nstatus \r\n",
        "id\r\nstatus done\r\n" + std::string(), "ID " + id + "\r\nSTATUS done\r\n",
        " id " + id + "\r\n status done\r\n"})
    EXPECT_EQ(read(header + body), "nothing") << body;
}

TEST(FirstBootResult, HostileWordsReadAsNothing) {
  const std::string nul(1, '\0');
  for (const std::string& word :
       {"\x1b[31mdone" + std::string(), "done" + nul, nul + "done", std::string("done done"),
        std::string("done\tx"), std::string("Done"), std::string("d\xc3\xb6ne"),
        std::string("\xff"), std::string("done%PATH%"), std::string("../done"),
        std::string(65, 'a'), std::string(1 << 20, 'a')}) {
    EXPECT_EQ(read(result_file(word)), "nothing") << word.substr(0, 80);
    EXPECT_EQ(read("kvmnet-firstboot-result 1\r\nid " + word + "\r\nstatus done\r\n"), "nothing")
        << word.substr(0, 80);
  }
}

TEST(FirstBootResult, AMebibyteOfAnythingIsReadWithoutHarm) {
  const std::string header = "kvmnet-firstboot-result 1\r\n";
  for (const char c : {'\0', 'a', '\xff'})
    EXPECT_EQ(read(header + std::string(1 << 20, c)), "nothing");
  std::string lines = header;
  while (lines.size() < 1 << 20) lines += "id\nstatus\n\r\n" + std::string(50, ' ') + "\n";
  EXPECT_EQ(read(lines), "nothing");
}

}  // namespace
}  // namespace kvmnet

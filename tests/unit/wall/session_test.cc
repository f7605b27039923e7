// SPDX-License-Identifier: GPL-2.0-or-later
// A child that works on several requests, what it writes, and what a hostile one can make of it.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "src/wall/protocol.h"
#include "src/wall/wall.h"
#include "tests/unit/wall/operations.h"

namespace kvmnet::wall {
namespace {

std::string result_of(Session& session, const std::string& operation,
                      const std::string& message = {}) {
  try {
    return session.ask(operation, message);
  } catch (const Breach& e) {
    return std::string("Breach: ") + e.what();
  } catch (const Error& e) {
    return std::string("Error: ") + e.what();
  }
}

std::string end_of(Session& session) {
  try {
    session.finish();
    return "ended";
  } catch (const Breach& e) {
    return std::string("Breach: ") + e.what();
  }
}

std::string breach(const std::string& operation, const std::string& what) {
  return fmt::format("Breach: the process that reads the guest's data ({}) {}", operation, what);
}

std::string raw(const Header& header, const std::string& more = {}) {
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes + more;
}

TEST(WallSession, TheChildKeepsWhatItKnows) {
  Session session({});
  EXPECT_EQ(result_of(session, "count"), "1");
  EXPECT_EQ(result_of(session, "echo", std::string(3'000'000, 'e')).size(), 3'000'000U);
  EXPECT_EQ(result_of(session, "count"), "2");
  EXPECT_EQ(end_of(session), "ended");
  Session other({});
  EXPECT_EQ(result_of(other, "count"), "1");
}

TEST(WallSession, GoesOnAfterAnException) {
  Session session({});
  EXPECT_EQ(result_of(session, "count"), "1");
  EXPECT_EQ(result_of(session, "fail", "no such file"), "Error: no such file");
  EXPECT_EQ(result_of(session, "no such"), "Error: unknown operation no such");
  EXPECT_EQ(result_of(session, "count"), "2");
  EXPECT_EQ(end_of(session), "ended");
}

TEST(WallSession, EndsWithTheFirstCrash) {
  Session session({});
  EXPECT_EQ(result_of(session, "leave", "7"), breach("leave", "ended with status 7"));
}

TEST(WallSession, IsLockedUpForEachRequest) {
  Session session({});
  EXPECT_EQ(result_of(session, "open", "/etc/passwd 0"), "EACCES");
  EXPECT_EQ(result_of(session, "echo", "x"), "x");
  EXPECT_EQ(result_of(session, "open", "/etc/passwd 0"), "EACCES");
  EXPECT_EQ(result_of(session, "system call", fmt::format("{} 0 0 0", SYS_socket)),
            breach("system call", "made a forbidden system call"));
}

TEST(WallSession, TimeCountsForEachRequest) {
  Means means;
  means.limits.time = std::chrono::milliseconds(1500);
  Session session(means);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(result_of(session, "nap", "800"), "awake");
    ::usleep(900'000);
  }
  EXPECT_EQ(result_of(session, "sleep"), breach("sleep", "ran into its limit of 1.5 s"));
}

TEST(WallSession, WhatTheParentDoesMeanwhileTakesNoTime) {
  Means means;
  means.limits.time = std::chrono::milliseconds(1000);
  Session session(means);
  session.begin("nap", "1800");
  ::usleep(1'500'000);
  EXPECT_EQ(session.answer(), "awake");
  EXPECT_EQ(end_of(session), "ended");
}

TEST(WallSession, SeveralWorkAtOnce) {
  Session first({});
  Session second({});
  first.begin("echo", "a");
  second.begin("fail", "b");
  EXPECT_THROW(second.answer(), Error);
  EXPECT_EQ(first.answer(), "a");
  second.begin("echo", "c");
  EXPECT_EQ(second.answer(), "c");
}

TEST(WallSession, AnAnswerThatNobodyAskedForIsABreachAtTheEnd) {
  Session session({});
  const std::string twice = raw({Kind::answer, 0, 0, 2}, "ok") + raw({Kind::answer, 0, 0, 2}, "no");
  EXPECT_EQ(result_of(session, "say", twice), "ok");
  EXPECT_EQ(end_of(session), breach("say", "said more than it had announced"));
}

TEST(WallSession, AChildThatStaysIsABreachAtTheEnd) {
  Means means;
  means.limits.time = std::chrono::milliseconds(2000);
  Session session(means);
  EXPECT_EQ(result_of(session, "say and sleep", raw({Kind::answer, 0, 0, 2}, "ok")), "ok");
  EXPECT_EQ(end_of(session), breach("say and sleep", "ran into its limit of 2.0 s"));
}

TEST(WallSession, OneThatIsNotFinishedIsEnded) {
  Session session({});
  EXPECT_EQ(result_of(session, "say and sleep", raw({Kind::answer, 0, 0, 2}, "ok")), "ok");
}

// ---- writing

// What was written: "FILE@OFFSET+SIZE ".
struct Written {
  std::string what;
  std::string bytes;
  bool can_be_done = true;

  Means means() {
    Means means;
    means.write_at = [this](unsigned file, std::uint64_t offset,
                            std::span<const std::byte> written) {
      what += fmt::format("{}@{}+{} ", file, offset, written.size());
      bytes.append(reinterpret_cast<const char*>(written.data()), written.size());
      return can_be_done;
    };
    return means;
  }
};

TEST(WallSession, WhatTheChildWritesComesToTheParent) {
  Written written;
  Session session(written.means());
  EXPECT_EQ(result_of(session, "write at", "3 4096 12"), "done");
  EXPECT_EQ(written.what, "3@4096+12 ");
  EXPECT_EQ(written.bytes, "012345678901");
  EXPECT_EQ(result_of(session, "write at", "0 10 5000000"), "done") << "more than one question";
  EXPECT_EQ(written.bytes.size(), 5'000'012U);
  EXPECT_EQ(written.what, "3@4096+12 0@10+2097152 0@2097162+2097152 0@4194314+805696 ");
  written.can_be_done = false;
  EXPECT_EQ(result_of(session, "write at", "0 0 1"), "not done");
  EXPECT_EQ(end_of(session), "ended");
}

TEST(WallSession, WithoutWriteAtNothingIsWritten) {
  Session honest({});
  EXPECT_EQ(result_of(honest, "write at", "0 0 1"), "no write_at");
  Session hostile({});
  EXPECT_EQ(result_of(hostile, "say", raw({Kind::write, 0, 0, 1}, "x")),
            breach("say", "asked for what it must not"));
}

TEST(WallSession, TheChildMayWriteSoMuchOnly) {
  Written written;
  Means means = written.means();
  means.limits.write = 100'000;
  Session large(means);
  EXPECT_EQ(result_of(large, "write at", "0 0 100001"),
            breach("write at", "asked for what it must not"));
  EXPECT_EQ(written.what, "");
  Session often(means);
  EXPECT_EQ(result_of(often, "write for ever"),
            breach("write for ever", "asked for what it must not"));
  EXPECT_EQ(written.bytes.size(), 100'000U / 4096);
}

TEST(WallSession, WritesAreBounded) {
  for (const std::uint64_t size : {(2ULL << 20) + 1, ~0ULL, ~0ULL - 4095}) {
    Written written;
    Session session(written.means());
    EXPECT_EQ(result_of(session, "say", raw({Kind::write, 0, 0, size})),
              breach("say", "asked for what it must not"));
    EXPECT_EQ(written.what, "");
  }
}

TEST(WallSession, AWriteThatDoesNotComeWholeIsABreachAndNotDone) {
  Written written;
  Session ends(written.means());
  EXPECT_EQ(result_of(ends, "say", raw({Kind::write, 0, 0, 5}, "1234")),
            breach("say", "ended within its answer"));
  Means means = written.means();
  means.limits.time = std::chrono::milliseconds(2000);
  Session waits(means);
  EXPECT_EQ(result_of(waits, "say and sleep", raw({Kind::write, 0, 0, 5}, "1234")),
            breach("say and sleep", "ran into its limit of 2.0 s"));
  EXPECT_EQ(written.what, "");
}

TEST(WallSession, FileAndOffsetAreTheBusinessOfWriteAt) {
  Written written;
  Session session(written.means());
  EXPECT_EQ(result_of(session, "say", raw({Kind::write, ~0U, ~0ULL, 1}, "x")),
            breach("say", "ended without an answer"));
  EXPECT_EQ(written.what, "4294967295@18446744073709551615+1 ");
}

}  // namespace
}  // namespace kvmnet::wall

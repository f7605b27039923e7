// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace kvmnet {
namespace {

// What leaves with_context when the step throws `thrown`.
template <typename Exception>
std::string message_of(const Exception& thrown) {
  try {
    with_context("reading a.img", [&] { throw thrown; });
  } catch (const Error& e) {
    return e.what();
  }
  return "not an Error";
}

TEST(Error, SystemErrorsSayWhatAndWhy) {
  EXPECT_STREQ(system_error("a.img", ENOENT).what(), "a.img: No such file or directory");
}

TEST(Error, ContextGoesBeforeTheMessagesOfOtherLibraries) {
  EXPECT_EQ(message_of(std::runtime_error("bad cell")), "reading a.img: bad cell");
}

TEST(Error, OurOwnErrorsPassUnchanged) {
  EXPECT_EQ(message_of(Error("no such image")), "no such image");
  EXPECT_THROW(with_context("x", [] { throw UsageError("--y"); }), UsageError);
}

TEST(Error, ContextPassesTheResultOn) {
  EXPECT_EQ(with_context("x", [] { return std::string("result"); }), "result");
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/direct_messages.h"

#include <gtest/gtest.h>

#include "src/support/error.h"

namespace kvmnet {
namespace {

TEST(DirectMessages, WhatIsWrittenIsRead) {
  const std::string message = MessageWriter().number(~0ULL).text("a\0b").text("").number(0).take();
  MessageReader reader(message);
  EXPECT_EQ(reader.number(), ~0ULL);
  EXPECT_EQ(reader.text(), "a");
  EXPECT_EQ(reader.text(), "");
  EXPECT_FALSE(reader.at_end());
  EXPECT_EQ(reader.number(), 0U);
  EXPECT_TRUE(reader.at_end());
}

TEST(DirectMessages, NothingIsReadBehindTheEnd) {
  EXPECT_THROW(MessageReader("").number(), Error);
  EXPECT_THROW(MessageReader("1234567").number(), Error);
  EXPECT_THROW(MessageReader("").text(), Error);
  const std::string message = MessageWriter().text("12345").take();
  EXPECT_THROW(MessageReader(message.substr(0, message.size() - 1)).text(), Error);
  const std::string endless = MessageWriter().number(~0ULL).take() + "text";
  EXPECT_THROW(MessageReader(endless).text(), Error);
}

}  // namespace
}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// What the child does in tests: good, bad and hostile things.
#pragma once

#include <string>
#include <string_view>

#include "src/wall/wall.h"

namespace kvmnet::test {

wall::Child wall_child();

// A hive, a log of one, or a disk that begins so, and goes on with the name of an operation of
// operations.cc, makes any work on it become that operation; with "|" and another name behind it,
// only that work.
inline constexpr std::string_view brings_to = "brings to ";

// A request for an operation of operations.cc.
wall::Request request(std::string operation, std::string message = {});
// The operation that makes the system call `number` with these arguments.
wall::Request system_call(long number, long first = 0, long second = 0, long third = 0,
                          long fourth = 0, long fifth = 0);

// What call() says: the answer, or "Breach: ...", or "Error: ...".
std::string result_of(const wall::Request& request);

}  // namespace kvmnet::test

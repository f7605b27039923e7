// SPDX-License-Identifier: GPL-2.0-or-later
// The errors of src/, and how they get their context on the way up.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace kvmnet {

// Work failed; the message reads on its own and names what it is about.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The user asked for something that makes no sense; exit status 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

// Nobody reads our output any more, as `head` does not when it has enough.
class OutputClosed : public Error {
 public:
  using Error::Error;
};

// "WHAT: strerror(ERRNO)".
Error system_error(std::string_view what, int error_number);

// Runs `step`; an exception leaves with "WHAT: " before its message, so that the whole reads like
// a path. Usage errors and refusals pass unchanged.
template <typename Step>
auto with_context(std::string_view what, Step&& step) -> decltype(step()) {
  try {
    return std::forward<Step>(step)();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {}", what, e.what()));
  }
}

}  // namespace kvmnet

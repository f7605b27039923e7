// SPDX-License-Identifier: GPL-2.0-or-later
// What the hive library throws. "Not there" is never an error: see the std::optional results.
#pragma once

#include <stdexcept>

namespace kvmnet::hive {

// The hive, or the library that reads it, failed.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An edit of the hive would damage it (see Hive::set), or hivex cannot make it. Nothing was
// changed.
class Unsupported : public Error {
 public:
  using Error::Error;
};

}  // namespace kvmnet::hive

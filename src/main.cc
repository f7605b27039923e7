// SPDX-License-Identifier: GPL-2.0-or-later
// Parses, runs, and reports what nothing else has caught.
#include <cstdio>
#include <exception>

#include "src/cli/exit_status.h"
#include "src/cli/options.h"
#include "src/cli/run.h"
#include "src/support/error.h"

int main(int argc, char** argv) {
  using kvmnet::cli::ExitStatus;
  try {
    const auto options = kvmnet::cli::parse_options(argc, argv);
    if (const int* status = std::get_if<int>(&options)) return *status;
    return kvmnet::cli::run(std::get<kvmnet::cli::Options>(options));
  } catch (const kvmnet::UsageError& e) {
    std::fprintf(stderr, "kvmnet: %s\n", e.what());
    return static_cast<int>(ExitStatus::usage);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kvmnet: error: %s\n", e.what());
    return static_cast<int>(ExitStatus::failed);
  }
}

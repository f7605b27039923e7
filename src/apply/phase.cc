// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/phase.h"

namespace kvmnet {

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::open:
      return "open";
    case Phase::recover:
      return "recover";
    case Phase::copy:
      return "copy";
    case Phase::launch:
      return "launch";
    case Phase::inspect:
      return "inspect";
    case Phase::probe:
      return "probe";
    case Phase::apply:
      return "apply";
    case Phase::verify:
      return "verify";
    case Phase::prepare:
      return "prepare";
    case Phase::commit:
      return "commit";
  }
  return "";
}

void PhaseClock::begin(Phase phase) {
  end();
  current_ = phase;
  started_ = std::chrono::steady_clock::now();
  if (listener_) listener_(phase);
}

void PhaseClock::end() {
  if (!current_) return;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
  log_.emplace_back(to_string(*current_), took.count());
  current_.reset();
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The steps of the work on one image that take time or can hang, and how long each took.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvmnet {

// In their order. `recover`: of an earlier patch that was interrupted; `copy`: for --output;
// `prepare`: all that must be on disk before the image is written; `commit`: writing it.
enum class Phase { open, recover, copy, launch, inspect, probe, apply, verify, prepare, commit };
std::string_view to_string(Phase phase);

class PhaseClock {
 public:
  using Listener = std::function<void(Phase)>;
  using Log = std::vector<std::pair<std::string, double>>;  // name and seconds

  // Tells `listener` (may be empty) when a phase begins, and writes to `log` when it ends.
  PhaseClock(Listener listener, Log& log) : listener_(std::move(listener)), log_(log) {}
  PhaseClock(const PhaseClock&) = delete;
  PhaseClock& operator=(const PhaseClock&) = delete;
  ~PhaseClock() { end(); }

  void begin(Phase phase);  // ends the one before

 private:
  void end();

  Listener listener_;
  Log& log_;
  std::optional<Phase> current_;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// Many images, one after the other, each in a worker process of its own: a crash, an abort or a
// hang in a C library costs one image.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "src/apply/job.h"
#include "src/apply/outcome.h"

namespace kvmnet {

enum class AcceleratorChoice { automatic, kvm, tcg };

struct BatchRequest {
  std::vector<std::string> images;
  Job job;
  bool writes = false;  // the job changes images
  std::string output;   // the one patched copy that the job makes; empty: none
  AcceleratorChoice accelerator = AcceleratorChoice::automatic;
  std::chrono::seconds time_limit{600};  // of each phase that does not write to the image
};

struct BatchOutput {
  // An outcome as text. Called in the worker, or here if the worker died.
  std::function<std::string(const Outcome&)> render;
  // Called here, once for each image, in their order.
  std::function<void(Status, const std::string& text)> result;
  // What the user should know meanwhile, a line.
  std::function<void(const std::string& line)> note;
  // A phase of an image begins.
  std::function<void(const std::string& image, Phase)> phase;
};

// Returns 0, or the number of the signal that stopped it: SIGINT, SIGTERM, SIGHUP or SIGQUIT stop
// at once where nothing is being written to the image, and after that where it is. A
// hung worker is killed. Call from a process of one thread that holds no libguestfs handle.
int run_batch(const BatchRequest& request, const BatchOutput& output);

}  // namespace kvmnet

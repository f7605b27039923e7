// SPDX-License-Identifier: GPL-2.0-or-later
// The worker process of one image, and what it says to its parent.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "src/apply/job.h"
#include "src/apply/outcome.h"
#include "src/support/fd.h"

namespace kvmnet {

struct WorkerTask {
  std::string image;
  Job job;
  guestfs::Accelerator accelerator = guestfs::Accelerator::kvm;
  bool may_fall_back = false;  // from KVM to TCG
  std::string temporary_directory;
  std::function<std::string(const Outcome&)> render;
};

struct Message {
  enum class Kind : char {
    phase,     // `number` is a Phase; `text` is "kvm" if the appliance runs, or is to run, with it
    fallback,  // KVM did not start the appliance, TCG did: `text` says why
    result,    // `number` is a Status, `text` the rendered outcome
  };
  Kind kind = Kind::phase;
  int number = 0;
  std::string text;
};

// A started worker. It leads a session of its own, dies with us, leaves no core (it holds
// the guest's boot key), and writes to standard error only.
class Worker {
 public:
  explicit Worker(const WorkerTask& task);  // throws Error if it cannot be started
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // kills it if it still runs, and what it has left behind

  int message_fd() const { return messages_.get(); }
  // The next message; nothing when the worker has ended. Blocks: poll message_fd() first.
  std::optional<Message> receive();
  // A worker that has begun Phase::commit waits for this before it writes to the image. If it is
  // never said, the image is not written.
  void allow_writing();
  // Waits for its end: "exited with status 1", "was killed by signal 9 (Killed)".
  std::string wait();

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  Fd messages_;
  Fd permission_;
};

// Makes this process inherit the orphans of its children, so that Worker can end an appliance
// whose worker died.
void adopt_orphans();

}  // namespace kvmnet

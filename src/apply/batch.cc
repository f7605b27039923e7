// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/batch.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include "src/apply/worker.h"
#include "src/disk/beside.h"
#include "src/disk/copy.h"
#include "src/disk/recover.h"
#include "src/support/error.h"
#include "src/support/temp_dir.h"

namespace kvmnet {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr seconds kvm_launch_limit{60};  // real KVM needs 2 to 6 s; some hang for ever

// SIGINT, SIGTERM, SIGHUP and SIGQUIT as a file descriptor, for as long as the scope lasts.
class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, signal);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    fd_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_.is_open()) throw system_error("preparing for signals", errno);
  }
  ~Signals() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return fd_.get(); }
  // The signal that came; 0: none.
  int take() {
    signalfd_siginfo info{};
    const ssize_t n = ::read(fd_.get(), &info, sizeof info);
    return n == static_cast<ssize_t>(sizeof info) ? static_cast<int>(info.ssi_signo) : 0;
  }

 private:
  sigset_t before_{};
  Fd fd_;
};

class Batch {
 public:
  Batch(const BatchRequest& request, const BatchOutput& output)
      : request_(request), output_(output) {
    adopt_orphans();
    remove_stale_temp_dirs();
    choose_accelerator();
  }

  int run() {
    for (const std::string& image : request_.images) {
      run_image(image);
      if (signal_ != 0) break;
    }
    return signal_;
  }

 private:
  // How a worker ended, as far as its parent must do something about it.
  enum class End { result, died, hung, interrupted };

  void choose_accelerator() {
    using guestfs::Accelerator;
    if (guestfs::environment_decides()) {
      accelerator_ = Accelerator::environment;
    } else if (request_.accelerator != AcceleratorChoice::automatic) {
      accelerator_ =
          request_.accelerator == AcceleratorChoice::kvm ? Accelerator::kvm : Accelerator::tcg;
    } else if (const std::string why = guestfs::why_no_kvm(); !why.empty()) {
      fall_back(why);
    } else {
      may_fall_back_ = true;
    }
  }

  void fall_back(const std::string& why) {
    output_.note(
        fmt::format("KVM cannot be used ({}): going on with TCG, which is much slower", why));
    accelerator_ = guestfs::Accelerator::tcg;
    may_fall_back_ = false;
  }

  void run_image(const std::string& image) {
    End end = attempt(image);
    if (end == End::hung && may_fall_back_ && launching_with_kvm_) {
      fall_back(fmt::format("the appliance did not start within {} s", kvm_launch_limit.count()));
      end = attempt(image);
    }
    if (end == End::result) return;
    Outcome outcome;
    outcome.image = image;
    outcome.error = fmt::format("{}: {}{}", image, problem(end), clean_up(image));
    output_.result(outcome.status, output_.render(outcome));
  }

  std::string problem(End end) const {
    const std::string where = phase_ ? fmt::format(" in phase '{}'", to_string(*phase_)) : "";
    if (end == End::interrupted) return fmt::format("interrupted by signal {}{}", signal_, where);
    if (end == End::hung) return fmt::format("gave up{}: nothing happened for too long", where);
    return fmt::format("the worker process {}{}", died_, where);
  }

  End attempt(const std::string& image) {
    const TempDir directory;
    WorkerTask task;
    task.image = image;
    task.job = request_.job;
    task.accelerator = accelerator_;
    task.may_fall_back = may_fall_back_;
    task.temporary_directory = directory.path();
    task.render = output_.render;
    phase_.reset();
    Worker worker(task);
    return follow(image, worker);
  }

  End follow(const std::string& image, Worker& worker) {
    auto deadline = Clock::now() + time_limit();
    while (true) {
      if (const auto end = wait_for_message(worker, deadline)) return *end;
      const std::optional<Message> message = worker.receive();
      if (!message) {
        died_ = worker.wait();
        return End::died;
      }
      switch (message->kind) {
        case Message::Kind::phase:
          phase_ = static_cast<Phase>(message->number);
          if (phase_ == Phase::commit) worker.allow_writing();
          launching_with_kvm_ = phase_ == Phase::launch && message->text == "kvm";
          deadline = Clock::now() + time_limit();
          output_.phase(image, *phase_);
          break;
        case Message::Kind::fallback:
          fall_back(message->text);
          break;
        case Message::Kind::result:
          worker.wait();
          output_.result(static_cast<Status>(message->number), message->text);
          return End::result;
      }
    }
  }

  seconds time_limit() const {
    return launching_with_kvm_ ? std::min(kvm_launch_limit, request_.time_limit)
                               : request_.time_limit;
  }

  // Copying a large image takes its time, which nobody can tell from hanging.
  bool is_limited() const { return !is_writing() && phase_ != Phase::copy; }

  bool is_writing() const { return phase_ == Phase::commit; }

  // Returns when there is a message, or with the reason to end the worker. Nothing ends
  // one that writes to the image.
  std::optional<End> wait_for_message(const Worker& worker, Clock::time_point deadline) {
    while (true) {
      const bool limited = is_limited();
      if (signal_ != 0 && !is_writing()) return End::interrupted;
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (limited && left <= 0) return End::hung;
      std::array<pollfd, 2> fds = {{{worker.message_fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
      const int ready = ::poll(fds.data(), fds.size(), limited ? static_cast<int>(left) : -1);
      if (ready < 0 && errno != EINTR) throw system_error("waiting for a worker", errno);
      if (ready <= 0) continue;
      if (fds[1].revents != 0) signal_ = signals_.take();
      if (fds[0].revents != 0) return std::nullopt;
    }
  }

  // Removes what a killed worker left beside the image, and nobody else's: the lock tells. Returns
  // what the user must know if it was killed while it wrote to the image, or when it had.
  std::string clean_up(const std::string& image) {
    if (!request_.writes) return {};
    try {
      if (!request_.output.empty()) {
        static_cast<void>(disk::remove_leftover_copy(request_.output));
        return disk::is_there(request_.output) ? "; the copy was complete by then" : "";
      }
      const std::string name = disk::resolve_image(image);
      // The last that it does is to remove what is beside the image.
      const std::string otherwise =
          is_writing() ? "; the image may be changed completely: 'kvmnet status IMAGE' tells" : "";
      if (!disk::has_leftovers(name)) return otherwise;
      const auto refusal = disk::check_committed(name);
      if (refusal && !disk::has_only_prepared(name))
        return fmt::format("; {}; {}", refusal->message, remedy(refusal->reason));
      disk::recover(name, disk::Interruption::start_anew, [] {});
      return refusal ? "" : otherwise;
    } catch (const Refused& e) {
      output_.note(fmt::format("{}: cleaning up: {}", image, e.refusal.message));
    } catch (const std::exception& e) {
      output_.note(fmt::format("{}: cleaning up: {}", image, e.what()));
    }
    return {};
  }

  const BatchRequest& request_;
  const BatchOutput& output_;
  Signals signals_;
  guestfs::Accelerator accelerator_ = guestfs::Accelerator::kvm;
  bool may_fall_back_ = false;
  bool launching_with_kvm_ = false;
  std::optional<Phase> phase_;
  std::string died_;
  int signal_ = 0;
};

}  // namespace

int run_batch(const BatchRequest& request, const BatchOutput& output) {
  return Batch(request, output).run();
}

}  // namespace kvmnet

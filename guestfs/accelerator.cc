// SPDX-License-Identifier: GPL-2.0-or-later
#include "guestfs/accelerator.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace kvmnet::guestfs {
namespace {

constexpr const char* settings_variable = "LIBGUESTFS_BACKEND_SETTINGS";

// Read once at a time by a program of one thread.
std::string_view settings() {
  const char* value = std::getenv(settings_variable);  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr ? value : "";
}

}  // namespace

std::string to_string(Accelerator accelerator) {
  switch (accelerator) {
    case Accelerator::kvm:
      return "KVM";
    case Accelerator::tcg:
      return "TCG";
    case Accelerator::environment:
      break;
  }
  if (settings().find("force_tcg") != std::string_view::npos) return "TCG";
  if (settings().find("force_kvm") != std::string_view::npos) return "KVM";
  return "as libguestfs chooses";
}

bool environment_decides() {
  return !settings().empty();
}

std::string why_no_kvm() {
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd < 0) return "/dev/kvm: " + std::generic_category().message(errno);
  ::close(fd);
  return {};
}

}  // namespace kvmnet::guestfs

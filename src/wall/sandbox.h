// SPDX-License-Identifier: GPL-2.0-or-later
// How a process gives up everything: each function takes from the calling process, for good, and
// throws Error if it cannot.
#pragma once

#include "src/wall/wall.h"

namespace kvmnet::wall {

// Whether this is a build with AddressSanitizer, which needs more.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized = __has_feature(address_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

// Every descriptor from this number on.
void close_from(int first);

// Processor time, memory, stack, the size of files; core dumps and new processes; all descriptors
// but `files` and the few that a library needs for a moment.
void set_limits(const Limits& limits, unsigned files);

// Every path (Landlock), then every system call that parsing files in memory does not need: making
// one ends the process with SIGSYS. What the process or its libraries load from files has to be
// loaded by now. The process must have one thread. Of `limits`: whether it may write to files.
void lock_up(const Limits& limits);

}  // namespace kvmnet::wall

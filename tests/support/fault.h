// SPDX-License-Identifier: GPL-2.0-or-later
// What a test and the library kvmnet-fault, which it preloads into all programs of a run, say to
// each other.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace kvmnet::test {

// Variables of the environment of the run.
constexpr const char* fault_directory = "KVMNET_FAULT_DIRECTORY";  // calls on files in it count
constexpr const char* fault_record = "KVMNET_FAULT_RECORD";        // a file with a FaultRecord
// "N:KIND,N:KIND...": what befalls the N-th call, counted from 1. Empty: they are only counted.
constexpr const char* fault_list = "KVMNET_FAULTS";

// In memory that all processes of the run share.
struct FaultRecord {
  static constexpr std::size_t most_calls = 4096;
  using Words = std::array<char, 128>;

  std::atomic<std::uint32_t> calls;    // so far
  std::atomic<std::uint32_t> struck;   // faults that have come to pass
  std::atomic<bool> disk_full;         // since an ENOSPC
  std::array<Words, most_calls> what;  // each call in words: "pwrite64 disk.kvmnet-commit 0 +512"
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace kvmnet::test

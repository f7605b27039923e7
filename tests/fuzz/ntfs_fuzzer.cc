// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever volume it gets, the worker of the direct backend stays inside it, writes only to what it
// has opened for writing, and answers or throws. libntfs-3g itself is allowed to fail: scripts/fuzz
// tells what lies at its door from what lies at ours.
#include <cstdint>

#include "tests/fuzz/ntfs_image.h"
#include "tests/fuzz/ntfs_work.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kvmnet::fuzz;
  static Bytes volume;
  to_volume(unpack_ntfs(std::as_bytes(std::span(data, size))), volume);
  work_on_ntfs(volume);
  return 0;
}

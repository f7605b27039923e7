// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/memory_view.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "src/support/error.h"

namespace kvmnet {

MemoryView::MemoryView(const Fd& file) {
  // Else looking at what is not there any more would end this process.
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0)
    throw system_error("sealing a file in memory", errno);
  struct stat st {};
  if (::fstat(file.get(), &st) != 0) throw system_error("reading a file in memory", errno);
  const auto size = static_cast<std::size_t>(st.st_size);
  if (size == 0) return;
  const void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) throw system_error("reading a file in memory", errno);
  bytes_ = {static_cast<const std::byte*>(memory), size};
}

MemoryView::~MemoryView() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MemoryView::load() const {
  if (!bytes_.empty())
    ::madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_POPULATE_READ);
}

}  // namespace kvmnet

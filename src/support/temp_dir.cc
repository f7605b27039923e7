// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/temp_dir.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "src/support/error.h"

namespace kvmnet {

TempDir::TempDir() {
  std::error_code error;
  const auto base = std::filesystem::temp_directory_path(error);
  std::string pattern = (error ? std::filesystem::path("/tmp") : base) / "kvmnet-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw system_error("creating " + pattern, errno);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace kvmnet

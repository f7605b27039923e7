// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/fuzz/expect.h"

#include <cstdlib>
#include <iostream>

namespace kvmnet::fuzz {

void expect(bool holds, std::string_view what) {
  if (holds) return;
  std::cerr << "property violated: " << what << std::endl;
  std::abort();
}

}  // namespace kvmnet::fuzz

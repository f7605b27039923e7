// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/support/error.h"

#include <system_error>

namespace kvmnet {

Error system_error(std::string_view what, int error_number) {
  return Error(fmt::format("{}: {}", what, std::generic_category().message(error_number)));
}

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// All that the child behind the wall can do.
#pragma once

#include "src/wall/wall.h"

namespace kvmnet {

wall::Child guest_child();

}  // namespace kvmnet

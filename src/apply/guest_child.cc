// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/apply/guest_child.h"

#include <memory>

#include "src/apply/direct_child.h"
#include "src/apply/hive_child.h"

namespace kvmnet {

wall::Child guest_child() {
  wall::Child hives = hive_child();
  const auto disk = std::make_shared<DirectChild>();
  return {hives.prepare, [disk, handle = hives.handle](const wall::Call& call) {
            return DirectChild::knows(call.operation) ? disk->handle(call) : handle(call);
          }};
}

}  // namespace kvmnet

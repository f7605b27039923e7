// SPDX-License-Identifier: GPL-2.0-or-later
// Whom a file belongs to, and what that user could have done without us.
#pragma once

#include <sys/types.h>

#include <string>

namespace kvmnet::disk {

// Whether `user`, with the groups that the system gives that user, may read the file. Only for
// root: nobody else can ask for others. Throws Error if it cannot be found out.
bool can_read(uid_t user, const std::string& path);

}  // namespace kvmnet::disk

// SPDX-License-Identifier: GPL-2.0-or-later
// Who may do what with a file of an NTFS, as Windows has it: a self-relative security descriptor
// ([MS-DTYP] 2.4.6; ntfs-3g takes and gives it as the extended attribute system.ntfs_acl).
#pragma once

#include <string>

namespace kvmnet::ntfs {

enum class Kind { file, directory };

// SYSTEM and the group Administrators may do everything, nobody else anything; the owner is
// Administrators, and nothing is inherited from the directory. What is created in a directory that
// has it is as private.
std::string private_descriptor(Kind kind);

}  // namespace kvmnet::ntfs

// SPDX-License-Identifier: GPL-2.0-or-later
// The untouched SYSTEM hive of a guest on the host, for whoever wants a second net.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "guestfs/guest_files.h"

namespace kvmnet {

class Backup {
 public:
  // Makes a directory for it in `directory`. `name` is a file name of the host, never anything from
  // the guest. Throws Error, also if there is no `directory`.
  Backup(const std::string& directory, const std::string& name);
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;
  ~Backup();  // removes the directory unless it is kept

  // Writes `hive` as SYSTEM, and beside it the transaction logs that lie beside `system_path` in
  // the guest, SYSTEM.LOG, SYSTEM.LOG1 and SYSTEM.LOG2, in upper case. Nobody but our user can read
  // them: a SYSTEM hive holds the boot key. All is on disk when it returns, and in
  // DIRECTORY/NAME, or NAME.1, NAME.2 ... where that is taken: an earlier backup is never touched.
  // Until then the directory's name ends in .kvmnet-unfinished: a run that is killed leaves nothing
  // that looks whole. Throws Error.
  void save(guestfs::GuestFiles& guest, const std::string& system_path,
            std::span<const std::byte> hive);

  // From here on the directory stays; its path.
  const std::string& keep();

 private:
  std::string name_;  // what it is to be called when all is in it
  std::string path_;  // where it is now
  bool kept_ = false;
};

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// A hive file on this host, with its transaction logs: read into memory, and replaced as a whole.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "hive/replay.h"
#include "src/apply/hive_client.h"
#include "src/apply/replacement.h"
#include "src/disk/image_lock.h"
#include "src/support/fd.h"

namespace kvmnet {

class BareHive {
 public:
  // `given`: its logs; none: those beside it, whatever their letter case. Whatever lies beside it
  // is made invalid with it, too. Throws Error for what is not a regular file, is larger than 256
  // MiB or cannot be read, and where a log is the hive itself; Refused, `image-in-use`, where
  // another kvmnet works on it. `use`: for replace(), or only to read. Until its end others are
  // kept away; what a dead run has left of its work is removed where this one is to write.
  BareHive(const std::string& path, const std::vector<std::string>& given, disk::Use use);

  HiveFiles in_memory() const { return {hive_, log_copies_, in_use_}; }

  // Why replace() would refuse; empty: it would not.
  std::string why_not_replaceable() const;

  // Begins to write the file that is to take the hive's place; what it will hold is mostly what the
  // hive in memory holds now. Throws Error.
  void begin_replacing();

  // Puts what has become of the hive, which is clean, in its place; then makes its logs invalid, in
  // place: a dirty hive needs them. Nothing is touched unless all that is to be written can be.
  // Throws Error.
  void replace(const Fd& hive, const std::vector<hive::LogKind>& kinds);
  // The same of the hive in memory.
  void replace(const std::vector<hive::LogKind>& kinds) { replace(hive_, kinds); }

  // Where a run was stopped after it had replaced the hive, and nothing else is to be written:
  // makes the logs invalid that it has left. `found`: what the hive was before it was made clean in
  // memory, as it is by now; a dirty one keeps its logs. Throws Error.
  void finish_interrupted(const HiveFacts& found);

 private:
  struct OpenFile {
    std::string path;  // the file itself, without symbolic links
    Fd fd;
    struct stat st {};

    bool is(const OpenFile& other) const {
      return st.st_dev == other.st.st_dev && st.st_ino == other.st.st_ino;
    }
  };

  static OpenFile open(const std::string& path);
  static OpenFile open_locked(const std::string& path, disk::Use use);
  static Fd open_to_write(const OpenFile& file);
  static std::vector<Fd> open_to_write(const std::vector<const OpenFile*>& files);
  static Fd copy_of(const OpenFile& file);
  void add_log(const std::string& path);
  std::vector<const OpenFile*> files() const;
  std::vector<const OpenFile*> own_logs(const std::vector<hive::LogKind>& kinds) const;
  void neutralise(const std::vector<const OpenFile*>& logs, const std::vector<Fd>& writable) const;
  void neutralise(const OpenFile& log, const Fd& fd) const;

  OpenFile file_;
  Fd hive_;
  std::vector<OpenFile> logs_;
  std::vector<Fd> log_copies_;
  std::size_t given_ = 0;   // so many of the logs, from the first on, were named by the user
  std::size_t in_use_ = 0;  // so many are to be replayed
  std::optional<Replacement> replacement_;
};

}  // namespace kvmnet

// SPDX-License-Identifier: GPL-2.0-or-later
// The disk that an image holds, as its guest sees it, through QEMU: a qemu-nbd of our own that has
// the image open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/disk/range.h"
#include "src/support/landlock.h"
#include "src/support/subprocess.h"

struct nbd_handle;

namespace kvmnet::disk {

class ServedDisk {
 public:
  enum class Writes {
    none,
    kept,
    thrown_away,  // they need not reach the host's disk
  };
  // Starts the server; the first call waits for it, and throws Error with qemu-nbd's own words if
  // it cannot open the image.
  // `options`: what --image-opts takes; name every driver, so that QEMU probes nothing.
  // `ruleset`: of Landlock, that holds for the server; closed: none.
  explicit ServedDisk(const std::string& options, const Fd& ruleset = Fd());
  // The server can open nothing but `files` and what it needs to run, whatever images name.
  // Throws Error where the kernel has no Landlock.
  ServedDisk(const std::string& options, Writes writes, std::span<const landlock::Rule> files);
  // The same without that, for the user who knowingly does without.
  static std::unique_ptr<ServedDisk> unconfined(const std::string& options, Writes writes) {
    return std::unique_ptr<ServedDisk>(new ServedDisk(options, writes, Fd()));
  }
  ServedDisk(const ServedDisk&) = delete;
  ServedDisk& operator=(const ServedDisk&) = delete;
  ~ServedDisk();  // what has not been flushed may be lost

  // All throw Error. After an error of the disk itself it can still be used.
  std::uint64_t size();  // of the disk, bytes
  void read(std::uint64_t offset, std::span<std::byte> into);
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void flush();  // brings to the host's disk what was written
  // Flushes, and lets the server end; nobody has the image open then. Of no use afterwards.
  void finish();
  // What the image itself holds and does not take from its backing file, in order, adjoining
  // ranges as one.
  std::vector<Range> allocated();

 private:
  ServedDisk(const std::string& options, Writes writes, const Fd& ruleset);
  nbd_handle* connection();
  std::optional<std::string> problem_of(std::int64_t command);
  [[noreturn]] void fail();
  [[noreturn]] void fail(std::string problem);

  std::unique_ptr<Running> server_;
  Fd socket_;  // to the server, until we have spoken to it
  nbd_handle* nbd_ = nullptr;
};

}  // namespace kvmnet::disk

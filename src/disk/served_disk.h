// SPDX-License-Identifier: GPL-2.0-or-later
// The disk that an image holds, as its guest sees it, through QEMU: a qemu-nbd of our own that has
// the image open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/disk/gate.h"
#include "src/disk/range.h"
#include "src/support/landlock.h"
#include "src/support/subprocess.h"

struct nbd_handle;

namespace kvmnet::disk {

// How a server is started.
struct ServerStart {
  // Where sockets can be made that nobody else sees; empty: in a directory that is made for that.
  std::string directory = {};
  // Before it is needed: it waits for the first call, and opens nothing. Needs a directory.
  bool waits = false;
};

class ServedDisk {
 public:
  enum class Writes {
    none,
    // In the file after finish(). Nothing waits for the host's disk: who wants them there syncs the
    // file then.
    kept,
  };
  // No file that is written to gets larger: a write that would make it so fails. However little of
  // the disk is written, and wherever, each write can take a whole cluster of the file.
  static constexpr std::uint64_t largest_written = 1 << 30;

  // Starts the server; the first call waits for it, and throws Error with qemu-nbd's own words if
  // it cannot open the image.
  // `options`: what --image-opts takes; name every driver, so that QEMU probes nothing.
  // `ruleset`: of Landlock, that holds for the server; closed: none.
  // `directory`: see ServerStart.
  explicit ServedDisk(const std::string& options, const Fd& ruleset = Fd(),
                      const std::string& directory = {});
  // The server can open nothing but `files` and what it needs to run, whatever images name.
  // Throws Error where the kernel has no Landlock.
  ServedDisk(const std::string& options, Writes writes, std::vector<landlock::Rule> files,
             const ServerStart& how = {});
  // The same without that, for the user who knowingly does without.
  static std::unique_ptr<ServedDisk> unconfined(const std::string& options, Writes writes,
                                                const ServerStart& how = {});
  ServedDisk(const ServedDisk&) = delete;
  ServedDisk& operator=(const ServedDisk&) = delete;
  ~ServedDisk();  // what has not been flushed may be lost

  // All throw Error. After an error of the disk itself it can still be used.
  void go();             // lets a server that waits begin
  std::uint64_t size();  // of the disk, bytes
  void read(std::uint64_t offset, std::span<std::byte> into);
  // The same for much at once: `take` gets it piece by piece, while the server reads on; false ends
  // it.
  using Taker = std::function<bool(std::span<const std::byte> piece)>;
  void read(std::uint64_t offset, std::uint64_t size, const Taker& take);
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  // Lets the server write what it still has in memory, and end. Of no use afterwards but for
  // finish().
  void begin_finish();
  // Waits for that; nobody has the image open then.
  void finish();
  // What the image itself holds and does not take from its backing file, in order, adjoining
  // ranges as one.
  std::vector<Range> allocated();

 private:
  ServedDisk() = default;
  void start(const std::string& options, Writes writes, const Fd& ruleset,
             const std::string& directory);
  nbd_handle* connection();
  std::span<std::byte> buffer(std::size_t number);
  std::optional<std::string> problem_of(std::int64_t command);
  [[noreturn]] void fail();
  [[noreturn]] void fail(std::string problem);

  std::optional<Gate> gate_;  // closed
  bool is_finishing_ = false;
  std::unique_ptr<Running> server_;
  Fd socket_;  // to the server, until we have spoken to it
  nbd_handle* nbd_ = nullptr;
  std::unique_ptr<std::byte[]> buffers_;  // one after the other, each for one command
};

}  // namespace kvmnet::disk

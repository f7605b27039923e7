// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/disk/served_disk.h"

#include <fmt/format.h>
#include <libnbd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <exception>
#include <optional>

#include "src/disk/confinement.h"
#include "src/support/error.h"
#include "src/support/temp_dir.h"

namespace kvmnet::disk {
namespace {

// Both ends of a connection that qemu-nbd accepts: it wants a socket that listens. Nothing of it is
// left in the file system.
struct Sockets {
  Fd listening;
  Fd connected;
};

// `directory`: one that is ours alone, for the moment that the socket has a name.
Sockets make_sockets(const std::string& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory + "/nbd";
  if (path.size() >= sizeof address.sun_path)
    throw Error(fmt::format("{}: the name of the temporary directory is too long", path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  Sockets sockets = {Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
                     Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  if (!sockets.listening.is_open() || !sockets.connected.is_open() ||
      ::bind(sockets.listening.get(), generic, sizeof address) != 0 ||
      ::listen(sockets.listening.get(), 1) != 0 ||
      ::connect(sockets.connected.get(), generic, sizeof address) != 0 ||
      ::unlink(path.c_str()) != 0)
    throw system_error(path, errno);
  return sockets;
}

Sockets make_sockets() {
  const TempDir directory;
  return make_sockets(directory.path());
}

// Called by libnbd for a part of a disk: 1 means that the image itself holds it.
int add_extents(void* into, const char* /*context*/, std::uint64_t offset, std::uint32_t* entries,
                std::size_t count, int* /*error*/) {
  auto& ranges = *static_cast<std::vector<std::pair<Range, std::uint32_t>>*>(into);
  for (std::size_t i = 0; i + 1 < count; i += 2) {
    ranges.push_back({{offset, entries[i]}, entries[i + 1]});
    offset += entries[i];
  }
  return 0;
}

void append(std::vector<Range>& ranges, const Range& range) {
  if (!ranges.empty() && ranges.back().start + ranges.back().length == range.start)
    ranges.back().length += range.length;
  else
    ranges.push_back(range);
}

constexpr std::size_t largest_call = 2 << 20;
constexpr std::size_t largest_read = 256 << 10;
constexpr std::size_t most_commands = 4;  // at a time

// What the last call of libnbd has complained of.
std::string last_problem() {
  const char* reason = nbd_get_error();
  return reason != nullptr ? reason : "unknown error";
}

bool is_taken(std::span<const std::byte> piece, const ServedDisk::Taker& take,
              std::exception_ptr& error) {
  try {
    return take(piece);
  } catch (...) {
    error = std::current_exception();
    return false;
  }
}

constexpr const char* allocation_depth = "qemu:allocation-depth";

std::vector<std::string> server_command(const std::string& options, ServedDisk::Writes writes,
                                        const std::optional<Gate>& gate) {
  std::vector<std::string> command = {"qemu-nbd", "--allocation-depth"};
  if (gate)
    for (std::string& word : gate->words()) command.push_back(std::move(word));
  if (writes == ServedDisk::Writes::none) command.emplace_back("--read-only");
  if (writes == ServedDisk::Writes::kept) command.emplace_back("--cache=unsafe");
  command.insert(command.end(), {"--image-opts", options});
  return command;
}

}  // namespace

ServedDisk::ServedDisk(const std::string& options, const Fd& ruleset,
                       const std::string& directory) {
  start(options, Writes::none, ruleset, directory);
}

ServedDisk::ServedDisk(const std::string& options, Writes writes, std::vector<landlock::Rule> files,
                       const ServerStart& how) {
  if (how.waits) files.push_back(gate_.emplace(how.directory, "server").rule());
  start(options, writes, confine_to(files), how.directory);
}

std::unique_ptr<ServedDisk> ServedDisk::unconfined(const std::string& options, Writes writes,
                                                   const ServerStart& how) {
  std::unique_ptr<ServedDisk> disk(new ServedDisk());
  if (how.waits) disk->gate_.emplace(how.directory, "server");
  disk->start(options, writes, Fd(), how.directory);
  return disk;
}

void ServedDisk::start(const std::string& options, Writes writes, const Fd& ruleset,
                       const std::string& directory) {
  Sockets sockets = directory.empty() ? make_sockets() : make_sockets(directory);
  server_ =
      std::make_unique<Running>(server_command(options, writes, gate_), ruleset, sockets.listening,
                                writes == Writes::none ? 0 : largest_written);
  socket_ = std::move(sockets.connected);
}

void ServedDisk::go() {
  if (gate_) gate_->open(*server_);
  gate_.reset();
}

// Of the listening socket we have nothing any more, so that a server that ends early is noticed.
nbd_handle* ServedDisk::connection() {
  if (socket_.is_open()) {
    go();
    nbd_ = nbd_create();
    // What a read that failed has left in its buffer is not looked at.
    if (nbd_ == nullptr || nbd_set_pread_initialize(nbd_, false) == -1 ||
        nbd_add_meta_context(nbd_, allocation_depth) == -1 ||
        nbd_connect_socket(nbd_, socket_.release()) == -1)
      fail();
  }
  if (nbd_ == nullptr) throw Error("using the disk with qemu-nbd: it has ended");
  return nbd_;
}

ServedDisk::~ServedDisk() {
  if (nbd_ != nullptr) nbd_close(nbd_);
}

void ServedDisk::fail() {
  fail(last_problem());
}

void ServedDisk::fail(std::string problem) {
  if (nbd_ == nullptr || nbd_aio_is_ready(nbd_) != 1) {
    nbd_close(nbd_);
    nbd_ = nullptr;
    if (const std::string words = server_->stop(); !words.empty()) problem = words;
  }
  throw Error("using the disk with qemu-nbd: " + problem);
}

std::uint64_t ServedDisk::size() {
  const std::int64_t size = nbd_get_size(connection());
  if (size < 0) fail();
  return static_cast<std::uint64_t>(size);
}

void ServedDisk::read(std::uint64_t offset, std::span<std::byte> into) {
  while (!into.empty()) {
    const std::size_t size = std::min(into.size(), largest_call);
    if (nbd_pread(connection(), into.data(), size, offset, 0) == -1) fail();
    offset += size;
    into = into.subspan(size);
  }
}

std::span<std::byte> ServedDisk::buffer(std::size_t number) {
  if (!buffers_)
    buffers_ = std::make_unique_for_overwrite<std::byte[]>(largest_read * most_commands);
  return {buffers_.get() + number % most_commands * largest_read, largest_read};
}

// Each command writes into its buffer, so that none may be left when this ends.
void ServedDisk::read(std::uint64_t offset, std::uint64_t size, const Taker& take) {
  struct Command {
    std::int64_t number;
    std::span<const std::byte> piece;
  };
  nbd_handle* nbd = connection();
  std::deque<Command> commands;
  std::optional<std::string> problem;
  std::exception_ptr error;
  bool goes_on = true;
  for (std::size_t next = 0; nbd_ != nullptr && ((goes_on && size > 0) || !commands.empty());) {
    if (goes_on && size > 0 && commands.size() < most_commands) {
      const auto piece = buffer(next++).first(std::min<std::uint64_t>(size, largest_read));
      const std::int64_t number =
          nbd_aio_pread(nbd, piece.data(), piece.size(), offset, NBD_NULL_COMPLETION, 0);
      if (number == -1) {
        problem = last_problem();
        goes_on = false;
        continue;
      }
      commands.push_back({number, piece});
      offset += piece.size();
      size -= piece.size();
      continue;
    }
    const Command done = commands.front();
    commands.pop_front();
    auto problem_now = problem_of(done.number);
    if (!goes_on) continue;
    problem = std::move(problem_now);
    goes_on = !problem && is_taken(done.piece, take, error);
  }
  if (problem) fail(std::move(*problem));
  if (error) std::rethrow_exception(error);
}

// Waits for its end; what it was for is then not touched any more. Without a connection that can be
// waited for there are no commands either.
std::optional<std::string> ServedDisk::problem_of(std::int64_t command) {
  while (true) {
    const int completed = nbd_aio_command_completed(nbd_, static_cast<std::uint64_t>(command));
    if (completed == 1) return std::nullopt;
    if (completed == -1) return last_problem();
    if (nbd_poll(nbd_, -1) == -1) {
      std::string problem = last_problem();
      nbd_close(nbd_);
      nbd_ = nullptr;
      return problem;
    }
  }
}

void ServedDisk::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), largest_call);
    if (nbd_pwrite(connection(), bytes.data(), size, offset, 0) == -1) fail();
    offset += size;
    bytes = bytes.subspan(size);
  }
}

// After a flush nothing is left for the server to write: what qemu-nbd could not write as it ends
// it would only say, and end with status 0.
void ServedDisk::begin_finish() {
  if (nbd_flush(connection(), 0) == -1 || nbd_shutdown(nbd_, 0) == -1) fail();
  nbd_close(nbd_);
  nbd_ = nullptr;
  is_finishing_ = true;
}

void ServedDisk::finish() {
  if (!is_finishing_) begin_finish();
  const Finished finished = server_->wait();
  server_.reset();
  if (finished.status != 0 || !finished.output.empty())
    throw Error(fmt::format("qemu-nbd ended with status {}: {}", finished.status, finished.output));
}

std::vector<Range> ServedDisk::allocated() {
  constexpr std::uint64_t largest_question = 1ULL << 30;  // the protocol has 32 bits
  const std::uint64_t end = size();
  std::vector<Range> ranges;
  for (std::uint64_t offset = 0; offset < end;) {
    std::vector<std::pair<Range, std::uint32_t>> extents;
    if (nbd_block_status(nbd_, std::min(end - offset, largest_question), offset,
                         {add_extents, &extents, nullptr}, 0) == -1)
      fail();
    if (extents.empty()) throw Error("qemu-nbd does not say what the image holds");
    for (const auto& [range, depth] : extents) {
      if (depth == 1) append(ranges, range);
      offset = range.start + range.length;
    }
  }
  return ranges;
}

}  // namespace kvmnet::disk
